"""For how long a party looks for one that was lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from party.process.errors import JobError
from party.runtime import Assignment, sealed
from party.runtime.course import Course, LostError
from party.runtime.meeting import Common
from party.runtime.sealed import _Party

LIMIT_S = 600.0


class Clock:
    """Seconds go by as the test says."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(sealed, "time", made)
    return made


def party() -> _Party:
    assignment = SimpleNamespace(
        rejoin_s=LIMIT_S,
        party="alice",
        job=SimpleNamespace(matches=False, compares_order=False),
        checkpoints=SimpleNamespace(points=lambda: []),
        status=SimpleNamespace(enter=lambda *_, **__: None, rejoined=lambda: None),
    )
    course = SimpleNamespace(
        points=[],
        time_left_s=float("inf"),
        all_have_all=False,
        has_all=False,
        lineage="ab" * 32,
        steps=0,
        holding=lambda: None,
        go_to=lambda *_: None,
        through=lambda *_: None,
    )
    return _Party(cast(Assignment, assignment), course=cast(Course, course))


def at(one: _Party, number: int) -> None:
    """The run has come to a point."""
    cast(Any, one.course).points = [SimpleNamespace(number=number)]


def goes_on(one: _Party, number: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage = "" if number is None else "ab" * 32
    common = Common(lineage, number, False, (), 5000)
    monkeypatch.setattr(sealed, "meet", lambda *_: common)
    one.go_on(cast(Any, SimpleNamespace(connections=[None, None, None], run="cd" * 32)))


@pytest.mark.parametrize("number", [None, 40])
def test_a_run_that_has_gone_back_and_come_on_since_has_all_the_time_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """As after a lost volume, at which all begin again: the next fault is another one, though the
    run is not yet where it was."""
    one = party()
    at(one, 100_000)
    assert one.after(LostError("bob went away")) == LIMIT_S
    goes_on(one, number, monkeypatch)
    clock.now = 2 * LIMIT_S
    at(one, 5_000)
    assert one.after(LostError("bob went away")) == LIMIT_S


def test_a_run_that_does_not_come_on_ends_with_the_limit(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = party()
    at(one, 40)
    one.after(LostError("bob went away"))
    goes_on(one, 40, monkeypatch)
    clock.now = LIMIT_S - 1
    assert one.after(LostError("bob went away")) == 1
    goes_on(one, 40, monkeypatch)
    clock.now = LIMIT_S
    with pytest.raises(JobError, match="bob went away"):
        one.after(LostError("bob went away"))
