"""Three real parties: the job is done, or everybody ends with who, what and when."""

from __future__ import annotations

import json
import re
import signal
import stat
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from party.agreement.job import PARTIES, load_job
from tests.harness import plaintext, plans
from tests.harness.processes import ENDLESS, JOB, Processes, Running, party_command

pytestmark = pytest.mark.slow

PROMPT_S = 30.0
"""Far less than any limit of the product, and enough on a busy machine."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Processes]:
    """A job that three commands did, by hand."""
    processes = Processes(tmp_path_factory.mktemp("finished"), cache)
    for one in processes.start_all():
        assert one.ends() == (0, "")
    yield processes
    processes.close()


def test_three_commands_by_hand_give_alice_the_model_and_nobody_else(finished: Processes) -> None:
    processes, parties = finished, finished.running
    alice, bob, server = (one.output for one in parties)

    model = json.loads((alice / "model.json").read_text())
    assert set(model) == {
        "columns",
        *("evaluation", "statistics"),
        *("model", "features", "holders", "mean", "scale", "weights", "intercept"),
        *("version", "job", "plan", "protocol", "versions", "health"),
    }
    job = load_job(processes.directory / "job.yaml")
    assert model["features"] == JOB["features"]
    assert model["job"] == job.digest
    assert stat.S_IMODE((alice / "model.json").stat().st_mode) == 0o600
    assert not (bob / "model.json").exists()
    assert not (server / "model.json").exists()

    tables = plaintext.read_all(job, processes.directory)
    clear = plaintext.fit(job, tables)
    assert plaintext.distance(plaintext.received(model), clear) < 1e-2
    mean = tables["alice"].mean
    assert mean is not None and model["mean"] == mean.tolist()

    for one in parties:
        report = json.loads((one.output / "report.json").read_text())
        assert report["plan"] == model["plan"]
        assert report["traffic"]["bytes_sent"] > 0
        assert report["peak_bytes"] - report["table_bytes"] < 80 * 2**20
        assert one.status()["phase"] == "done"
        assert one.status()["step"] == job.steps
    runs = {json.loads((one.output / "report.json").read_text())["run"] for one in parties}
    assert len(runs) == 1

    shown = party_command("result", "--output", str(alice), directory=processes.directory)
    assert json.loads(shown.stdout) == model
    shown = party_command("status", "--output", str(bob), directory=processes.directory)
    assert json.loads(shown.stdout)["phase"] == "done"
    shown = party_command("result", "--output", str(bob), directory=processes.directory)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "bob does not get the model of this job" in shown.stderr


OUT_OF_RANGE = {"training": JOB["training"] | {"epochs": 200, "learning_rate": 4.0}}
"""On a table whose classes a line tells apart, wider steps than the range of the sigmoid bears."""


def test_a_wrong_model_is_a_failure_that_leaves_none_and_stays_one(processes: Processes) -> None:
    job = processes.write_job("job.yaml", **OUT_OF_RANGE)
    plans.cached(load_job(job), processes.cache)  # once, not by each of them
    alice, bob, server = processes.start_all()
    code, words = alice.ends()
    assert code == 1
    assert words.startswith("error: the model is wrong: ") and "\n  do: " in words
    assert bob.ends() == server.ends() == (0, "")
    assert alice.status()["phase"] == "failed"
    assert not (alice.output / "model.json").exists()
    assert "the model is written" not in alice.log.read_text()

    for party in ("bob", "server"):
        processes.start(party)
    staying = processes.start("alice", "--stay", output="out/staying")
    staying.says("the model is wrong")
    staying.reaches("failed")
    staying.signal(signal.SIGTERM)
    assert staying.ends() == (0, "")
    again = processes.start("alice", "--stay", output="out/staying")
    again.says("this job failed before, and would again")
    assert again.status()["final"]


def test_no_value_and_no_weight_is_logged(finished: Processes) -> None:
    processes, parties = finished, finished.running
    model = json.loads((processes.directory / "out/alice/model.json").read_text())
    secrets = [f"{value:.4f}"[:6] for value in [*model["weights"], *model["mean"]]]
    cells = (processes.directory / "alice.csv").read_text().replace("\n", ",").split(",")
    for one in parties:
        for word in [one.log.read_text(), one.words.read_text(), json.dumps(one.status())]:
            assert not any(secret in word for secret in [*secrets, *cells[2:-1]])


def test_a_party_that_was_killed_before_the_start_may_come_again(processes: Processes) -> None:
    alice, bob = processes.start("alice"), processes.start("bob")
    alice.says("waiting for server")
    bob.signal(signal.SIGKILL)
    bob.ends()
    alice.says("bob went away before the start")
    late = processes.start("bob"), processes.start("server")
    for one in (alice, *late):
        assert one.ends()[0] == 0


def names_who_and_when(culprit: str, words: str) -> bool:
    """Whether an error names the party that ended the run, though another may have told of it."""
    told = rf"(alice|bob|server) gave up because of {culprit}"
    who = rf"({culprit} (went away|gave up( because of us)?)|{told})"
    return bool(re.match(rf"error: {who} at step \d+ of \d+ \(\d\d:\d\d:\d\d\)", words))


@pytest.mark.drawn
@pytest.mark.parametrize("killed", PARTIES)
def test_a_party_that_dies_ends_the_others_with_who_and_when(
    tmp_path: Path, cache: Path, killed: str
) -> None:
    processes = Processes(tmp_path, cache, **ENDLESS)
    try:
        parties: dict[str, Running] = dict(zip(PARTIES, processes.start_all(), strict=True))
        for one in parties.values():
            one.reaches("running", step=1)
        parties[killed].signal(signal.SIGKILL)
        begin = time.monotonic()
        for party in set(PARTIES) - {killed}:
            code, words = parties[party].ends()
            assert code == 1
            assert names_who_and_when(killed, words), words
            assert parties[party].status()["phase"] == "failed"
            assert parties[party].status()["message"] in words
        assert time.monotonic() - begin < PROMPT_S
    finally:
        processes.close()


def test_a_party_that_is_stopped_says_so_at_once_and_ends_the_others(
    tmp_path: Path, cache: Path
) -> None:
    processes = Processes(tmp_path, cache, **ENDLESS)
    try:
        alice, bob, server = processes.start_all()
        for one in (alice, bob, server):
            one.reaches("running", step=1)
        bob.signal(signal.SIGTERM)
        begin = time.monotonic()
        code, words = bob.ends()
        assert code == 1 and re.match(r"error: stopped at step \d+ of \d+", words), words
        for other in (alice, server):
            code, words = other.ends()
            assert code == 1 and names_who_and_when("bob", words), words
        assert time.monotonic() - begin < PROMPT_S
    finally:
        processes.close()


def test_a_time_limit_ends_a_run(tmp_path: Path, cache: Path) -> None:
    processes = Processes(tmp_path, cache, **ENDLESS)
    try:
        alice, bob, server = (
            processes.start("alice", time_limit="0.5"),
            processes.start("bob"),
            processes.start("server"),
        )
        code, words = alice.ends()
        assert code == 1 and "the time limit has passed" in words and "at step" in words
        for other in (bob, server):
            code, words = other.ends()
            assert code == 1 and names_who_and_when("alice", words), words
    finally:
        processes.close()


def test_a_stop_while_waiting_is_a_stop(processes: Processes) -> None:
    alice = processes.start("alice")
    alice.reaches("joining")
    alice.signal(signal.SIGINT)
    assert alice.ends() == (1, "error: stopped while waiting for the others\n")
    assert alice.status()["phase"] == "failed"


def test_nobody_comes(processes: Processes) -> None:
    code, words = processes.start("server", wait="0.5").ends()
    assert code == 1
    alice, bob, _ = processes.hosts
    assert "error: alice and bob did not come within 0.5 s" in words
    assert f"alice at {alice}: Connection refused; bob at {bob}: Connection refused" in words


def test_parties_with_other_jobs_refuse_each_other(processes: Processes) -> None:
    processes.write_job("other.yaml", training=JOB["training"] | {"epochs": 6})
    parties = (
        processes.start("alice"),
        processes.start("bob", job="other.yaml"),
        processes.start("server"),
    )
    for one in parties:
        code, words = one.ends()
        assert code == 1
        assert "disagree: training.epochs: " in words and "bob has 6" in words
        assert "do: give all three parties the same job file" in words
        assert one.status()["phase"] == "failed"


def test_a_party_stays_for_its_cluster_and_does_no_job_twice(processes: Processes) -> None:
    parties = [
        processes.start(party, "--stay", status=f"127.0.0.{5 + n}:18080")
        for n, party in enumerate(PARTIES)
    ]
    for one in parties:
        one.reaches("done")

    def ask(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.5:18080{path}", timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    assert ask("/readyz") == "done\n"
    assert json.loads(ask("/status")) == {
        **{"phase": "done", "epoch": 5, "epochs": 5},
        **{"step": 80, "steps": 80, "version": 1},
    }
    metrics = ask("/metrics")
    assert 'party_phase{phase="done"} 1.0' in metrics and "party_step 80.0" in metrics
    sent = json.loads((parties[0].output / "report.json").read_text())["traffic"]["bytes_sent"]
    assert f"party_bytes_sent_total {float(sent)}" in metrics
    with pytest.raises(HTTPError, match="404"):
        ask("/model.json")

    before = parties[0].status()
    for one in parties:
        one.signal(signal.SIGTERM)
        assert one.ends() == (0, "")
    left = parties[0].output / "checkpoints/rows.sealed"  # of who was killed before it was away
    left.write_bytes(b"of the job that is done")
    again = processes.start("alice", "--stay", status="127.0.0.5:18080")
    again.says("this job was done before")
    assert not left.exists()
    assert ask("/readyz") == "done\n"
    assert again.status() == before
    again.signal(signal.SIGTERM)
    assert again.ends() == (0, "")

    # A changed job is a new run.
    processes.write_job("job.yaml", training=JOB["training"] | {"epochs": 6})
    again = processes.start("alice", "--stay")
    again.reaches("joining")


def test_two_parties_do_not_share_an_output(processes: Processes) -> None:
    first = processes.start("alice")
    first.reaches("joining")
    code, words = processes.start("bob", output="out/alice").ends()
    assert code == 2 and "another party is running with this output directory" in words
    assert first.process.poll() is None
