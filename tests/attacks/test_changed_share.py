"""A party changes a share of the model after it was computed, when it is about to be opened.

Real processes. With ``aby3`` two parties hold each share, and whoever receives the model is told by
both. With ``pond`` nobody else holds a share, and nobody can tell: the documentation says so.
"""

from __future__ import annotations

import sys

import pytest

from party.agreement.job import PARTIES, load_job
from tests.attacks.conftest import Tried
from tests.harness import plans
from tests.harness.processes import Processes, Running

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

CHANGING = """
import runpy
from party.runtime.course import Course
honest = Course._run
def run(self, stretch, program, *rest):
    if program == "open":
        for held in self.schedule.state:
            if held.share.value == "weights.alice" and held.share.position == {position}:
                self.room[held.place.offset + 2] ^= 64
    honest(self, stretch, program, *rest)
Course._run = run
runpy.run_module("party", run_name="__main__", alter_sys=True)
"""


def changing(processes: Processes, party: str, position: int) -> None:
    """Start all three, of which one changes one of its shares of Alice's weights."""
    for other in PARTIES:
        if other != party:
            processes.start(other)
    options = ["--job", "job.yaml", "--config", "config.json", "--keys", f"keys/{party}"]
    options += ["--output", f"out/{party}", "--cache", str(processes.cache), "--wait", "110"]
    options += ["--rejoin-limit", "0"]
    if party != "server":
        options += ["--table", f"{party}.csv"]
    command = [sys.executable, "-c", CHANGING.format(position=position), party, *options]
    folder = processes.directory
    processes.running.append(Running(party, command, folder / "out" / party, folder))


def alice(processes: Processes) -> Running:
    return next(one for one in processes.running if one.party == "alice")


@pytest.mark.parametrize(
    "party, position, suspects",
    [
        ("bob", 1, "bob or server"),  # the part that he sends to Alice
        ("server", 0, "bob or server"),  # the same part, of which she is told
        ("bob", 0, "alice or bob"),  # a part that she has, too
        ("server", 1, "alice or server"),
    ],
)
def test_with_aby3_who_receives_the_model_sees_it_and_says_who_it_may_be(
    processes: Processes, party: str, position: int, suspects: str, tried: Tried
) -> None:
    plans.cached(load_job(processes.write_job("job.yaml", protocol="aby3")), processes.cache)
    changing(processes, party, position)
    code, said = alice(processes).ends()
    assert code == 1 and f"two copies of a share differ, and {suspects} has changed it" in said
    assert not (alice(processes).output / "model.json").exists()
    for one in processes.running:
        code, said = one.ends()
        assert code == 1 and "Traceback" not in said, (one.party, said)
    tried(1, f"shares of a model that {party} changed before it was opened, with aby3")


def test_with_pond_nobody_can_tell(processes: Processes) -> None:
    changing(processes, "bob", 0)
    assert all(one.ends()[0] == 0 for one in processes.running)
    with pytest.raises(AssertionError):
        processes.is_right()
