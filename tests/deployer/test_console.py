"""What commands show: plain lines, a table on a terminal, and each change once."""

from __future__ import annotations

import pytest

from deployer import console
from deployer.cluster.pod_status import Observation
from party.reporting.documents import StatusDocument


def seen(party: str, phase: str, says: str, **more: object) -> Observation:
    return Observation(party, "bank, here", f"fraud-{party}-0", phase, says, **more)  # type: ignore[arg-type]


PARTIES = [
    seen("alice", "running", "step 1 of 9"),
    seen("bob", "broken", "lacks an image", do="push it", restarts=2),
]


def test_a_line_says_the_party_and_the_one_below_what_to_do() -> None:
    assert console.lines(PARTIES, {"server": "helper.example:7000"}) == [
        "alice   running    step 1 of 9",
        "bob     broken     lacks an image (2 restarts)",
        f"{'':<18} do: push it",
        "server  elsewhere  at helper.example:7000",
    ]


def test_the_table_says_the_same() -> None:
    from rich.console import Console

    screen = Console(width=100, color_system=None)
    with screen.capture() as shown:
        screen.print(console.table(PARTIES, {"server": "helper.example:7000"}))
    for words in ("step 1 of 9", "lacks an image (2 restarts)", "do: push it", "helper.example"):
        assert words in shown.get()


def test_watching_shows_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Watch({}) as view:
        view.show([seen("alice", "plan", "builds")])
        view.show([seen("alice", "plan", "builds")])
        view.show([seen("alice", "running", "step 1 of 9")])
        view.show([seen("alice", "running", "step 2 of 9")])
    assert capsys.readouterr().out.splitlines() == [
        "alice   plan       builds",
        "alice   running    step 1 of 9",
    ]


def test_a_watch_tells_each_tenth_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Watch({}) as view:
        for step in range(1, 101):
            own = StatusDocument(
                party="alice",
                job="0" * 64,
                phase="running",
                epoch=1,
                epochs=1,
                step=step,
                steps=100,
                remaining_s=100.0 - step,
                started="then",
                updated="now",
            )
            view.show([seen("alice", "running", own.doing, own=own)])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 11 and told[5].endswith("step 50 of 100, 50 s left")


def test_a_quiet_watch_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Watch({}, quiet=True) as view:
        view.show(PARTIES)
    assert capsys.readouterr().out == ""
