"""What is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.audit import audit, signatures
from party.plan import Plan
from party.plan.graph import Operation
from party.process.errors import JobError
from party.schedule.lowering import LOWERINGS
from tests.audit.circuits import Circuit
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
    """The plan in which alice holds one share more, which an operation makes."""
    like = (operation.dtype, operation.shape)
    held = Operation("held", "Placeholder", 0, (), *like)
    shown = Operation("shown", "Identity", 0, (operation.name,), *like)
    state = ((*plan.state[0], ("held", "shown")), *plan.state[1:])
    return replace(plan, operations=(held, *plan.operations, shown), state=state)


def with_share_after(plan: Plan, party: int, made: str) -> Plan:
    """The plan in which another operation makes a party's first share after the step."""
    state = list(plan.state)
    (before, _), *more = state[party]
    state[party] = ((before, made), *more)
    return replace(plan, state=tuple(state))


def with_sum_of(plan: Plan, kind: str, times: int) -> Plan:
    """The plan in which a share goes through operations, one after another, before it is opened."""
    share, _ = plan.state[0][0]
    result, name = plan.by_name[plan.result], share
    chain: list[Operation] = []
    for i in range(times):
        inputs = (name, name) if kind == "AddV2" else (name,)
        name = f"chain/{i}"
        chain.append(replace(result, name=name, kind=kind, inputs=inputs))
    opened = tuple(name if source == share else source for source in result.inputs)
    assert opened != result.inputs
    return with_operations(plan, [*chain, replace(result, inputs=opened)])


def reads_labels(plan: Plan) -> Plan:
    return at_alice(plan, label(plan))


def computes_on_labels(plan: Plan) -> Plan:
    return at_alice(plan, next(o for o in plan.operations if label(plan).name in o.inputs))


def batch_of_another_type(plan: Plan) -> Plan:
    return with_operations(plan, [replace(label(plan), dtype=np.dtype(np.int32))])


def batch_of_more_rows(plan: Plan) -> Plan:
    return with_operations(plan, [replace(label(plan), shape=(label(plan).shape[0] + 1, 1))])


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


def opened_many_times(plan: Plan) -> Plan:
    return with_sum_of(plan, "AddV2", 40)


def opens_nothing(plan: Plan) -> Plan:
    return replace(plan, result="nothing")


def out_of_order(plan: Plan) -> Plan:
    return replace(plan, operations=plan.operations[::-1])


def share_of_another_shape(plan: Plan) -> Plan:
    return with_share_after(plan, 1, first(plan, "AddV2", 1).name)


def share_of_another_type(plan: Plan) -> Plan:
    _, after = plan.state[1][0]
    cast = replace(plan.by_name[after], name="cast", kind="Cast", inputs=(after,))
    cast = replace(cast, dtype=np.dtype(np.int8))
    return with_share_after(with_operations(plan, [cast]), 1, "cast")


def share_after_of_nothing(plan: Plan) -> Plan:
    return with_share_after(plan, 1, "nothing")


def share_fed_twice(plan: Plan) -> Plan:
    alice, *others = plan.state
    return replace(plan, state=((*alice, *alice), *others))


def share_fed_with_the_batch(plan: Plan) -> Plan:
    before, _ = plan.state[0][0]
    return replace(plan, inputs=plan.inputs | {0: before})


def constant_that_is_not_there(plan: Plan) -> Plan:
    return with_operations(plan, [replace(first(plan, "Const", None), value=None)])


def no_random_values(plan: Plan) -> Plan:
    drawn = first(plan, "KitUniform", 2)
    two = Operation("two", "Const", None, (), drawn.dtype, (2,), {}, np.zeros(2, drawn.dtype))
    return with_operations(plan, [two, replace(drawn, inputs=(*drawn.inputs[:3], "two"))])


def summed_over_no_axes(plan: Plan) -> Plan:
    one = Operation("one", "Const", None, (), np.dtype(np.int32), (1,), {}, np.zeros(1, np.int32))
    scalar = next(o for o in plan.operations if o.kind == "Const" and o.shape == ())
    total = replace(scalar, name="sum", kind="Sum", inputs=(scalar.name, "one"), value=None)
    return with_operations(plan, [one, replace(total, attributes={"keep_dims": 0})])


def divided_by_zero(plan: Plan) -> Plan:
    scalar = next(o for o in plan.operations if o.kind == "Const" and o.shape == ())
    zero = replace(scalar, name="zero", value=np.zeros((), scalar.dtype))
    by = replace(scalar, name="by", kind="Range", inputs=("zero", scalar.name, "zero"), value=None)
    return with_operations(plan, [zero, replace(by, shape=(1,))])


REFUSED: dict[Callable[[Plan], Plan], str] = {
    reads_labels: "alice reads a batch or share of bob's",
    computes_on_labels: "which is not proved to hide bob's batch",
    batch_of_another_type: "not a batch of rows of float32",
    batch_of_more_rows: "not a batch of rows of float32",
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
    opened_many_times: "not the plain sum of the model's shares",
    opens_nothing: "it has no operation 'nothing'",
    out_of_order: "not computed before it",
    share_of_another_shape: "another type or shape than before it",
    share_of_another_type: "another type or shape than before it",
    share_after_of_nothing: "it has no operation 'nothing'",
    share_fed_twice: "fed with two things",
    share_fed_with_the_batch: "fed with two things",
    constant_that_is_not_there: "not that of what it makes",
    no_random_values: "not that of what it makes",
    summed_over_no_axes: "not that of what it makes",
    divided_by_zero: "not that of what it makes",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_operation_and_the_reason(
    wrong: Callable[[Plan], Plan], agreed: Job
) -> None:
    with pytest.raises(JobError) as caught:
        audit(wrong(plan_of(agreed)), agreed)
    assert REFUSED[wrong] in caught.value.what
    assert caught.value.where is None or "of the plan" in caught.value.where


def test_another_jobs_plan_is_refused(agreed: Job) -> None:
    with pytest.raises(JobError, match="not this job's"):
        audit(plan_of(agreed), job("pond", features=3))


def test_a_share_that_goes_a_long_way_to_the_opening_is_followed(agreed: Job) -> None:
    (revealed,) = audit(with_sum_of(plan_of(agreed), "Identity", 3000), agreed).revealed
    assert revealed.what == "the model"


Built = Callable[[Circuit], str]


def drawn(circuit: Circuit) -> str:
    return circuit.uniform(circuit.seed(1), 1)


def of(kind: str, inputs: int = 1, **more: Any) -> Built:
    """Builds an operation of random values."""
    return lambda c: c.add(kind, 1, *(drawn(c) for _ in range(inputs)), **more)


def on(kind: str, *constants: Any, **more: Any) -> Built:
    """Builds an operation of random values and constants of int32."""
    return lambda c: c.add(kind, 1, drawn(c), *map(c.constant, constants), **more)


def stretched(circuit: Circuit) -> str:
    column, row = (
        circuit.add("Reshape", 1, drawn(circuit), circuit.constant(shape), shape=shape)
        for shape in ((2, 1), (1, 2))
    )
    return circuit.add("AddV2", 1, column, row, shape=(2, 2))


def product(circuit: Circuit) -> str:
    x = circuit.uniform(circuit.seed(1), 1, rows=3)
    y = circuit.uniform(circuit.seed(1), 1, rows=2)
    return circuit.add("MatMul", 1, x, y, shape=(3, 2), transpose_a=0, transpose_b=0)


def joined(circuit: Circuit) -> str:
    parts = (drawn(circuit), drawn(circuit))
    return circuit.add("ConcatV2", 1, *parts, circuit.constant(0), shape=(4,))


def chosen(circuit: Circuit) -> str:
    choice = circuit.add("Equal", 1, drawn(circuit), drawn(circuit), dtype=bool)
    return circuit.add("SelectV2", 1, choice, drawn(circuit), drawn(circuit))


def offset_seed(circuit: Circuit) -> str:
    seed, offset = circuit.seed(1), circuit.constant(range(8))
    return circuit.add("AddV2", 1, seed, offset, dtype=np.int32, shape=(8,))


def counted(circuit: Circuit) -> str:
    first, limit, delta = (circuit.constant(n) for n in (0, 6, 2))
    return circuit.add("Range", None, first, limit, delta, dtype=np.int32, shape=(3,))


def filled(circuit: Circuit) -> str:
    size, element = circuit.constant([2]), circuit.constant(7, np.int64)
    return circuit.add("Fill", None, size, element)


WELL_TYPED: dict[str, Built] = {
    "Const": lambda c: c.constant([1, 2], np.int64),
    "Fill": filled,
    "Range": counted,
    "ZerosLike": of("ZerosLike"),
    "OnesLike": of("OnesLike"),
    "Shape": of("Shape", dtype=np.int32, shape=(1,)),
    "KitSeed": lambda c: c.seed(1),
    "KitUniform": drawn,
    "a seed and a constant": offset_seed,
    **{kind: of(kind) for kind in ("Identity", "StopGradient", "Neg", "Invert", "KitBitReverse")},
    "KitXorIndices": of("KitXorIndices"),
    "KitBitGather": of("KitBitGather", start=0, stride=2),
    "KitBitSplit": of("KitBitSplit", stride=2, shape=(2, 2)),
    **{kind: of(kind, 2) for kind in ("AddV2", "Sub", "Mul", "BitwiseXor", "RightShift")},
    "AddV2 of a column and a row": stretched,
    "Equal": of("Equal", 2, dtype=bool),
    "SelectV2": chosen,
    "Reshape": on("Reshape", (2, 1), shape=(2, 1)),
    "ExpandDims": on("ExpandDims", 0, shape=(1, 2)),
    "Tile": on("Tile", [3], shape=(6,)),
    "BroadcastTo": on("BroadcastTo", (3, 2), shape=(3, 2)),
    "Slice": on("Slice", [1], [-1], shape=(1,)),
    "StridedSlice": lambda c: c.row(c.uniform(c.seed(1), 1, rows=2), 0, 1),
    "GatherV2": lambda c: c.picked(drawn(c), (0, 1, 0), 1),
    "ReverseV2": on("ReverseV2", [0]),
    "Transpose": on("Transpose", [0]),
    "ConcatV2": joined,
    "Pack": of("Pack", 2, axis=0, shape=(2, 2)),
    "Sum": on("Sum", [0], shape=(), keep_dims=0),
    "Sum over no axes": on("Sum", [], keep_dims=0),
    "MatMul": product,
}
"""Operations of which type and shape follow from what they read."""


def grown(made: Operation) -> Operation:
    return replace(made, shape=(400, *made.shape[1:]))


def shrunk(made: Operation) -> Operation:
    return replace(made, shape=(0, *made.shape[1:]))


def turned(made: Operation) -> Operation:
    return replace(made, shape=(*made.shape, 1))


def retyped(made: Operation) -> Operation:
    same_size = {np.dtype(np.int64): np.float64, np.dtype(np.int32): np.float32}
    return replace(made, dtype=np.dtype(same_size.get(made.dtype, np.int8)))


def swapped_bytes(made: Operation) -> Operation:
    return replace(made, dtype=np.dtype(np.int64).newbyteorder())


def beside(plan: Plan, circuit: Circuit) -> Plan:
    """The plan with operations beside it that nothing in it reads."""
    more = [
        replace(o, name=f"beside/{o.name}", inputs=tuple(f"beside/{name}" for name in o.inputs))
        for o in circuit.operations
    ]
    return replace(plan, operations=(*plan.operations, *more))


@pytest.mark.parametrize("kind", WELL_TYPED)
def test_an_operation_of_the_type_and_shape_of_what_it_makes_passes(kind: str, agreed: Job) -> None:
    circuit = Circuit(np.int64)
    WELL_TYPED[kind](circuit)
    audit(beside(plan_of(agreed), circuit), agreed)


@pytest.mark.parametrize("wrong", [grown, shrunk, turned, retyped, swapped_bytes])
@pytest.mark.parametrize("kind", WELL_TYPED)
def test_an_operation_of_another_type_or_shape_than_what_it_makes_is_refused(
    kind: str, wrong: Callable[[Operation], Operation], agreed: Job
) -> None:
    circuit = Circuit(np.int64)
    WELL_TYPED[kind](circuit)
    circuit.operations[-1] = wrong(circuit.operations[-1])
    with pytest.raises(JobError, match=r"not that of what it makes|the shape that it says"):
        audit(beside(plan_of(agreed), circuit), agreed)


def of_bytes(kind: str, inputs: int, **more: Any) -> Built:
    """Builds an operation of random values and random bytes."""

    def build(circuit: Circuit) -> str:
        size, seed = circuit.constant([2]), circuit.seed(1)
        bounds = (circuit.constant(n, np.int8) for n in (-128, 127))
        byte = circuit.add("KitUniform", 1, size, seed, *bounds, dtype=np.int8)
        return circuit.add(kind, 1, byte, *(drawn(circuit) for _ in range(inputs - 1)), **more)

    return build


def seed_of_sixteen_words(circuit: Circuit) -> str:
    seed = circuit.add("KitSeed", 1, dtype=np.int32, shape=(16,))
    return circuit.uniform(seed, 1)


def seed_and_bytes(circuit: Circuit) -> str:
    seed, offset = circuit.seed(1), circuit.constant(range(8), np.int8)
    return circuit.add("AddV2", 1, offset, seed, dtype=np.int32, shape=(8,))


def products_that_do_not_fit(circuit: Circuit) -> str:
    x, y = (circuit.uniform(circuit.seed(1), 1, rows=3) for _ in range(2))
    return circuit.add("MatMul", 1, x, y, shape=(3, 2), transpose_a=0, transpose_b=0)


ILL_TYPED: dict[str, Built] = {
    "the negation of numbers as booleans": of_bytes("LogicalNot", 1, dtype=np.int8),
    "a sum of two types": of_bytes("AddV2", 2),
    "an exclusive or of two types": of_bytes("BitwiseXor", 2, dtype=np.int8),
    "a choice by numbers": of_bytes("SelectV2", 3),
    "parts of two types": of_bytes("Pack", 2, axis=0, shape=(2, 2)),
    "a seed of sixteen words": seed_of_sixteen_words,
    "a seed and bytes": seed_and_bytes,
    "a product of matrices that do not fit": products_that_do_not_fit,
    "the sum of three": of("AddV2", 3),
    "the same of nothing": of("Identity", 0),
    "a shape of many": of("Shape", dtype=np.int64, shape=(400,)),
    "a reshape that grows": on("Reshape", [400], shape=(400,)),
    "an element that is not there": lambda c: c.picked(drawn(c), (0, 2), 1),
    "a sum over an axis that is not there": on("Sum", [1], shape=(), keep_dims=0),
    "a stride of nothing": of("KitBitSplit", shape=(2, 2)),
    "more than memory can hold": on("BroadcastTo", [1 << 30, 2], shape=(1 << 30, 2)),
}
"""Operations that do not go together with what they read."""


@pytest.mark.parametrize("what", ILL_TYPED)
def test_an_operation_that_does_not_fit_what_it_reads_is_refused(what: str, agreed: Job) -> None:
    circuit = Circuit(np.int64)
    ILL_TYPED[what](circuit)
    with pytest.raises(JobError, match="not that of what it makes"):
        audit(beside(plan_of(agreed), circuit), agreed)


def test_every_kind_of_the_vocabulary_has_a_signature() -> None:
    assert set(signatures._RULES) == set(LOWERINGS) | {"Placeholder"}
