"""Why a plan could not be built is told apart, whoever made it."""

from __future__ import annotations

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
