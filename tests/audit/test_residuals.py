"""The plans of linear regression's standard errors show nobody anything but what is opened at the
end: the matrix of all columns to who lacks some, and one number, what the model leaves of labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest

from party.agreement.job import Job
from party.audit import audit
from party.audit.audit import alike
from party.models.statistics.program import INFORM, RESIDUALS
from party.plan import Plan
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.audit.conftest import SPLIT, descent_job
from tests.audit.judge import Judge, judged
from tests.audit.mutants import some_of_every_kind
from tests.audit.test_refusals_of_descents import (
    ALICE,
    BOB,
    changed,
    kept_at,
    passed_on,
    slot,
    with_openings,
    without_openings,
)
from tests.audit.witness import Witness
from tests.harness.plans import short_plan

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

PROGRAMS = (INFORM, RESIDUALS)

SAMPLE = 8
"""Of the mutants of one kind and protocol."""


@pytest.fixture(params=["pond", "aby3"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each of them; SecureNN's programs are Pond's."""
    name: str = request.param
    return name


def agreed(protocol: str, **change: Any) -> Job:
    given: dict[str, Any] = {**SPLIT, "rows": 14, "result": "both", "statistics": True}
    return descent_job(protocol, **given | {"model": "linear-regression"} | change)


@cache
def plan_of(job: Job) -> Plan:
    return short_plan(PlanParameters.of(job))


def test_one_number_is_opened_at_the_end_to_the_named(protocol: str) -> None:
    for to in (("alice",), ("alice", "bob")):
        job = agreed(protocol, statistics={"to": to})
        plan = plan_of(job)
        for what in ("residual", "information"):
            found = [(one.program, one.to) for one in audit(plan, job).revealed if one.what == what]
            assert sorted(found) == [("open", party) for party in to]
        assert next(value.shape for value in plan.state if value.name == "residual") == (1, 1)


def test_who_has_all_columns_is_opened_that_number_alone() -> None:
    features = ("x0", "x1")
    job = agreed("pond", features=features, result="alice")
    opened = {(one.program, one.what) for one in audit(plan_of(job), job).revealed}
    without = agreed("pond", features=features, result="alice", statistics=None)
    before = {(one.program, one.what) for one in audit(plan_of(without), without).revealed}
    assert opened - before == {("open", "residual")} and before < opened


def test_every_message_is_accounted_for_and_secrets_can_be_exchanged(protocol: str) -> None:
    job = agreed(protocol)
    plan = plan_of(job)
    for found in audit(plan, job).programs:
        if found.name not in PROGRAMS:
            continue
        for view in found.views:
            assert not view.leaks
            assert view.messages == view.keys + view.hidden + view.transferred + view.known
        program = plan.by_name[found.name]
        witness = Witness(program, alike(plan, program))
        for part in witness.parts:
            witness.exchange(part)


# -- what is refused


def residuals_opens_the_sum(plan: Plan) -> Plan:
    """As it stands after each block of rows."""
    return with_openings(plan, "open", RESIDUALS)


def bob_is_not_told(plan: Plan) -> Plan:
    return without_openings(plan, "open", BOB)


def bobs_sum_sent_to_alice(plan: Plan) -> Plan:
    return passed_on(plan, RESIDUALS, slot(plan, RESIDUALS, "residual", BOB), ALICE)


def residuals_sent_unmasked(plan: Plan) -> Plan:
    """Bob's share of them, which is to be squared."""
    program = plan.by_name[RESIDUALS]
    label = next(
        o
        for o in program.operations
        if (o.kind, o.party, o.dtype.name) == ("Sub", BOB, "int64")
        and program.by_name[o.inputs[1]].kind == "Cast"
    )
    masked = next(o for o in program.operations if o.party == BOB and label.name in o.inputs)
    return changed(plan, RESIDUALS, replace(masked, kind="Identity", inputs=(label.name,)))


def labels_sent_unmasked(plan: Plan) -> Plan:
    program = plan.by_name[RESIDUALS]
    label = [o for o in program.operations if o.kind == "Cast" and o.party == BOB][-1]
    return kept_at(plan, RESIDUALS, label, ALICE)


REFUSED: dict[Callable[[Plan], Plan], str] = {
    residuals_opens_the_sum: "'residuals' opens a value, and runs again and again",
    bob_is_not_told: "opens something else than the job says, or to somebody else",
    bobs_sum_sent_to_alice: "bob would send alice .* bob's share of residual",
    residuals_sent_unmasked: "bob would send alice",
    labels_sent_unmasked: "bob would send alice .* bob's batch",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_reason(wrong: Callable[[Plan], Plan], protocol: str) -> None:
    job = agreed(protocol)
    with pytest.raises(JobError, match=REFUSED[wrong]):
        audit(wrong(plan_of(job)), job)


# -- mutants


@cache
def judge(protocol: str, program: str) -> Judge:
    return Judge(plan_of(agreed(protocol)), program)


def test_mutants_are_refused_or_harmless(protocol: str) -> None:
    job = agreed(protocol)
    mutants = some_of_every_kind(plan_of(job), PROGRAMS, SAMPLE)
    assert judged(mutants, job, partial(judge, protocol))["refused"]
