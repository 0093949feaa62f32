"""``deployer audit JOB``: what it says, and its exit codes; and that parties ask it themselves."""

from __future__ import annotations

import json
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from deployer import cli
from party.agreement.job import Job
from party.audit import audit
from party.compiler import driver as prepare
from party.process.errors import JobError
from tests.audit.conftest import job, plan_of
from tests.audit.mutants import Mutator
from tests.harness.processes import PATIENCE_S, Processes, Running

pytestmark = pytest.mark.slow


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A job's file; JSON is YAML."""
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(job("pond").model_dump(mode="json")))
    return path


def deployer(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command."""
    monkeypatch.setattr("sys.argv", ["deployer", *arguments])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    return int(leaving.value.code or 0)


def test_it_names_what_is_revealed_and_counts_what_is_not(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agreed = job("pond")
    report = audit(plan_of(agreed), agreed).as_json()
    monkeypatch.setattr(prepare, "audited", lambda job: report)
    assert deployer(monkeypatch, "audit", str(file)) == 0
    said = capsys.readouterr().out
    assert "weights.alice, to alice" in said
    assert "step: server receives 0 messages" in said


def test_for_machines_it_is_json(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployer(monkeypatch, "audit", str(file), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["job"] == job("pond").digest
    (revealed,) = report["revealed"]
    assert (revealed["what"], revealed["to"]) == ("weights.alice", "alice")
    assert (revealed["sent_by"], revealed["program"]) == (["bob"], "open")


def test_a_refused_plan_is_exit_code_1(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(agreed: Job) -> dict[str, Any]:
        raise JobError("the plan is refused: as a test", "operation 'x' of the plan")

    monkeypatch.setattr(prepare, "audited", refused)
    assert deployer(monkeypatch, "audit", str(file)) == 1
    assert "operation 'x' of the plan" in capsys.readouterr().err


def test_a_wrong_job_is_exit_code_2(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("name: audit")
    assert deployer(monkeypatch, "audit", str(file)) == 2
    assert "the job is wrong" in capsys.readouterr().err


def test_no_schedule_is_kept_of_a_plan_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed = job("pond")
    plan = plan_of(agreed)
    masked = next(o for o in plan.by_name["step"].operations if (o.kind, o.party) == ("Sub", 1))
    dropped = Mutator(plan, "step").dropped()
    unmasked = next(m.plan for m in dropped if f"from {masked.name} (" in m.what)
    monkeypatch.setattr(import_module("party.compiler.build"), "build", lambda parameters: unmasked)
    with pytest.raises(JobError, match="the plan is refused"):
        prepare._build(agreed, tmp_path, [0, 1, 2])
    assert not list(tmp_path.iterdir())


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
