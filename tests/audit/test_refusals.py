"""What is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.audit import audit
from party.meaning import KINDS, signatures
from party.plan import Plan
from party.plan.graph import Opening, Operation, Private, Program, Share, Shared, Slot
from party.process.errors import JobError
from tests.audit.circuits import Circuit
from tests.audit.conftest import job, plan_of
from tests.audit.mutants import with_operations, with_program


@pytest.fixture
def agreed() -> Job:
    return job("pond")


def step(plan: Plan) -> Program:
    return plan.by_name["step"]


def first(plan: Plan, kind: str, party: int | None) -> Operation:
    return next(o for o in step(plan).operations if o.kind == kind and o.party == party)


def changed(plan: Plan, *operations: Operation, name: str = "step") -> Plan:
    """The plan with some operations of one program changed or added."""
    return with_program(plan, with_operations(plan.by_name[name], list(operations)))


def label(plan: Plan) -> Operation:
    """The batch of labels, bob's."""
    (fed,) = (i.operation for i in step(plan).inputs if i.party == 1)
    return step(plan).by_name[fed]


def share_of(plan: Plan, party: int) -> Slot:
    """What the step leaves of a party's share of the weights."""
    (slot,) = (s for s in step(plan).writes if s.share == Share("weights.alice", party, 0))
    return slot


def placeholder_of(plan: Plan, party: int, name: str = "step") -> str:
    """The placeholder of a party's share of the weights."""
    slots = plan.by_name[name].reads
    (found,) = (s.operation for s in slots if s.share == Share("weights.alice", party, 0))
    return found


def at_alice(plan: Plan, operation: Operation, name: str = "step") -> Plan:
    """The plan in which alice and bob share one value more; an operation makes alice's share."""
    program = plan.by_name[name]
    whole = operation.dtype.kind == "i"
    dtype = operation.dtype if whole else np.dtype(np.int64)
    like = (dtype, operation.shape)
    held = Operation("held", "Placeholder", 1, (), *like)
    shown = Operation("shown", "Identity" if whole else "Cast", 0, (operation.name,), *like)
    more = replace(
        program,
        operations=(held, *program.operations, shown),
        reads=(*program.reads, Slot("held", Share("more", 1, 0))),
        writes=(
            *program.writes,
            Slot("shown", Share("more", 0, 0)),
            Slot("held", Share("more", 1, 0)),
        ),
    )
    value = Shared("more", operation.shape, dtype.name, ((0,), (1,), ()))
    return with_program(replace(plan, state=(*plan.state, value)), more)


def with_share_after(plan: Plan, party: int, made: str) -> Plan:
    """The plan in which another operation makes a party's share of the weights after the step."""
    old = share_of(plan, party)
    writes = tuple(replace(s, operation=made) if s is old else s for s in step(plan).writes)
    return with_program(plan, replace(step(plan), writes=writes))


def opening(plan: Plan) -> tuple[Program, Operation]:
    program = plan.by_name["open"]
    return program, program.by_name[program.opens[0].operation]


def with_sum_of(plan: Plan, kind: str, times: int) -> Plan:
    """The plan in which a share goes through operations, one after another, before it is opened."""
    _, result = opening(plan)
    name = share = placeholder_of(plan, 0, "open")
    chain: list[Operation] = []
    for i in range(times):
        inputs = (name, name) if kind == "AddV2" else (name,)
        name = f"chain/{i}"
        chain.append(replace(result, name=name, kind=kind, inputs=inputs))
    opened = tuple(name if source == share else source for source in result.inputs)
    assert opened != result.inputs
    return changed(plan, *chain, replace(result, inputs=opened), name="open")


def reads_labels(plan: Plan) -> Plan:
    return at_alice(plan, label(plan))


def computes_on_labels(plan: Plan) -> Plan:
    return at_alice(plan, encoded_labels(plan))


def batch_of_another_type(plan: Plan) -> Plan:
    return changed(plan, replace(label(plan), dtype=np.dtype(np.int32)))


def batch_of_more_rows(plan: Plan) -> Plan:
    more = replace(label(plan), shape=(label(plan).shape[0] + 1, 1))
    return changed(plan, more)


def batch_of_other_columns(plan: Plan) -> Plan:
    inputs = tuple(replace(i, first=1) if i.party == 1 else i for i in step(plan).inputs)
    return with_program(plan, replace(step(plan), inputs=inputs))


def placed_nowhere(plan: Plan) -> Plan:
    return changed(plan, replace(first(plan, "AddV2", 0), party=None))


def seed_of_everybody(plan: Plan) -> Plan:
    return changed(plan, replace(first(plan, "KitSeed", 2), party=None))


def fourth_party(plan: Plan) -> Plan:
    return changed(plan, replace(first(plan, "AddV2", 0), party=3))


def unknown_kind(plan: Plan) -> Plan:
    return changed(plan, replace(first(plan, "Cast", 0), kind="ReadFile"))


def unfed(plan: Plan) -> Plan:
    return changed(plan, Operation("extra", "Placeholder", 1, (), np.dtype(np.int64), (1,)))


def share_elsewhere(plan: Plan) -> Plan:
    held = step(plan).by_name[placeholder_of(plan, 0)]
    return changed(plan, replace(held, party=1))


def seed_as_data(plan: Plan) -> Plan:
    seed = first(plan, "KitSeed", 2)
    doubled = Operation("doubled", "AddV2", 2, (seed.name, seed.name), seed.dtype, seed.shape)
    return at_alice(changed(plan, doubled), doubled)


def seed_used_twice(plan: Plan) -> Plan:
    drawn = first(plan, "KitUniform", 2)
    size = Operation("size", "Const", None, (), np.dtype(np.int32), (1,), {}, np.array([7], "i4"))
    more = replace(drawn, name="more", shape=(7,), inputs=("size", *drawn.inputs[1:]))
    return at_alice(changed(plan, size, more), more)


def opened_to_bob(plan: Plan) -> Plan:
    return changed(plan, replace(opening(plan)[1], party=1), name="open")


def opened_in_every_step(plan: Plan) -> Plan:
    """The weights, which tell the gradient of each batch."""
    program, last = step(plan), plan.by_name["open"]
    read = {slot.share: slot.operation for slot in program.reads}
    instead = {slot.operation: read[slot.share] for slot in last.reads}
    more = [
        replace(o, name=f"early/{o.name}", inputs=tuple(instead[name] for name in o.inputs))
        for o in last.operations
        if o.name not in instead
    ]
    opens = tuple(replace(each, operation=f"early/{each.operation}") for each in last.opens)
    early = replace(program, operations=(*program.operations, *more), opens=opens)
    return with_program(with_program(plan, early), replace(last, opens=()))


def opened_part_by_part(plan: Plan) -> Plan:
    """The server holds a third part, so that alice is sent two, and not their sum alone."""
    share, programs = Share("weights.alice", 2, 0), []
    for program in plan.programs:
        reads = [slot for slot in program.reads if slot.share.value == share.value]
        if not reads:
            programs.append(program)
            continue
        third = replace(program.by_name[reads[0].operation], name="third", party=2)
        slot, opens = Slot("third", share), program.opens
        more = [third]
        if opens:
            result = program.by_name[opens[0].operation]
            more.append(replace(result, name="all", inputs=(result.name, "third")))
            opens = (replace(opens[0], operation="all"),)
        programs.append(
            replace(
                program,
                operations=(third, *program.operations, *more[1:]),
                reads=(*program.reads, slot),
                writes=(*program.writes, slot) if program.writes else (),
                opens=opens,
            )
        )
    state = tuple(
        replace(value, parts=((0,), (1,), (2,))) if value.name == share.value else value
        for value in plan.state
    )
    return replace(plan, state=state, programs=tuple(programs))


def without_an_opening(plan: Plan) -> Plan:
    return replace(plan, programs=plan.programs[:-1])


def opened_labels(plan: Plan) -> Plan:
    program = step(plan)
    shown = Operation(
        "shown", "Identity", 0, (label(plan).name,), label(plan).dtype, label(plan).shape
    )
    more = replace(
        program, operations=(*program.operations, shown), opens=(Opening("shown", "weights.alice"),)
    )
    return with_program(plan, more)


def opened_rows(plan: Plan) -> Plan:
    """The batch's rows of alice's table are unmasked at bob, as if they were a value to open."""
    program = step(plan)
    masked, mask = (
        s.operation
        for party in (1, 2)
        for s in program.reads
        if s.share == Share("table.alice", party, 0)
    )
    like = program.by_name[masked]
    shown = replace(like, name="shown", kind="AddV2", inputs=(masked, mask), party=1)
    more = replace(
        program, operations=(*program.operations, shown), opens=(Opening("shown", "table.alice"),)
    )
    return with_program(plan, more)


def opened_share(plan: Plan) -> Plan:
    _, result = opening(plan)
    shown = replace(result, kind="Identity", inputs=(placeholder_of(plan, 1, "open"),))
    return changed(plan, shown, name="open")


def opened_many_times(plan: Plan) -> Plan:
    return with_sum_of(plan, "AddV2", 40)


def opened_twice(plan: Plan) -> Plan:
    program, result = opening(plan)
    again = replace(result, name="again")
    more = Opening("again", program.opens[0].value)
    return with_program(
        plan,
        replace(program, operations=(*program.operations, again), opens=(*program.opens, more)),
    )


def opens_nothing(plan: Plan) -> Plan:
    program, _ = opening(plan)
    return with_program(plan, replace(program, opens=(Opening("nothing", "weights.alice"),)))


def keeps_the_model(plan: Plan) -> Plan:
    program, _ = opening(plan)
    return with_program(plan, replace(program, opens=()))


def out_of_order(plan: Plan) -> Plan:
    return with_program(plan, replace(step(plan), operations=step(plan).operations[::-1]))


def share_of_another_shape(plan: Plan) -> Plan:
    return with_share_after(plan, 1, first(plan, "AddV2", 1).name)


def share_of_another_type(plan: Plan) -> Plan:
    after = share_of(plan, 1).operation
    cast = replace(step(plan).by_name[after], name="cast", kind="Cast", inputs=(after,))
    cast = replace(cast, dtype=np.dtype(np.int8))
    return with_share_after(changed(plan, cast), 1, "cast")


def share_after_of_nothing(plan: Plan) -> Plan:
    return with_share_after(plan, 1, "nothing")


def share_left_twice(plan: Plan) -> Plan:
    writes = (*step(plan).writes, share_of(plan, 0))
    return with_program(plan, replace(step(plan), writes=writes))


def one_share_left_alone(plan: Plan) -> Plan:
    writes = tuple(s for s in step(plan).writes if s is not share_of(plan, 0))
    return with_program(plan, replace(step(plan), writes=writes))


def share_that_nobody_holds(plan: Plan) -> Plan:
    old = share_of(plan, 0)
    theirs = replace(old, share=Share("weights.alice", 2, 0))
    writes = tuple(theirs if s is old else s for s in step(plan).writes)
    return with_program(plan, replace(step(plan), writes=writes))


def all_parts_at_one(plan: Plan) -> Plan:
    (weights,) = (value for value in plan.state if value.name == "weights.alice")
    whole = replace(weights, parts=((0, 1), (1,), ()))
    return replace(plan, state=tuple(whole if v is weights else v for v in plan.state))


def state_of_floats(plan: Plan) -> Plan:
    (weights,) = (value for value in plan.state if value.name == "weights.alice")
    floats = replace(weights, dtype="float64")
    return replace(plan, state=tuple(floats if v is weights else v for v in plan.state))


def two_of_one_name(plan: Plan) -> Plan:
    return replace(plan, state=(*plan.state, plan.state[0]))


def share_fed_twice(plan: Plan) -> Plan:
    reads = (*step(plan).reads, Slot(placeholder_of(plan, 0), Share("weights.alice", 0, 0)))
    return with_program(plan, replace(step(plan), reads=reads))


def share_fed_with_the_batch(plan: Plan) -> Plan:
    inputs = (*step(plan).inputs, Private(placeholder_of(plan, 0), 0, 0))
    return with_program(plan, replace(step(plan), inputs=inputs))


def constant_that_is_not_there(plan: Plan) -> Plan:
    return changed(plan, replace(first(plan, "Const", None), value=None))


def no_random_values(plan: Plan) -> Plan:
    drawn = first(plan, "KitUniform", 2)
    two = Operation("two", "Const", None, (), drawn.dtype, (2,), {}, np.zeros(2, drawn.dtype))
    return changed(plan, two, replace(drawn, inputs=(*drawn.inputs[:3], "two")))


def scalar(plan: Plan) -> Operation:
    return next(o for o in step(plan).operations if o.kind == "Const" and o.shape == ())


def summed_over_no_axes(plan: Plan) -> Plan:
    one = Operation("one", "Const", None, (), np.dtype(np.int32), (1,), {}, np.zeros(1, np.int32))
    of = scalar(plan)
    total = replace(of, name="sum", kind="Sum", inputs=(of.name, "one"), value=None)
    return changed(plan, one, replace(total, attributes={"keep_dims": 0}))


def divided_by_zero(plan: Plan) -> Plan:
    of = scalar(plan)
    zero = replace(of, name="zero", value=np.zeros((), of.dtype))
    by = replace(of, name="by", kind="Range", inputs=("zero", of.name, "zero"), value=None)
    return changed(plan, zero, replace(by, shape=(1,)))


def encoded_labels(plan: Plan) -> Operation:
    """The labels as Bob's fixed-point numbers."""
    program = step(plan)
    return next(
        o
        for o in program.operations
        if (o.kind, o.party) == ("Cast", 1) and program.by_name[o.inputs[0]].dtype.kind == "f"
    )


def carrying(plan: Plan, at_alice: Operation, at_bob: Operation, *more: Operation) -> Plan:
    """The plan that shares what two operations make, in the place of a step."""
    program = step(plan)
    operations = {o.name: o for o in (label(plan), *more, at_alice, at_bob)}
    writes = (Slot(at_alice.name, Share("more", 0, 0)), Slot(at_bob.name, Share("more", 1, 0)))
    made = replace(
        program,
        operations=tuple(operations.values()),
        inputs=tuple(i for i in program.inputs if i.party == 1),
        reads=(),
        writes=writes,
    )
    whole = at_bob.dtype if at_bob.dtype.kind == "i" else np.dtype(np.int64)
    value = Shared("more", at_bob.shape, whole.name, ((0,), (1,), ()))
    return with_program(replace(plan, state=(*plan.state, value)), made)


def constant(name: str, value: Any, dtype: Any) -> Operation:
    array = np.array(value, dtype)
    return Operation(name, "Const", None, (), array.dtype, array.shape, {}, array)


def with_zeros_at_alice(plan: Plan, at_bob: Operation, *more: Operation) -> Plan:
    """The plan that carries what an operation makes as bob's share, and opens it to alice."""
    zeros = constant("zeros", np.zeros(at_bob.shape), at_bob.dtype)
    like = (at_bob.dtype, at_bob.shape)
    kept = Operation("kept", "Identity", 0, ("zeros",), *like)
    return carrying(plan, kept, at_bob, zeros, *more)


def on_labels(
    plan: Plan, kind: str, other: int = 1, *, first: bool = False, less: int | None = None
) -> Plan:
    """The plan in which bob's share is made of a number and his labels, or a number less these."""
    of_labels = [o for o in step(plan).operations if o.party == 1 and o.dtype.kind == "f"]
    labels, number = encoded_labels(plan), constant("number", other, np.int64)
    more = [*_read(plan, of_labels), labels, number]
    if less is not None:
        whole = constant("whole", less, np.int64)
        labels = replace(labels, name="less", kind="Sub", inputs=("whole", labels.name))
        more += [whole, labels]
    inputs = (labels.name, "number") if first else ("number", labels.name)
    made = replace(labels, name="made", kind=kind, inputs=inputs)
    return with_zeros_at_alice(plan, made, *more)


def _read(plan: Plan, operations: list[Operation]) -> list[Operation]:
    """Operations and the constants that they read."""
    by_name = step(plan).by_name
    return [by_name[name] for each in operations for name in (*each.inputs, each.name)]


def with_scale(plan: Plan, scale: float, *between: str) -> Plan:
    """The plan in which bob encodes his labels at another scale, and the result is his share."""
    factor, like = constant("factor", scale, np.float64), label(plan)
    chain = [replace(like, name="wide", kind="Cast", inputs=(like.name,), dtype=np.dtype("f8"))]
    chain.append(replace(chain[-1], name="scaled", kind="Mul", inputs=("wide", "factor")))
    for kind in between:
        chain.append(replace(chain[-1], name=kind, kind=kind, inputs=(chain[-1].name,)))
    made = replace(like, name="made", kind="Cast", inputs=(chain[-1].name,), dtype=np.dtype("i8"))
    return with_zeros_at_alice(plan, made, factor, *chain)


def shares_of_floats(plan: Plan) -> Plan:
    """Alice's is so large that the sum hides bob's labels; the message is the labels."""
    huge = constant("huge", np.full(label(plan).shape, 1e30), np.float32)
    kept = replace(label(plan), name="kept", kind="Identity", party=0, inputs=("huge",))
    passed_on = replace(label(plan), name="passed", kind="Identity", inputs=(label(plan).name,))
    return carrying(plan, kept, passed_on, huge)


def seed_carried_and_opened(plan: Plan) -> Plan:
    return with_zeros_at_alice(plan, replace(first(plan, "KitSeed", 2), party=1))


def key_carried_and_opened(plan: Plan) -> Plan:
    seed = replace(first(plan, "KitSeed", 2), party=1)
    nonce = constant("nonce", range(8), np.int32)
    key = replace(seed, name="key", kind="AddV2", inputs=(seed.name, "nonce"))
    return with_zeros_at_alice(plan, key, seed, nonce)


def division_by_labels(plan: Plan) -> Plan:
    """It fails where a label is 1."""
    return on_labels(plan, "FloorDiv", less=2**24)


def remainder_by_labels(plan: Plan) -> Plan:
    return on_labels(plan, "FloorMod")


def division_of_labels_by_nothing(plan: Plan) -> Plan:
    return on_labels(plan, "FloorDiv", 0, first=True)


def shift_by_labels(plan: Plan) -> Plan:
    return on_labels(plan, "LeftShift")


def shift_beyond_the_type(plan: Plan) -> Plan:
    return on_labels(plan, "RightShift", 64, first=True)


def cast_of_labels_that_are_too_large(plan: Plan) -> Plan:
    """It fails where a label is 1."""
    return with_scale(plan, 1e30)


def scale_that_is_infinite(plan: Plan) -> Plan:
    return with_scale(plan, np.inf)


def floats_of_more_than_a_batch(plan: Plan) -> Plan:
    name = placeholder_of(plan, 1)
    share = step(plan).by_name[name]
    cast = replace(share, name="cast", kind="Cast", inputs=(name,), dtype=np.dtype(np.float64))
    return changed(plan, cast)


def labels_compared_as_floats(plan: Plan) -> Plan:
    one = constant("one", 1, np.float32)
    more = replace(label(plan), name="more", kind="Greater", inputs=(label(plan).name, "one"))
    return changed(plan, one, replace(more, dtype=np.dtype(np.bool_)))


def labels_cast_to_booleans(plan: Plan) -> Plan:
    cast = replace(label(plan), name="cast", kind="Cast", inputs=(label(plan).name,))
    return changed(plan, replace(cast, dtype=np.dtype(np.bool_)))


def labels_encoded_at_alice(plan: Plan) -> Plan:
    cast = replace(label(plan), name="cast", kind="Cast", party=0, inputs=(label(plan).name,))
    return changed(plan, replace(cast, dtype=np.dtype(np.float64)))


def floats_sent(plan: Plan) -> Plan:
    of_bob = (o for o in step(plan).operations if o.party == 1 and o.dtype == np.float32)
    scaled = next(o for o in of_bob if o.kind == "Mul")
    cast = replace(scaled, name="read", kind="Cast", party=0, inputs=(scaled.name,))
    cast = replace(cast, dtype=np.dtype(np.int64))
    return at_alice(changed(plan, cast), cast)


REFUSED: dict[Callable[[Plan], Plan], str] = {
    reads_labels: "alice reads a batch or share of bob's",
    computes_on_labels: "which is not proved to hide bob's batch",
    batch_of_another_type: "not a batch of rows of float32",
    batch_of_more_rows: "not a batch of rows of float32",
    batch_of_other_columns: "columns that its party does not have",
    placed_nowhere: "placed on no party",
    seed_of_everybody: "placed on no party",
    fourth_party: "a party that does not exist",
    unknown_kind: "vocabulary has no ReadFile",
    unfed: "fed with what is not its party's batch or share",
    share_elsewhere: "fed with what is not its party's batch or share",
    seed_as_data: "a seed is used for something else",
    seed_used_twice: "its seed is used twice",
    opened_to_bob: "opens something else than the job says, or to somebody else",
    opened_labels: "not the plain sum of the value's shares",
    opened_rows: "nothing that may be opened",
    opened_in_every_step: "'step' opens a value, and runs again and again",
    opened_part_by_part: "would reveal more than the value",
    without_an_opening: "it has other programs than its model",
    opened_share: "not the plain sum of the value's shares",
    opened_many_times: "not the plain sum of the value's shares",
    opened_twice: "opens something else than the job says",
    opens_nothing: "it has no operation 'nothing'",
    keeps_the_model: "opens something else than the job says",
    out_of_order: "not computed before it",
    share_of_another_shape: "another type or shape than before it",
    share_of_another_type: "another type or shape than before it",
    share_after_of_nothing: "it has no operation 'nothing'",
    share_left_twice: "left twice",
    one_share_left_alone: "changes some shares of 'weights.alice' only",
    share_that_nobody_holds: "a share that nobody holds",
    all_parts_at_one: "one party holds all of 'weights.alice'",
    state_of_floats: "shared as no integers",
    two_of_one_name: "have the same name",
    share_fed_twice: "fed with two things",
    share_fed_with_the_batch: "fed with two things",
    constant_that_is_not_there: "not that of what it makes",
    no_random_values: "not that of what it makes",
    summed_over_no_axes: "not that of what it makes",
    divided_by_zero: "not that of what it makes",
    shares_of_floats: "another type or shape than before it",
    seed_carried_and_opened: "a seed would be carried on or opened",
    key_carried_and_opened: "a seed would be carried on or opened",
    division_by_labels: "it divides by what is no constant, or zero",
    remainder_by_labels: "it divides by what is no constant, or zero",
    division_of_labels_by_nothing: "it divides by what is no constant, or zero",
    shift_by_labels: "it shifts by what is no constant, or not within its bits",
    shift_beyond_the_type: "it shifts by what is no constant, or not within its bits",
    cast_of_labels_that_are_too_large: "its result may be too large for its type",
    scale_that_is_infinite: "its result may be too large for its type",
    floats_of_more_than_a_batch: "it computes with floats",
    labels_compared_as_floats: "it computes with floats",
    labels_cast_to_booleans: "it computes with floats",
    labels_encoded_at_alice: "it encodes another party's batch",
    floats_sent: "floats would be sent",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_operation_and_the_reason(
    wrong: Callable[[Plan], Plan], agreed: Job
) -> None:
    with pytest.raises(JobError) as caught:
        audit(wrong(plan_of(agreed)), agreed)
    assert REFUSED[wrong] in caught.value.what
    assert caught.value.where is None or "of the plan" in caught.value.where


def test_two_holders_of_a_part_must_end_up_with_the_same_share_of_it() -> None:
    """Else one of them could put anything into what is opened later: the labels, say."""
    agreed = job("aby3")
    plan = plan_of(agreed)
    (mine,) = (s for s in step(plan).writes if s.share == Share("weights.alice", 1, 0))
    (other,) = (s for s in step(plan).writes if s.share == Share("weights.alice", 1, 1))
    writes = tuple(
        replace(s, operation=other.operation) if s is mine else s for s in step(plan).writes
    )
    with pytest.raises(JobError, match=r"different shares of the same part of 'weights\.alice'"):
        audit(with_program(plan, replace(step(plan), writes=writes)), agreed)


def test_another_jobs_plan_is_refused(agreed: Job) -> None:
    with pytest.raises(JobError, match="not this job's"):
        audit(plan_of(agreed), job("pond", features=3))


def test_a_share_that_goes_a_long_way_to_the_opening_is_followed(agreed: Job) -> None:
    (revealed,) = audit(with_sum_of(plan_of(agreed), "Identity", 3000), agreed).revealed
    assert revealed.what == "weights.alice"


Built = Callable[[Circuit], str]


def drawn(circuit: Circuit) -> str:
    return circuit.uniform(circuit.seed(1), 1)


def of(kind: str, inputs: int = 1, **more: Any) -> Built:
    """Builds an operation of random values."""
    return lambda c: c.add(kind, 1, *(drawn(c) for _ in range(inputs)), **more)


def on(kind: str, *constants: Any, **more: Any) -> Built:
    """Builds an operation of random values and constants of int32."""
    return lambda c: c.add(kind, 1, drawn(c), *map(c.constant, constants), **more)


def by(kind: str, constant: int) -> Built:
    """Builds an operation of random values and one constant of their type."""
    return lambda c: c.add(kind, 1, drawn(c), c.constant(constant, c.dtype))


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
    **{kind: of(kind, 2) for kind in ("AddV2", "Sub", "Mul", "BitwiseXor")},
    **{kind: by(kind, 3) for kind in ("RightShift", "LeftShift", "FloorDiv", "FloorMod")},
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
    return changed(plan, *more)


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
    assert set(signatures._RULES) == KINDS | {"Placeholder"}
