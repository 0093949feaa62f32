"""What is written is whole, what is shown holds no value, and no traceback reaches anybody."""

from __future__ import annotations

import io
import json
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployer.certs.authority import make_authority, make_party
from party.agreement.job import Job, Training
from party.life.endings import told_in
from party.process import files
from party.process.errors import InputError, JobError
from party.process.exit import Stop, guarded, place_of
from party.reporting.expiry import Expiry
from party.reporting.status import Log, Status

JOB = Job(
    name="fraud",
    rows=8,
    features=("a",),
    label="y",
    training=Training(epochs=2, batch_size=4, learning_rate=0.1),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def status_with(output: Path, stream: io.StringIO) -> Status:
    return Status(output, JOB, "bob", Log("bob", stream))


def test_a_status_says_where_the_party_is(tmp_path: Path) -> None:
    stream = io.StringIO()
    status = status_with(tmp_path, stream)
    status.enter("joining", "waiting")
    status.waiting("waiting for alice (1 s of 9)", ["alice"])
    written = json.loads((tmp_path / "status.json").read_text())
    assert written["waiting_for"] == ["alice"] and written["job"] == JOB.digest
    status.enter("running", "all are here")
    status.step(3, 2.0)
    now = status.snapshot()
    assert (now.epoch, now.step, now.rate, now.remaining_s) == (2, 3, 2.0, 0.5)
    assert now.waiting_for == ()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events][-1] == (
        "epoch 2 of 2, step 3 of 4, 2 a second, 0 s left"
    )
    status.beside("counting rows", 5, 20, 0.1)
    now = status.snapshot()
    assert (now.step, now.doing) == (3, "counting rows, 5 of 20, 2 min left")
    status.step(4, None)
    assert status.snapshot().doing == "step 4 of 4"
    assert all(event["party"] == "bob" for event in events)


def test_a_failure_is_remembered_by_who_is_started_again(tmp_path: Path) -> None:
    first = status_with(tmp_path, io.StringIO())
    first.enter("failed", "no room", cause="disk-full")
    again = status_with(tmp_path, io.StringIO())
    assert again.snapshot().last_cause == "disk-full"
    assert again.snapshot().last_failed == first.snapshot().updated
    third = status_with(tmp_path, io.StringIO())
    assert third.snapshot().last_cause == "disk-full"
    other = Job.model_validate(JOB.model_dump() | {"rows": 9})
    assert Status(tmp_path, other, "bob", Log("bob", io.StringIO())).snapshot().last_cause is None


def test_a_checkpoint_is_remembered_until_its_job_is_done(tmp_path: Path) -> None:
    first = status_with(tmp_path, io.StringIO())
    first.kept("2026-01-01T00:00:00.000+00:00")
    first.enter("running", "trains")
    again = status_with(tmp_path, io.StringIO())
    assert again.snapshot().checkpoint == first.snapshot().checkpoint
    again.enter("done", "done")
    assert status_with(tmp_path, io.StringIO()).snapshot().checkpoint is None


def test_the_certificate_that_lies_there_now_is_the_one_that_is_told(tmp_path: Path) -> None:
    status, keys = status_with(tmp_path, io.StringIO()), tmp_path / "keys"
    keys.mkdir()
    status.watch_certificate(Expiry(keys))
    assert status.snapshot().certificate_expires is None
    authority = make_authority("fraud")
    for days in (1.0, 3.0):
        made = make_party(authority, "bob", days)
        files.replace(keys / "tls.crt", made["tls.crt"])
        told = datetime.fromisoformat(str(status.snapshot().certificate_expires))
        left = (told - datetime.now(UTC)).total_seconds() / 86400
        assert days - 0.01 < left <= days


def test_what_ends_a_program_is_left_for_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise JobError("no room", "/state", "make some", cause="disk-full")

    monkeypatch.setenv("TFE_KIT_LAST_WORDS", str(tmp_path / "words"))
    assert guarded(fail) == 1
    words = (tmp_path / "words").read_text()
    assert words == "error: no room\n  where: /state\n  do: make some\n  cause: disk-full\n"


def test_who_is_stopped_in_the_middle_of_an_import_is_not_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the library that is imported makes of it."""
    status = status_with(tmp_path, io.StringIO())
    monkeypatch.setattr(Stop, "asked", True)
    with pytest.raises(JobError, match="stopped while starting"), told_in(status):
        raise ImportError("a library cannot be imported")
    assert status.snapshot().cause == "stopped"


@pytest.mark.parametrize("asked", [True, False])
def test_a_stop_is_the_cause_that_is_left_for_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    def fail() -> None:
        raise ImportError if asked else Stop

    monkeypatch.setattr(Stop, "asked", asked)
    monkeypatch.setenv("TFE_KIT_LAST_WORDS", str(tmp_path / "words"))
    assert guarded(fail) == 1
    assert (tmp_path / "words").read_text() == "error: stopped\n  cause: stopped\n"


def test_a_full_disk_ends_nobody_who_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    status = status_with(tmp_path, stream)
    replace = files.replace

    def full(path: Path, *_: object, **__: object) -> None:
        raise JobError("no space", str(path), "free some", cause="disk-full")

    def broken(path: Path, *_: object, **__: object) -> None:
        raise JobError("a broken disk", str(path))

    monkeypatch.setattr(files, "replace", full)
    status.enter("running", "all are here")
    status.enter("rejoining", "bob is gone")
    assert status.snapshot().disk_full and status.snapshot().phase == "rejoining"
    assert stream.getvalue().count("no space") == 1
    with pytest.raises(JobError, match="no space"):
        status.enter("done", "done")
    monkeypatch.setattr(files, "replace", broken)
    with pytest.raises(JobError, match="a broken disk"):
        status.enter("running", "again")
    monkeypatch.setattr(files, "replace", replace)
    status.enter("running", "there is room")
    assert not status.snapshot().disk_full
    written = json.loads((tmp_path / "status.json").read_text())
    assert (written["disk_full"], written["message"]) == (False, "there is room")


def test_progress_on_a_terminal_takes_one_line(tmp_path: Path) -> None:
    stream = Terminal()
    status = status_with(tmp_path, stream)
    for step in (1, 2, 3):
        status.step(step, None)
    status.enter("done", "done")
    assert stream.getvalue().count("\n") == 2


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    files.replace_json(path, {"n": 0, "pad": ""})
    ended = threading.Event()

    def write() -> None:
        n = 0
        while not ended.is_set():
            n += 1
            files.replace_json(path, {"n": n, "pad": "x" * (n % 7) * 1000})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2000):
            value = json.loads(path.read_bytes())
            assert value["pad"] == "x" * (value["n"] % 7) * 1000
    finally:
        ended.set()
        writer.join()
    assert [one.name for one in tmp_path.iterdir()] == ["status.json"]


def test_a_file_is_its_owners_unless_said_otherwise(tmp_path: Path) -> None:
    files.replace(tmp_path / "model.json", b"{}")
    assert stat.S_IMODE((tmp_path / "model.json").stat().st_mode) == 0o600


def test_a_disk_that_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot write the file: No such file or directory"):
        files.replace(tmp_path / "nowhere" / "file", b"")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("bad", "here", "mend it"), 2, "error: bad\n  where: here\n  do: mend it\n"),
        (JobError("failed"), 1, "error: failed\n"),
        (KeyboardInterrupt(), 1, "error: stopped\n"),
        (SystemExit(0), 0, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_the_edge_shows_an_error_once(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    assert guarded(command) == code
    assert capsys.readouterr().err == words


def test_an_internal_error_is_told_without_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        salary = "4711"
        raise ValueError(f"no such row: {salary}")

    assert guarded(command) == 1
    words = capsys.readouterr().err
    assert words.startswith("error: internal error: ValueError at test_status.py:")
    assert "4711" not in words and "Traceback" not in words
    assert place_of(ValueError("4711")) == "ValueError"


def test_nothing_that_an_error_says_moves_a_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise JobError("bob said \x1b[2J\x9b1A\r", "here\x07", "do\x00 this")

    assert guarded(command) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["error: bob said ?[2J?1A?", "  where: here?", "  do: do? this"]
