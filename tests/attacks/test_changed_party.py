"""A party that changed its job, its plan or its software is refused by both others, by name.

Real processes with real keys. Nobody starts to train, so no share of anything has left anybody.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from party.job import PARTIES, Job
from party.plan import Plan
from party.plan.parameters import PlanParameters
from party.schedule import cache as store
from party.schedule.schedule import schedule
from tests import compiler
from tests.attacks.conftest import Tried
from tests.attacks.siege import Siege
from tests.audit.mutants import Mutator
from tests.runtime.scene import JOB, Running

TRAINING: dict[str, Any] = JOB["training"]
JOBS: dict[str, dict[str, Any]] = {
    "training.batch_size": {"training": TRAINING | {"batch_size": 8}},
    "training.epochs": {"training": TRAINING | {"epochs": 6}},
    "training.learning_rate": {"training": TRAINING | {"learning_rate": 0.25}},
    "features": {"features": ["age", "income"]},
    "label": {"label": "guilt"},
    "protocol": {"protocol": "aby3"},
}

CHANGED = """
import runpy
import sys
import party.channel.hello
honest = party.channel.hello.hello
def changed(*given):
    words = honest(*given)
    {change}
    return words
sys.modules["party.channel.join"].hello = changed
runpy.run_module("party", run_name="__main__", alter_sys=True)
"""
"""A party that says another thing than the honest one, and else is as it should be."""

WORDS = {
    # Who gets the model: an honest party's job cannot say another, so this one says it itself.
    "result": "words['job'] = 64 * '0'; words['job_fields']['result'] = '\"bob\"'",
    "versions.tensorflow": "words['versions']['tensorflow'] = '2.20.0'",
    "versions.tf_encrypted": "words['versions']['tf_encrypted'] = '0.9.0'",
    "versions.kit": "words['versions']['kit'] = '0.0.0'",
    "protocol_version": "words['protocol_version'] += 1",
}


def refused(siege: Siege, field: str) -> None:
    """Everybody has ended, for that field; nobody trained."""
    for one in siege.running:
        code, said = one.ends()
        assert (code, said.count("Traceback")) == (1, 0), said
        assert f"{field}: " in said and " disagree" in said, said
        assert not any(event.get("phase") == "running" for event in one.events())
        assert one.status()["step"] == 0
        assert not (one.output / "model.json").exists()
        assert not (one.output / "report.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("field", JOBS)
def test_a_party_with_another_job_is_refused(siege: Siege, field: str, tried: Tried) -> None:
    other = siege.write_job("other.yaml", **JOBS[field])
    for party in PARTIES:
        siege.start(party, job=other.name if party == "server" else "job.yaml")
    refused(siege, field)
    tried(1, f"jobs of which one party changed {field}")


@pytest.mark.parametrize("field", WORDS)
@pytest.mark.parametrize("odd", PARTIES)
def test_a_party_that_says_another_thing_is_refused(
    siege: Siege, odd: str, field: str, tried: Tried
) -> None:
    for party in PARTIES:
        if party != odd:
            siege.start(party)
    options = ["--job", "job.yaml", "--config", "config.json", "--keys", f"keys/{odd}"]
    options += ["--output", f"out/{odd}", "--cache", str(siege.cache), "--wait", "60"]
    if odd != "server":
        options += ["--table", f"{odd}.csv"]
    command = [sys.executable, "-c", CHANGED.format(change=WORDS[field]), odd, *options]
    siege.running.append(Running(odd, command, siege.directory / "out" / odd, siege.directory))
    refused(siege, field)
    tried(1, f"jobs in which {odd} has another {field}")


AGREED = PlanParameters.of(Job.model_validate_json(json.dumps(JOB)))
CHANGES = {"a mask dropped": "drop", "an operation more, that shows another party a value": "send"}


def with_one_thing_changed(kind: str, odd: int) -> Plan:
    """A plan of which the odd party's own part is another."""
    plan = compiler.plan(AGREED)
    honest = schedule(plan, odd)
    for mutant in Mutator(plan).of_kind(kind):
        if len(schedule(changed := mutant.plan, odd).step) != len(honest.step):
            return changed
    raise AssertionError("none of the changes is in this party's part")


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("odd", PARTIES)
def test_a_party_that_runs_another_plan_is_refused(
    siege: Siege, odd: str, change: str, tmp_path: Path, tried: Tried
) -> None:
    """Its software is as it should be; the schedule that it made itself, past its audit, is not."""
    number = PARTIES.index(odd)  # type: ignore[arg-type]
    own = tmp_path / "own cache"
    plan = with_one_thing_changed(CHANGES[change], number)
    store.save(store.path(own, AGREED, number), schedule(plan, number))
    for party in PARTIES:
        siege.start(party, cache=str(own if party == odd else siege.cache))
    refused(siege, "plan")
    assert any(plan.digest[:12] in event["event"] for event in siege.running[number].events())
    tried(1, f"jobs in which {odd} runs a plan with {change}")
