"""``deployer audit JOB``: what it says, and its exit codes."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from deployer import cli
from deployer.commands.audit import SAYS, explained
from party.agreement.job import Job
from party.audit import audit
from party.compiler import driver as prepare
from party.models import descent, reach
from party.models.evaluation import program as evaluation
from party.models.joint_scores import model as joint_scores
from party.models.statistics import program as statistics
from party.process.errors import JobError
from tests.audit.conftest import job, plan_of
from tests.audit.mutants import Mutator

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


def test_whatever_may_be_revealed_beside_the_weights_has_words() -> None:
    values = {descent.SETTLED, reach.INSIDE, statistics.INFORMATION, statistics.RESIDUAL}
    assert set(SAYS) == values | {evaluation.SCORES, evaluation.JOINED, joint_scores.SUMS}
    report = {"revealed": [{"what": "weights.alice"}, *({"what": "scores"} for _ in range(2))]}
    assert explained(report) == [f"scores: {SAYS['scores']}."]
