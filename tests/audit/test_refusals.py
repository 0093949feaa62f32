"""What is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from party.audit import audit
from party.faults import JobFault
from party.job import Job
from party.plan import Plan
from party.plan.graph import Operation
from tests.audit.conftest import job, plan_of
from tests.audit.mutants import with_operations


@pytest.fixture
def agreed() -> Job:
    return job("pond")


def first(plan: Plan, kind: str, party: int | None) -> Operation:
    return next(o for o in plan.operations if o.kind == kind and o.party == party)


def label(plan: Plan) -> Operation:
    return plan.by_name[plan.inputs[1]]


def at_alice(plan: Plan, operation: Operation) -> Plan:
    """The plan in which alice's share becomes something that is computed from an operation."""
    shared, after = plan.state[0][0]
    shown = replace(plan.by_name[after], name="shown", kind="Identity", inputs=(operation.name,))
    shown = replace(shown, shape=operation.shape, dtype=operation.dtype)
    state = (((shared, after), (plan.state[0][0][0], "shown")), *plan.state[1:])
    return replace(plan, operations=(*plan.operations, shown), state=state)


def reads_labels(plan: Plan) -> Plan:
    return at_alice(plan, label(plan))


def computes_on_labels(plan: Plan) -> Plan:
    return at_alice(plan, next(o for o in plan.operations if label(plan).name in o.inputs))


def placed_nowhere(plan: Plan) -> Plan:
    return with_operations(plan, [replace(first(plan, "AddV2", 0), party=None)])


def seed_of_everybody(plan: Plan) -> Plan:
    return with_operations(plan, [replace(first(plan, "KitSeed", 2), party=None)])


def fourth_party(plan: Plan) -> Plan:
    return with_operations(plan, [replace(first(plan, "AddV2", 0), party=3)])


def unknown_kind(plan: Plan) -> Plan:
    return with_operations(plan, [replace(first(plan, "Cast", 0), kind="ReadFile")])


def unfed(plan: Plan) -> Plan:
    extra = Operation("extra", "Placeholder", 1, (), np.dtype(np.int64), (1,))
    return replace(plan, operations=(extra, *plan.operations))


def share_elsewhere(plan: Plan) -> Plan:
    held = plan.by_name[plan.state[0][0][0]]
    return with_operations(plan, [replace(held, party=1)])


def seed_as_data(plan: Plan) -> Plan:
    seed = first(plan, "KitSeed", 2)
    doubled = Operation("doubled", "AddV2", 2, (seed.name, seed.name), seed.dtype, seed.shape)
    return at_alice(replace(plan, operations=(*plan.operations, doubled)), doubled)


def seed_used_twice(plan: Plan) -> Plan:
    drawn = first(plan, "KitUniform", 2)
    size = Operation("size", "Const", None, (), np.dtype(np.int32), (1,), {}, np.array([7], "i4"))
    more = replace(drawn, name="more", shape=(7,), inputs=("size", *drawn.inputs[1:]))
    return at_alice(replace(plan, operations=(*plan.operations, size, more)), more)


def opened_to_bob(plan: Plan) -> Plan:
    return with_operations(plan, [replace(plan.by_name[plan.result], party=1)])


def opened_labels(plan: Plan) -> Plan:
    result = plan.by_name[plan.result]
    shown = replace(result, kind="Identity", inputs=(label(plan).name,))
    shown = replace(shown, dtype=label(plan).dtype, shape=label(plan).shape)
    return with_operations(plan, [shown])


def opened_share(plan: Plan) -> Plan:
    shown = replace(plan.by_name[plan.result], kind="Identity", inputs=(plan.state[1][0][0],))
    return with_operations(plan, [shown])


def out_of_order(plan: Plan) -> Plan:
    return replace(plan, operations=plan.operations[::-1])


REFUSED: dict[Callable[[Plan], Plan], str] = {
    reads_labels: "alice reads a batch or share of bob's",
    computes_on_labels: "which is not proved to hide bob's batch",
    placed_nowhere: "placed on no party",
    seed_of_everybody: "placed on no party",
    fourth_party: "a party that does not exist",
    unknown_kind: "vocabulary has no ReadFile",
    unfed: "fed with what is not its party's batch or share",
    share_elsewhere: "fed with what is not its party's batch or share",
    seed_as_data: "a seed is used for something else",
    seed_used_twice: "its seed is used twice",
    opened_to_bob: "opened elsewhere than at alice",
    opened_labels: "not the plain sum of the model's shares",
    opened_share: "not the plain sum of the model's shares",
    out_of_order: "not computed before it",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_operation_and_the_reason(
    wrong: Callable[[Plan], Plan], agreed: Job
) -> None:
    with pytest.raises(JobFault) as caught:
        audit(wrong(plan_of(agreed)), agreed)
    assert REFUSED[wrong] in caught.value.what
    assert "of the plan" in (caught.value.where or "")


def test_another_jobs_plan_is_refused(agreed: Job) -> None:
    with pytest.raises(JobFault, match="not this job's"):
        audit(plan_of(agreed), job("pond", features=3))
