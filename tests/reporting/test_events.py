"""What becomes an event on the pod, in which words, and that nothing depends on its being taken."""

from __future__ import annotations

import io
import json
import queue
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from party.agreement.job import Job, Training, load_job
from party.life.endings import told_in
from party.models.health import WrongModelError
from party.process.errors import InputError, JobError, KitError
from party.process.exit import Stop
from party.reporting import events
from party.reporting.documents import StatusDocument
from party.reporting.events import Events
from party.reporting.status import Log, Status, now
from party.table import read_table
from tests.harness.api_server import (
    HERE,
    PATIENCE_S,
    ApiServer,
    api_server,
    make_certificates,
    pod_files,
)
from tests.harness.processes import JOB as TINY
from tests.harness.processes import Processes

JOB = Job(
    name="fraud",
    rows=2,
    features=("a",),
    label="y",
    training=Training(epochs=2, batch_size=2, learning_rate=0.1),
)
CANARY = "4711.0815x"


class Pod:
    """A party's status, and what it makes of it at an API server."""

    def __init__(self, directory: Path, api: ApiServer) -> None:
        self.api, self.directory = api, directory
        self.files = pod_files(directory / "events", directory / "certificates/ca.crt")
        self.said: queue.Queue[str] = queue.Queue()
        self.events = Events(self.files, self.said.put)
        self.status = Status(
            directory, JOB, "bob", Log("bob", io.StringIO()), told=self.events.tell
        )

    def all_told(self) -> list[tuple[str, str, str]]:
        """Type, reason and message of all that was taken, once everything is."""
        self.events.close()
        told = []
        while self.api.has_more():
            told += [(one["type"], one["reason"], one["message"]) for one in self.api.takes()]
        return told


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    make_certificates(tmp_path / "certificates")
    with api_server(tmp_path / "certificates") as made:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", HERE)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(made.port))
        monkeypatch.setattr(events, "_CLOSE_S", PATIENCE_S)
        monkeypatch.setattr(events, "_ANSWER_S", PATIENCE_S)
        monkeypatch.setattr(events, "_AGAIN_S", 0.05)
        yield made


@pytest.fixture
def pod(tmp_path: Path, api: ApiServer) -> Iterator[Pod]:
    made = Pod(tmp_path, api)
    yield made
    made.events.close()


def test_an_event_is_one_that_the_api_knows_about_the_partys_own_pod(pod: Pod) -> None:
    pod.status.enter("running", "all three are here and agree")
    (event,) = pod.api.takes()
    knows = client.ApiClient()
    read = knows.deserialize(json.dumps(event), "CoreV1Event", "application/json")
    same = knows.sanitize_for_serialization(read)
    moments = ("firstTimestamp", "lastTimestamp")
    assert {**same, **dict.fromkeys(moments)} == {**event, **dict.fromkeys(moments)}
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "fraud-bob-0",
        "namespace": "police",
        "uid": "1-2-3",
    }
    assert (event["type"], event["reason"]) == ("Normal", "Running")
    assert pod.api.asked == ["/api/v1/namespaces/police/events"]


ENDS: list[tuple[BaseException, str, str, str]] = [
    (
        JobError("bob is gone", cause="peer-unreachable"),
        "Warning",
        "PeerUnreachable",
        "bob is gone",
    ),
    (JobError("they disagree", cause="refused"), "Warning", "Refused", "they disagree"),
    (InputError("no", "a.csv", "mend it"), "Warning", "OwnInput", "no; do: mend it"),
    (JobError("no room", cause="disk-full"), "Warning", "DiskFull", "no room"),
    (JobError("over", cause="time-limit"), "Warning", "TimeLimit", "over"),
    (WrongModelError("a weight is NaN"), "Warning", "WrongModel", "a weight is NaN"),
    (MemoryError(), "Warning", "OutOfMemory", "out of memory; do: give this party more memory"),
    (ValueError(CANARY), "Warning", "Internal", "internal error: ValueError at"),
    (Stop(), "Normal", "Stopped", "stopped while starting"),
]


@pytest.mark.parametrize(("error", "kind", "reason", "words"), ENDS, ids=[e[2] for e in ENDS])
def test_every_end_has_its_event(
    pod: Pod, error: BaseException, kind: str, reason: str, words: str
) -> None:
    with pytest.raises((KitError, ValueError)), told_in(pod.status):
        raise error
    [told] = pod.all_told()
    assert told[:2] == (kind, reason) and told[2].startswith(words)


def test_a_value_of_a_table_is_in_no_event(pod: Pod) -> None:
    table = pod.directory / "table.csv"
    table.write_text(f"a\n1\n{CANARY}\n")
    with pytest.raises(InputError), told_in(pod.status):
        read_table(table, JOB, "alice")
    [(_, reason, message)] = pod.all_told()
    assert reason == "OwnInput" and CANARY[:-1] not in message and "4711" not in message


def test_a_loss_is_told_once_however_long_the_party_looks(pod: Pod) -> None:
    status = pod.status
    for _ in range(2):
        status.enter("running", "all three are here")
        for left in range(600, 0, -30):
            status.enter("rejoining", f"bob is gone; looking for it, for {left} s at most")
        status.rejoined()
    assert [reason for _, reason, _ in pod.all_told()] == [
        "Running",
        "PeerLost",
        "Rejoined",
        "PeerLost",
    ]


def test_a_peer_that_comes_and_goes_fills_no_api_server(pod: Pod) -> None:
    for n in range(100):
        pod.status.enter("rejoining", f"lost for the time {n}")
        pod.status.enter("running", "here")
        pod.api.takes(2 if n < events._MANY // 2 else 0)
    pod.status.enter("failed", "no more", cause="peer-unreachable")
    assert pod.all_told() == [("Warning", "PeerUnreachable", "no more")]


def test_what_hinders_a_join_and_what_is_lacking_is_told_and_no_stranger(pod: Pod) -> None:
    status = pod.status
    for _ in range(3):
        status.enter("table", "no such file", where="/table", hint="put it there")
        status.enter("table", "no such column", hint="put it there")
    status.enter("joining", "the plan is ready; joining")
    for second in range(3):
        for why in ("", "; bob has another job: rows", ""):
            status.waiting(f"waiting for bob ({second} s of 9){why}", ["bob"])
        status.waiting("refused 3 strangers", ["bob"])
    assert pod.all_told() == [
        ("Warning", "AwaitsInput", "no such file; do: put it there"),
        ("Warning", "AwaitsInput", "no such column; do: put it there"),
        ("Normal", "Joining", "the plan is ready; joining"),
        ("Warning", "CannotJoin", "bob has another job: rows"),
    ]


def test_other_words_each_second_are_no_news_for_ever(pod: Pod) -> None:
    pod.status.enter("joining", "joining")
    pod.api.takes()
    for second in range(200):
        pod.status.waiting(f"waiting for bob ({second} s of 9); bob says {second}", ["bob"])
        pod.api.takes(1 if second < events._MANY - 1 else 0)
    assert pod.all_told() == []
    assert len(pod.events._told) == events._MANY


def test_steps_make_no_events(pod: Pod) -> None:
    pod.status.enter("running", "here")
    for step in range(4):
        pod.status._written = float("-inf")  # each is written
        pod.status.step(step, 1.0)
    pod.status.enter("done", "done")
    assert [reason for _, reason, _ in pod.all_told()] == ["Running", "Done"]


def test_a_job_of_several_is_named(pod: Pod) -> None:
    pod.events.tell(pod.status.snapshot().model_copy(update={"phase": "done"}), job="second")
    [(_, _, message)] = pod.all_told()
    assert message.startswith("second: ")


def test_a_new_token_is_taken_when_it_is_there(pod: Pod) -> None:
    pod.status.enter("running", "here")
    pod.api.takes()
    (pod.files / "token").write_text("second")
    pod.api.token = "second"
    pod.status.enter("done", "done")
    assert pod.api.takes()[0]["reason"] == "Done"
    assert pod.said.empty()


def test_an_event_that_is_refused_for_now_comes_later_and_that_is_said_once(pod: Pod) -> None:
    pod.api.answer = 403
    pod.status.enter("running", "here")
    assert "HTTP 403" in pod.said.get(timeout=PATIENCE_S)
    pod.status.enter("rejoining", "bob is gone")
    while pod.api.asked.count("/api/v1/namespaces/police/events") < 3:
        time.sleep(0.01)
    pod.api.answer = 201
    assert [one["reason"] for one in pod.api.takes(2)] == ["Running", "PeerLost"]
    assert pod.said.empty()


def test_an_event_that_the_api_takes_for_none_is_dropped(pod: Pod) -> None:
    pod.api.answer = 422
    pod.status.enter("running", "here")
    assert "HTTP 422" in pod.said.get(timeout=PATIENCE_S)
    pod.api.answer = 201
    pod.status.enter("done", "done")
    assert [one["reason"] for one in pod.api.takes()] == ["Done"]


def test_who_cannot_be_reached_holds_nobody_up(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_CLOSE_S", 0.1)
    with socket.create_server((HERE, 0)) as silent:
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(silent.getsockname()[1]))
        pod.status.enter("running", "here")
        pod.status.enter("failed", "no room", cause="disk-full")
        pod.events.close()
    assert pod.status.snapshot().phase == "failed" and not pod.api.has_more()


def test_who_is_not_the_clusters_own_gets_no_token(pod: Pod, tmp_path: Path) -> None:
    make_certificates(tmp_path / "others")
    shutil.copy(tmp_path / "others/ca.crt", pod.files / "ca.crt")
    pod.status.enter("running", "here")
    assert "SSLCertVerificationError" in pod.said.get(timeout=PATIENCE_S)
    assert pod.api.asked == []


def test_without_being_asked_for_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(events.EVENTS, raising=False)
    with events.on_the_pod(pytest.fail) as tell:
        tell(StatusDocument.first(JOB, "bob", "then"))


@pytest.mark.slow
def test_a_partys_process_tells_what_it_lacks_and_that_it_is_stopped(
    tmp_path: Path, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pod_files(tmp_path / "events", tmp_path / "certificates/ca.crt")
    monkeypatch.setenv(events.EVENTS, str(files))
    processes = Processes(tmp_path, tmp_path / "cache")
    try:
        shutil.rmtree(tmp_path / "keys/bob")
        bob = processes.start("bob", "--stay")
        (first,) = api.takes()
        assert (first["type"], first["reason"]) == ("Warning", "AwaitsInput")
        assert "no ca.crt" in first["message"]
        bob.signal(signal.SIGTERM)
        bob.ends()
        (last,) = api.takes()
        assert (last["type"], last["reason"]) == ("Normal", "Stopped")
        assert not any("no event" in one["event"] for one in bob.events())
    finally:
        processes.close()


@pytest.mark.slow
@pytest.mark.parametrize(("words", "folder"), [((), "."), (("--queue",), TINY["name"])])
def test_who_was_done_before_tells_that_it_is(
    tmp_path: Path,
    api: ApiServer,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    folder: str,
) -> None:
    files = pod_files(tmp_path / "events", tmp_path / "certificates/ca.crt")
    monkeypatch.setenv(events.EVENTS, str(files))
    processes = Processes(tmp_path, tmp_path / "cache")
    try:
        job = load_job(tmp_path / "job.yaml")
        done = StatusDocument.first(job, "bob", now(), phase="done", message="done")
        output = tmp_path / "out/bob" / folder
        output.mkdir(parents=True)
        done.write(output, 0o644)
        processes.start("bob", "--stay", *words)
        (told,) = api.takes()
        assert (told["type"], told["reason"]) == ("Normal", "Done")
    finally:
        processes.close()
