"""The plans of standard errors show nobody anything but the matrix that is opened at the end.

It is opened to whom the job names and who lacks columns, once, and in one triangle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest

from party.agreement.job import Job
from party.audit import audit
from party.audit.audit import Report, alike
from party.models.statistics.program import INFORM, UNSCALE
from party.plan import Plan
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.audit.conftest import SPLIT, descent_job
from tests.audit.judge import Judge, judged
from tests.audit.mutants import some_of_every_kind
from tests.audit.test_refusals_of_descents import (
    BOB,
    SERVER,
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

PROTOCOLS = ("pond", "aby3")
"""SecureNN's programs are Pond's."""

PROGRAMS = (INFORM, UNSCALE)

SAMPLE = 8
"""Of the mutants of one kind and protocol."""


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    name: str = request.param
    return name


def agreed(protocol: str, **change: Any) -> Job:
    given: dict[str, Any] = {**SPLIT, "rows": 6, "result": "both", "statistics": True}
    return descent_job(protocol, **given | change)


@cache
def plan_of(job: Job) -> Plan:
    return short_plan(PlanParameters.of(job))


def audited(protocol: str, **change: Any) -> Report:
    job = agreed(protocol, **change)
    return audit(plan_of(job), job)


@pytest.mark.parametrize("to", [("alice",), ("alice", "bob")])
def test_the_matrix_is_revealed_once_and_to_the_named(protocol: str, to: tuple[str, ...]) -> None:
    revealed = audited(protocol, statistics={"to": to}).revealed
    found = [(each.program, each.to) for each in revealed if each.what == "information"]
    assert sorted(found) == [("open", party) for party in to]


def test_one_triangle_is_opened(protocol: str) -> None:
    plan = plan_of(agreed(protocol))
    columns = plan.parameters.layout.all_columns
    (value,) = (value for value in plan.state if value.name == "information")
    assert value.shape == (columns * (columns + 1) // 2, 1)


def test_who_has_all_columns_is_opened_nothing_more() -> None:
    alone = descent_job("pond", statistics=True)
    without = descent_job("pond")
    assert PlanParameters.of(alone) == PlanParameters.of(without)


def test_every_message_is_accounted_for_and_the_server_receives_none(protocol: str) -> None:
    for program in audited(protocol).programs:
        if program.name in PROGRAMS:
            assert program.views[SERVER].messages == 0 or protocol == "aby3"
            for view in program.views:
                assert not view.leaks
                assert view.messages == view.keys + view.hidden + view.transferred + view.known


def test_all_secrets_can_be_exchanged_under_each_view(protocol: str) -> None:
    plan = plan_of(agreed(protocol))
    for name in PROGRAMS:
        program = plan.by_name[name]
        witness = Witness(program, alike(plan, program))
        for part in witness.parts:
            witness.exchange(part)


# -- what is refused


def inform_opens_the_matrix(plan: Plan) -> Plan:
    """As it stands after each block of rows."""
    return with_openings(plan, "open", INFORM)


def ask_opens_the_matrix(plan: Plan) -> Plan:
    return with_openings(plan, "open", "ask")


def bob_is_not_told(plan: Plan) -> Plan:
    return without_openings(plan, "open", BOB)


def alices_products_sent_to_bob(plan: Plan) -> Plan:
    return passed_on(plan, INFORM, slot(plan, INFORM, "products.alice", 0), BOB)


def scores_sent_unmasked(plan: Plan) -> Plan:
    """Bob's share of them, which is to be squared."""
    program = plan.by_name[INFORM]
    masked = next(
        o
        for o in program.operations
        if (o.kind, o.party, o.dtype.name) == ("AddV2", BOB, "int64")
        and program.by_name[o.inputs[0]].kind == "Reshape"
        and program.by_name[o.inputs[1]].kind == "KitUniform"
    )
    return changed(plan, INFORM, replace(masked, kind="Identity", inputs=masked.inputs[:1]))


def rows_sent_unmasked(plan: Plan) -> Plan:
    program = plan.by_name[INFORM]
    table = next(o for o in program.operations if o.kind == "Cast" and o.party == 0)
    return kept_at(plan, INFORM, table, BOB)


def way_back_sent_unmasked(plan: Plan) -> Plan:
    """It says how alice's columns hang together."""
    program = plan.by_name[UNSCALE]
    home = next(o for o in program.operations if o.kind == "Cast" and o.party == 0)
    return kept_at(plan, UNSCALE, home, BOB)


SOMETHING_ELSE = "opens something else than the job says, or to somebody else"

REFUSED: dict[Callable[[Plan], Plan], str] = {
    inform_opens_the_matrix: "'inform' opens a value, and runs again and again",
    ask_opens_the_matrix: SOMETHING_ELSE,
    bob_is_not_told: SOMETHING_ELSE,
    alices_products_sent_to_bob: "alice would send bob .* alice's share of products.alice",
    scores_sent_unmasked: "bob would send alice",
    rows_sent_unmasked: "alice would send bob .* alice's batch",
    way_back_sent_unmasked: "alice would send bob .* alice's batch",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_reason(wrong: Callable[[Plan], Plan], protocol: str) -> None:
    job = agreed(protocol)
    with pytest.raises(JobError, match=REFUSED[wrong]):
        audit(wrong(plan_of(job)), job)


def test_who_is_not_named_is_told_nothing(protocol: str) -> None:
    alone = agreed(protocol, statistics={"to": ("alice",)})
    telling = replace(plan_of(alone), programs=plan_of(agreed(protocol)).programs)
    with pytest.raises(JobError, match=SOMETHING_ELSE):
        audit(telling, alone)


# -- mutants


@cache
def judge(protocol: str, program: str) -> Judge:
    return Judge(plan_of(agreed(protocol)), program)


def test_mutants_are_refused_or_harmless(protocol: str) -> None:
    job = agreed(protocol)
    mutants = some_of_every_kind(plan_of(job), PROGRAMS, SAMPLE)
    assert judged(mutants, job, partial(judge, protocol))["refused"]
