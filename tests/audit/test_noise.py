"""Private weights are opened with the noise of both holders, or the plan is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.audit import audit
from party.plan import Plan
from party.plan.graph import Operation, Slot
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.audit.judge import Judge, judged
from tests.audit.mutants import some_of_every_kind, with_operations, with_program
from tests.audit.test_refusals_of_descents import changed, left, slot, with_openings
from tests.harness.plans import short_plan

PROTOCOLS = ("pond", "aby3")
ALICE, BOB = 0, 1


def private_job(protocol: str, rows: int = 12) -> Job:
    """Private weights of a column at each holder, for both of them."""
    agreed: dict[str, Any] = {
        "name": "noise",
        "protocol": protocol,
        "rows": rows,
        "features": {"alice": ["x"], "bob": ["z"]},
        "label": "y",
        "columns": {name: {"scale": {"mean": 0, "deviation": 1}} for name in ("x", "z")},
        "result": "both",
        "training": {"passes": 12, "tolerance": 0, "C": 0.05},
        "privacy": {"weights": {"epsilon": 5, "delta": 1e-3, "norm": 1}},
    }
    return Job.model_validate_json(json.dumps(agreed))


@cache
def private_plan(protocol: str, rows: int = 12) -> Plan:
    return short_plan(PlanParameters.of(private_job(protocol, rows)))


def adding(plan: Plan, holder: int) -> list[Operation]:
    """Where a holder adds its noise, block by block."""
    finish = plan.by_name["finish"]
    rows = plan.parameters.layout.descent.home_rows  # type: ignore[union-attr]

    def is_noise(name: str) -> bool:
        operation = finish.by_name[name]
        if operation.kind == "StridedSlice":
            return is_noise(operation.inputs[0])
        return (operation.kind, operation.shape) == ("Cast", (rows, 1))

    return [
        o
        for o in finish.operations
        if o.kind == "AddV2" and o.party == holder and is_noise(o.inputs[1])
    ]


def left_out(plan: Plan, *holders: int) -> Plan:
    without = [
        replace(o, kind="Identity", inputs=o.inputs[:1])
        for holder in holders
        for o in adding(plan, holder)
    ]
    return changed(plan, "finish", *without)


def without_alices(plan: Plan) -> Plan:
    return left_out(plan, ALICE)


def without_bobs(plan: Plan) -> Plan:
    return left_out(plan, BOB)


def without_any(plan: Plan) -> Plan:
    return left_out(plan, ALICE, BOB)


def without_bobs_in_one_block(plan: Plan) -> Plan:
    first = adding(plan, BOB)[0]
    return changed(plan, "finish", replace(first, kind="Identity", inputs=first.inputs[:1]))


def taken_off_again(plan: Plan) -> Plan:
    """Alice adds hers, and subtracts it."""
    one = adding(plan, ALICE)[0]
    again = replace(one, name="with it", inputs=one.inputs)
    less = replace(one, kind="Sub", inputs=("with it", one.inputs[1]))
    return changed(plan, "finish", again, less)


def taken_off_by_a_product(plan: Plan) -> Plan:
    """The same, where no sum shows it."""
    one = adding(plan, ALICE)[0]
    minus = Operation("minus", "Const", None, (), one.dtype, (), {}, np.array(-1, one.dtype))
    turned = replace(one, name="turned", kind="Mul", inputs=(one.inputs[1], "minus"))
    again = replace(one, name="with it")
    less = replace(one, inputs=("with it", "turned"))
    return changed(plan, "finish", minus, turned, again, less)


def half_as_much(plan: Plan) -> Plan:
    """The last bits are left out when it is encoded."""
    one = adding(plan, BOB)[0]
    bits = Operation("one", "Const", None, (), one.dtype, (), {}, np.array(1, one.dtype))
    half = replace(one, name="half", kind="RightShift", inputs=(one.inputs[1], "one"))
    return changed(plan, "finish", bits, half, replace(one, inputs=(one.inputs[0], "half")))


def picked(of: str, row: int, like: Operation, party: int) -> list[Operation]:
    """Rows of a matrix, of the shape of another operation's."""
    at, size = (
        Operation(f"{of}/{what}", "Const", None, (), np.dtype(np.int32), (2,), {}, value)
        for what, value in (
            ("at", np.array([row, 0], np.int32)),
            ("size", np.array(like.shape, np.int32)),
        )
    )
    rows = Operation("picked", "Slice", party, (of, at.name, size.name), like.dtype, like.shape)
    return [at, size, rows]


def the_same_on_two_weights(plan: Plan) -> Plan:
    """Their difference would have none."""
    first, second = adding(plan, ALICE)
    all_rows = plan.by_name["finish"].by_name[first.inputs[1]].inputs[0]
    more = picked(all_rows, 0, second, ALICE)
    return changed(plan, "finish", *more, replace(second, inputs=(second.inputs[0], "picked")))


def in_the_point_before(plan: Plan) -> Plan:
    """A step takes the noise that is added later off the point, by its share."""
    rows = plan.parameters.layout.descent.home_rows  # type: ignore[union-attr]
    home = slot(plan, "update.0", "home.alice", BOB)
    point = left(plan, "update.0", "iterate.alice", BOB)
    more = picked(home, rows - 3, point, BOB)
    less = replace(point, kind="Sub", inputs=("kept", "picked"), attributes={})
    return changed(plan, "update.0", *more, replace(point, name="kept"), less)


def weights_left_before(plan: Plan) -> Plan:
    """Another program leaves weights that have none."""
    prepare, finish = plan.by_name["prepare"], plan.by_name["finish"]
    writes, zeros = [], []
    for each in finish.writes:
        if each.share.value == "weights.alice":
            made = finish.by_name[each.operation]
            name = f"none {each.share.party} {each.share.position}"
            value = np.zeros(made.shape, made.dtype)
            zeros += [
                Operation(f"{name}/zeros", "Const", None, (), made.dtype, made.shape, {}, value),
                Operation(name, "Identity", made.party, (f"{name}/zeros",), made.dtype, made.shape),
            ]
            writes.append(Slot(name, each.share))
    program = with_operations(prepare, zeros)
    return with_program(plan, replace(program, writes=(*program.writes, *writes)))


def opened_before_it_is_added(plan: Plan) -> Plan:
    return with_openings(plan, "open", "update.0")


MUTANTS: tuple[tuple[Callable[[Plan], Plan], str], ...] = (
    (without_alices, "not the noise of both"),
    (without_bobs, "not the noise of both"),
    (without_any, "not the noise of both"),
    (without_bobs_in_one_block, "not the noise of both"),
    (taken_off_again, "not the noise of both"),
    (taken_off_by_a_product, "something else of the noise"),
    (half_as_much, "something else of the noise"),
    (the_same_on_two_weights, "not the noise of both"),
    (in_the_point_before, "something else of the noise"),
    (weights_left_before, "left by another program"),
    (opened_before_it_is_added, "refused"),
)


@pytest.mark.parametrize(("mutant", "why"), MUTANTS, ids=lambda x: getattr(x, "__name__", ""))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_plan_that_opens_weights_without_both_noises_is_refused(
    protocol: str, mutant: Callable[[Plan], Plan], why: str
) -> None:
    job, plan = private_job(protocol), private_plan(protocol)
    audit(plan, job)
    assert all(len(adding(plan, holder)) == 2 for holder in (ALICE, BOB))
    with pytest.raises(JobError, match=why):
        audit(mutant(plan), job)


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mutants_of_what_adds_the_noise_are_refused_or_harmless(protocol: str) -> None:
    job, plan = private_job(protocol), private_plan(protocol)
    judge = cache(lambda name: Judge(plan, name))
    tally = judged(some_of_every_kind(plan, ["finish", "open"], most=5), job, judge)
    assert tally["refused"] >= 40
