"""The plan of a job that opens a kept model is its opening, and the audit names that; mutants of
it, and of a plan that begins from such a model, are refused or harmless."""

from __future__ import annotations

from functools import cache

import pytest

from party.agreement.job import Descent, Job
from party.audit import audit
from party.plan.cut import cut
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.audit.conftest import ARRANGED, descent_job, plan_of
from tests.audit.judge import Judge, judged
from tests.audit.mutants import some_of_every_kind, with_program
from tests.harness.plans import short_plan

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


def opening(protocol: str, result: str = "own") -> Job:
    """A job that opens a model of columns at both."""
    agreed = descent_job(protocol, **ARRANGED["columns at both"])
    return Job.model_validate(agreed.model_dump() | {"result": result, "kept": "0" * 64})


@pytest.mark.parametrize(("protocol", "senders"), [("pond", {0, 1}), ("aby3", {0, 1})])
def test_only_shares_of_what_is_opened_cross(protocol: str, senders: set[int]) -> None:
    opened = opening(protocol)
    plan = plan_of(opened)
    report = audit(plan, opened)
    assert [program.name for program in plan.programs] == ["open"]
    assert {value.name for value in plan.state} == {"weights.alice", "weights.bob"}
    assert [(each.what, each.to) for each in report.revealed] == [
        ("weights.alice", "alice"),
        ("weights.bob", "bob"),
    ]
    messages = cut(plan.by_name["open"]).messages
    assert len(messages) == 2 and {m.receiver for m in messages} == {0, 1}
    assert {m.sender for m in messages} <= senders


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_a_training_that_keeps_its_model_opens_no_weights(protocol: str) -> None:
    agreed = descent_job(protocol, **ARRANGED["columns at both"])
    kept = Job.model_validate(agreed.model_dump() | {"result": "kept"})
    report = audit(plan_of(kept), kept)
    assert {each.what for each in report.revealed} <= {"settled", "inside"}


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_an_opening_to_others_than_the_job_says_is_refused(protocol: str) -> None:
    own = opening(protocol)
    for result in ("alice", "bob", "both"):
        others = plan_of(opening(protocol, result)).by_name["open"]
        with pytest.raises(JobError, match="opens something else than the job says"):
            audit(with_program(plan_of(own), others), own)


@pytest.mark.parametrize("result", ["alice", "own"])
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_mutants_are_refused_or_harmless(protocol: str, result: str) -> None:
    job = opening(protocol, result)
    plan = plan_of(job)
    judge = cache(lambda name: Judge(plan, name))
    tally = judged(some_of_every_kind(plan, ["open"], most=20), job, judge)
    assert tally["refused"] and tally.total() >= 10


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_mutants_of_a_beginning_are_refused_or_harmless(protocol: str) -> None:
    """Of the program that takes a kept model to the first point."""
    training = Descent(passes=1, start="0" * 64)
    job = descent_job(protocol, 6, **ARRANGED["columns at both"] | {"training": training})
    plan = short_plan(PlanParameters.of(job))
    judge = cache(lambda name: Judge(plan, name))
    tally = judged(some_of_every_kind(plan, ["prepare"], most=8), job, judge)
    assert tally["refused"] and tally.total() >= 50
