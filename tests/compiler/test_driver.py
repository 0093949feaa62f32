"""Why a plan could not be built is told apart, whoever made it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from party.compiler import driver
from party.process import children
from party.process.errors import ErrorDocument, JobError
from tests.reporting.test_status import JOB


def built_by(program: str, monkeypatch: pytest.MonkeyPatch) -> JobError:
    monkeypatch.setattr(children, "command", lambda _: [sys.executable, "-c", program])
    with pytest.raises(JobError) as told:
        driver.build_schedules(JOB, Path(), [0])
    return told.value


def test_a_builder_that_the_kernel_ends_lacked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    error = built_by("import os; os.kill(os.getpid(), 9)", monkeypatch)
    assert error.cause == "out-of-memory" and "ran out of memory" in str(error)
    assert built_by("import sys; sys.exit(3)", monkeypatch).cause == "internal"


def test_a_builder_says_what_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ErrorDocument.of(JobError("no space", cause="disk-full")).to_json()
    assert built_by(f"print({told!r})", monkeypatch).cause == "disk-full"


def test_a_builder_gets_all_of_a_long_request_though_it_is_looked_at_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that reads late, of a request that no pipe takes at once."""
    looked = tmp_path / "looked"
    os.mkfifo(looked)
    program = f"import sys; open({str(looked)!r}).read(); print(len(sys.stdin.read()))"
    monkeypatch.setattr(children, "command", lambda _: [sys.executable, "-c", program])
    long = JOB.model_copy(update={"features": tuple(f"f{n:09}" for n in range(20_000))})

    def look() -> None:
        if looked.exists():
            looked.write_text("")
            looked.unlink()

    answer: int = driver._ask_builder(long, tmp_path, [0], look)  # type: ignore[assignment]
    assert answer > 200_000


def test_what_is_seen_meanwhile_ends_the_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "command", lambda _: ["tail", "-f", "/dev/null"])

    def look() -> None:
        raise JobError("bob is gone")

    with pytest.raises(JobError, match="bob is gone"):
        driver.build_schedules(JOB, Path(), [0], look)
