"""A party audits what it builds before it opens anything: processes of a changed package."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.harness.processes import PATIENCE_S, Processes, Running

pytestmark = pytest.mark.slow

UNMASKED = """

honest = build

def build(parameters):
    from tests.audit.mutants import Mutator
    plan = honest(parameters)
    step = plan.by_name["step"]
    weights = next(
        s.operation for s in step.reads if (s.share.value, s.share.party) == ("weights.alice", 1)
    )
    sent = next(o for o in step.operations if o.kind == "Sub" and o.inputs[0] == weights)
    dropped = Mutator(plan, "step").of_kind("drop")
    return next(m.plan for m in dropped if f"from {sent.name} (" in m.what)
"""
"""At the end of ``party/compiler/build.py``: Bob's share of the weights goes out unmasked."""

OVERHEARD = """
import os, sys

def overheard(event, given):
    if event.startswith("socket."):
        with open(f"sockets-{os.getpid()}", "a") as file:
            print(event, *given[1:], file=file)

sys.addaudithook(overheard)
"""
"""At the end of ``party/__init__.py``: all that a process does with sockets is written down."""


def alone(directory: Path, party: str, more: dict[str, str]) -> tuple[Running, Processes]:
    """A party that nobody joins, ended. It runs a copy of the package, which it finds first, where
    files have more at their ends."""
    processes = Processes(directory, directory / "cache")
    shutil.copytree("party", directory / "party")
    for name, text in more.items():
        with (directory / "party" / name).open("a") as file:
            file.write(text)
    one = processes.start(party, wait="1")
    one.process.wait(PATIENCE_S)
    processes.close()
    return one, processes


@pytest.mark.drawn
@pytest.mark.parametrize("party", ["alice", "server"])
def test_a_party_does_not_start_with_a_plan_that_its_own_audit_refuses(
    tmp_path: Path, party: str
) -> None:
    """One that others dial, and one that dials."""
    more = {"__init__.py": OVERHEARD, "compiler/build.py": UNMASKED}
    one, processes = alone(tmp_path, party, more)
    code, said = one.ends()
    assert (code, said.count("Traceback")) == (1, 0), said
    assert re.search(
        "the plan is refused: bob would send alice .* bob's share of weights.alice", said
    )
    assert re.search(r"where: operation '\S+' of the plan", said)
    assert one.status()["phase"] == "failed"
    assert not list(processes.cache.rglob("*schedule*"))
    assert sockets(tmp_path, one) == []
    done = {line.split()[0] for file in tmp_path.glob("sockets-*") for line in file.open()}
    # A library that the builder imports binds one, to see whether the machine has IPv6.
    assert done <= {"socket.__new__", "socket.bind"}


def test_a_party_with_its_own_plan_opens_its_port(tmp_path: Path) -> None:
    """And is overheard: the test of the test."""
    one, processes = alone(tmp_path, "alice", {"__init__.py": OVERHEARD})
    assert "did not come" in one.ends()[1]
    assert list(processes.cache.rglob("*.schedule"))
    own = processes.hosts[0]
    assert f"socket.bind {(own.host, own.port)}" in sockets(tmp_path, one)


def sockets(directory: Path, one: Running) -> list[str]:
    """What a process did with sockets."""
    file = directory / f"sockets-{one.process.pid}"
    return file.read_text().splitlines() if file.exists() else []
