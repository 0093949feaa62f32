"""A party that stays waits for what it was not given, says so, and goes on once it is mended."""

from __future__ import annotations

import shutil

import pytest

from tests.harness.processes import Processes


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize(
    ("lacking", "phase", "words"),
    [("keys/bob", "starting", "no ca.crt"), ("bob.csv", "table", "No such file")],
)
def test_what_comes_late_is_taken_when_it_comes(
    processes: Processes, lacking: str, phase: str, words: str
) -> None:
    aside = processes.directory / "aside"
    shutil.move(processes.directory / lacking, aside)
    bob = processes.start("bob", "--stay")
    bob.reaches(phase)
    bob.says(words)
    shutil.move(aside, processes.directory / lacking)
    bob.reaches("joining")
    status = bob.status()
    assert status["where"] is None and status["hint"] is None
    told = [event["event"] for event in bob.events() if words in event["event"]]
    assert len(told) == 1, "what is wrong is said once, however often it is looked at"


def test_without_staying_it_ends(processes: Processes) -> None:
    shutil.rmtree(processes.directory / "keys" / "bob")
    code, said = processes.start("bob").ends()
    assert code == 2 and "ca.crt" in said
