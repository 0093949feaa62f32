"""What is refused of a descent over all rows: wrong answers, and tables that cross unhidden.

Of a table the other holder keeps what is masked and the server keeps the mask, as the two shares of
a value; ``ask`` opens whether the training has settled, to all three, as often as it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.audit import audit
from party.plan import Plan
from party.plan.graph import Opening, Operation, Program, Share, Shared, Slot
from party.process.errors import JobError
from tests.audit.conftest import descent_job, plan_of
from tests.audit.mutants import with_operations, with_program

pytestmark = pytest.mark.slow

ALICE, BOB, SERVER = range(3)

COLUMNS: dict[str, Any] = {"features": {"alice": ("x0",), "bob": ("z0", "z1")}}
"""Two columns each: alice has one of ones. So their tables' masks could be one."""


def agreed(protocol: str = "pond") -> Job:
    return descent_job(protocol, **COLUMNS)


def slot(plan: Plan, program: str, value: str, party: int, position: int = 0) -> str:
    """The operation that stands for a share that a program reads."""
    share = Share(value, party, position)
    (found,) = (s.operation for s in plan.by_name[program].reads if s.share == share)
    return found


def left(plan: Plan, program: str, value: str, party: int, position: int = 0) -> Operation:
    """The operation that makes a share that a program leaves."""
    share, of = Share(value, party, position), plan.by_name[program]
    (found,) = (s.operation for s in of.writes if s.share == share)
    return of.by_name[found]


def changed(plan: Plan, name: str, *operations: Operation) -> Plan:
    """The plan with some operations of one program changed or added."""
    return with_program(plan, with_operations(plan.by_name[name], list(operations)))


def drawn(plan: Plan, name: str, party: int, shape: tuple[int, ...]) -> list[Operation]:
    """The random values of a shape that a party has in a program."""
    return [
        o
        for o in plan.by_name[name].operations
        if (o.kind, o.party, o.shape) == ("KitUniform", party, shape)
    ]


def kept_at(plan: Plan, name: str, operation: Operation, party: int) -> Plan:
    """The plan in which a party keeps what an operation of a program makes, as its share of a value
    more, of which another party's share is zeros."""
    other = SERVER if party != SERVER else BOB
    dtype = operation.dtype
    zeros = np.zeros(operation.shape, dtype)
    more = [
        Operation("no more", "Const", None, (), dtype, zeros.shape, {}, zeros),
        Operation("shown", "Identity", party, (operation.name,), dtype, zeros.shape),
        Operation("none", "Identity", other, ("no more",), dtype, zeros.shape),
    ]
    parts: list[tuple[int, ...]] = [(), (), ()]
    parts[party], parts[other] = (0,), (1,)
    program = with_operations(plan.by_name[name], more)
    writes = (Slot("shown", Share("more", party, 0)), Slot("none", Share("more", other, 0)))
    program = replace(program, writes=(*program.writes, *writes))
    value = Shared("more", zeros.shape, dtype.name, tuple(parts))
    return with_program(replace(plan, state=(*plan.state, value)), program)


# -- what is asked


def with_openings(plan: Plan, of: str, to: str) -> Plan:
    """The plan in which one program opens, beside its own, what another one does."""
    source, target = plan.by_name[of], plan.by_name[to]
    read = {s.share: s.operation for s in target.reads}
    new = {s.operation: f"more/{s.operation}" for s in source.reads if s.share not in read}
    instead = {s.operation: read.get(s.share, f"more/{s.operation}") for s in source.reads}
    more = [
        replace(
            o,
            name=new.get(o.name, f"more/{o.name}"),
            inputs=tuple(instead.get(n, f"more/{n}") for n in o.inputs),
        )
        for o in source.operations
        if o.name in new or o.name not in instead
    ]
    reads = [Slot(new[s.operation], s.share) for s in source.reads if s.operation in new]
    opens = [Opening(f"more/{each.operation}", each.value) for each in source.opens]
    return with_program(
        plan,
        replace(
            target,
            operations=(*target.operations, *more),
            reads=(*target.reads, *reads),
            opens=(*target.opens, *opens),
        ),
    )


def without_openings(plan: Plan, name: str, *to: int) -> Plan:
    """The plan in which a program opens nothing to some parties."""
    program = plan.by_name[name]
    opens = [o for o in program.opens if program.by_name[o.operation].party not in to]
    return with_program(plan, replace(program, opens=tuple(opens)))


def ask_opens_the_weights(plan: Plan) -> Plan:
    return with_program(plan, replace(plan.by_name["open"], name="ask"))


def ask_opens_the_weights_too(plan: Plan) -> Plan:
    return with_openings(plan, "open", "ask")


def ask_opens_the_gradient(plan: Plan) -> Plan:
    """Every value of a descent that is no row can be summed up; the job asks for one."""
    opened = plan.by_name["open"]

    def named(value: str) -> str:
        return value.replace("weights", "gradient")

    def renamed(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
        return tuple(replace(s, share=replace(s.share, value=named(s.share.value))) for s in slots)

    opens = tuple(replace(each, value=named(each.value)) for each in opened.opens)
    program = replace(opened, name="ask", reads=renamed(opened.reads), opens=opens)
    return with_program(plan, program)


def ask_opens_a_part(plan: Plan) -> Plan:
    """Bob's, which alice lacks, by itself."""
    program = plan.by_name["ask"]
    result = program.by_name[program.opens[0].operation]
    part = slot(plan, "ask", "settled", BOB, 1)
    return changed(plan, "ask", replace(result, kind="Identity", inputs=(part,)))


def compare_opens_the_answer(plan: Plan) -> Plan:
    return with_openings(plan, "ask", "compare")


def update_opens_the_answer(plan: Plan) -> Plan:
    return with_openings(plan, "ask", "update.1")


def gradient_opens_the_answer(plan: Plan) -> Plan:
    return with_openings(plan, "ask", "gradient")


def answer_at_the_end(plan: Plan) -> Plan:
    return with_openings(plan, "ask", "open")


def answer_at_the_end_instead(plan: Plan) -> Plan:
    return without_openings(answer_at_the_end(plan), "ask", ALICE, BOB, SERVER)


def answer_for_two(plan: Plan) -> Plan:
    return without_openings(plan, "ask", SERVER)


def answer_for_nobody(plan: Plan) -> Plan:
    return without_openings(plan, "ask", ALICE, BOB, SERVER)


def answer_twice(plan: Plan) -> Plan:
    """To alice, in the place of bob."""
    program = without_openings(plan, "ask", BOB).by_name["ask"]
    again = replace(program.by_name[program.opens[0].operation], name="again")
    opens = (*program.opens, Opening("again", "settled"))
    more = replace(program, operations=(*program.operations, again), opens=opens)
    return with_program(plan, more)


def answer_of_rows(plan: Plan) -> Plan:
    state = tuple(replace(v, by_rows=v.name == "settled" or v.by_rows) for v in plan.state)
    return replace(plan, state=state)


def never_asked(plan: Plan) -> Plan:
    return replace(plan, programs=tuple(p for p in plan.programs if p.name != "ask"))


def asked_for_another_copy(plan: Plan) -> Plan:
    """Alice's copy of the part that the server is sent is another one than bob's."""
    mine, other = (left(plan, "compare", "settled", ALICE, i).name for i in (1, 0))
    program = plan.by_name["compare"]
    writes = tuple(
        replace(s, operation=other) if s.operation == mine else s for s in program.writes
    )
    return with_program(plan, replace(program, writes=writes))


def weights_by_the_answers_name(plan: Plan) -> Plan:
    """The point of the descent is called settled, and is what ``ask`` opens to all three; what it
    was called is given to the answer."""
    names = {"point.alice": "settled", "settled": "point.alice"}
    point = plan.shared("point.alice")

    def renamed(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
        return tuple(
            replace(s, share=replace(s.share, value=names.get(s.share.value, s.share.value)))
            for s in slots
        )

    def of(program: Program) -> Program:
        if program.name == "ask":
            grown = tuple(replace(o, shape=point.shape) for o in program.operations)
            return replace(program, operations=grown)
        return replace(program, reads=renamed(program.reads), writes=renamed(program.writes))

    state = tuple(replace(v, name=names.get(v.name, v.name)) for v in plan.state)
    return replace(plan, state=state, programs=tuple(map(of, plan.programs)))


# -- tables that cross once


def encoded(plan: Plan, name: str, party: int) -> Operation:
    """A party's table in fixed point."""
    return next(
        o
        for o in plan.by_name[name].operations
        if o.kind == "Cast" and o.party == party and o.dtype == np.int64
    )


def table_sent_unmasked(plan: Plan) -> Plan:
    kept = left(plan, "share", "table.alice", BOB)
    return changed(plan, "share", replace(kept, inputs=(encoded(plan, "share", ALICE).name,)))


def home_sent_unmasked(plan: Plan) -> Plan:
    kept = left(plan, "prepare", "home.bob", ALICE)
    return changed(plan, "prepare", replace(kept, inputs=(encoded(plan, "prepare", BOB).name,)))


def table_masked_by_zeros(plan: Plan) -> Plan:
    mask = drawn(plan, "share", ALICE, (12, 2))[0]
    zeros = Operation(mask.name, "Const", None, (), mask.dtype, mask.shape, {})
    zeros = replace(zeros, value=np.zeros(mask.shape, mask.dtype))
    return changed(plan, "share", zeros)


def seed_of_the_mask_from_bob(plan: Plan) -> Plan:
    (mask,) = drawn(plan, "share", ALICE, (12, 2))
    seed = plan.by_name["share"].by_name[mask.inputs[1]]
    return changed(plan, "share", replace(seed, party=BOB))


def one_mask_for_two_tables(plan: Plan) -> Plan:
    """Alice knows the mask of her own table, and receives what is left of bob's."""
    program = plan.by_name["share"]
    (alices,), (bobs,) = (drawn(plan, "share", p, (12, 2)) for p in (ALICE, BOB))
    again = [
        replace(o, inputs=tuple(alices.inputs[1] if n == bobs.inputs[1] else n for n in o.inputs))
        for o in program.operations
        if bobs.inputs[1] in o.inputs
    ]
    return changed(plan, "share", *again)


def seed_of_the_mask_kept(plan: Plan) -> Plan:
    """So that what grows from it could be drawn again by a program that comes later."""
    (mask,) = drawn(plan, "share", ALICE, (12, 2))
    return kept_at(plan, "share", plan.by_name["share"].by_name[mask.inputs[1]], SERVER)


def mask_used_as_a_mask_again(plan: Plan) -> Plan:
    """What alice shares of her home is masked by rows of the mask of her table."""
    program, like = plan.by_name["prepare"], drawn(plan, "prepare", SERVER, (4, 2))[0]
    kept = Operation("kept", "Placeholder", SERVER, (), like.dtype, like.shape)
    masked = left(plan, "prepare", "home.alice", BOB)
    while masked.kind != "Sub":
        masked = program.by_name[masked.inputs[0]]
    sent = replace(kept, name="sent", kind="Identity", inputs=("kept",))
    more = with_operations(
        replace(program, reads=(Slot("kept", Share("table.alice", SERVER, 0)),)),
        [kept, sent, replace(masked, inputs=(masked.inputs[0], "sent"))],
    )
    return with_program(plan, more)


def masked_table_sent_to_the_server(plan: Plan) -> Plan:
    return kept_at(plan, "share", left(plan, "share", "table.alice", BOB), SERVER)


def masked_home_sent_to_the_server(plan: Plan) -> Plan:
    return kept_at(plan, "prepare", left(plan, "prepare", "home.bob", ALICE), SERVER)


def masked_rows_sent_to_the_server(plan: Plan) -> Plan:
    return passed_on(plan, "gradient", slot(plan, "gradient", "table.alice", BOB), SERVER)


def mask_sent_to_bob(plan: Plan) -> Plan:
    """Who keeps what it hides."""
    return kept_at(plan, "share", left(plan, "share", "table.alice", SERVER), BOB)


def mask_of_rows_sent_to_bob(plan: Plan) -> Plan:
    return passed_on(plan, "gradient", slot(plan, "gradient", "table.alice", SERVER), BOB)


def mask_of_home_sent_to_bob(plan: Plan) -> Plan:
    return passed_on(plan, "finish", slot(plan, "finish", "home.alice", SERVER), BOB)


def mask_of_rows_read_by_bob(plan: Plan) -> Plan:
    rows = slot(plan, "gradient", "table.alice", SERVER)
    return kept_at(plan, "gradient", plan.by_name["gradient"].by_name[rows], BOB)


def mask_of_rows_sent_to_alice(plan: Plan) -> Plan:
    """Harmless, since she knew it when she shared the table; but no program knows of another."""
    return passed_on(plan, "gradient", slot(plan, "gradient", "table.alice", SERVER), ALICE)


def masked_rows_sent_back(plan: Plan) -> Plan:
    """Harmless for the same reason."""
    return passed_on(plan, "gradient", slot(plan, "gradient", "table.alice", BOB), ALICE)


def alices_share_sent_to_the_server(plan: Plan) -> Plan:
    """In ABY3 it is the part that the server lacks; in Pond any."""
    last = len(plan.shared("point.alice").parts[ALICE]) - 1
    return passed_on(plan, "update.1", slot(plan, "update.1", "point.alice", ALICE, last), SERVER)


def rest_of_the_point_sent_to_alice(plan: Plan) -> Plan:
    """The part that she lacks: in Pond the mask of hers."""
    last = len(plan.shared("point.alice").parts[BOB]) - 1
    return passed_on(plan, "gradient", slot(plan, "gradient", "point.alice", BOB, last), ALICE)


def mask_of_another_point_at_the_server(plan: Plan) -> Plan:
    """Bob has one mask of Alice's point, and the server another one."""
    mine, other = (left(plan, "update.1", f"point.{p}", SERVER).name for p in ("alice", "bob"))
    program = plan.by_name["update.1"]
    writes = tuple(
        replace(s, operation=other) if s.operation == mine else s for s in program.writes
    )
    return with_program(plan, replace(program, writes=writes))


def alices_iterate_sent_to_the_server(plan: Plan) -> Plan:
    return passed_on(plan, "finish", slot(plan, "finish", "iterate.alice", ALICE), SERVER)


def alices_change_sent_to_the_server(plan: Plan) -> Plan:
    return passed_on(plan, "compare", slot(plan, "compare", "change.alice", ALICE), SERVER)


def alices_gradient_sent_to_bob(plan: Plan) -> Plan:
    return passed_on(plan, "gradient", slot(plan, "gradient", "gradient.alice", ALICE), BOB)


def passed_on(plan: Plan, name: str, placeholder: str, party: int) -> Plan:
    """The plan in which a share is sent as its holder's result: its double, halved."""
    held = plan.by_name[name].by_name[placeholder]
    double = replace(held, name="double", kind="AddV2", inputs=(held.name, held.name))
    return kept_at(changed(plan, name, double), name, double, party)


SOMETHING_ELSE = "opens something else than the job says, or to somebody else"
TO_BOB = "alice would send bob"

REFUSED: dict[Callable[[Plan], Plan], str] = {
    ask_opens_the_weights: SOMETHING_ELSE,
    ask_opens_the_weights_too: SOMETHING_ELSE,
    ask_opens_the_gradient: f"{SOMETHING_ELSE}|a share that nobody holds",
    ask_opens_a_part: "not the plain sum of the value's shares",
    compare_opens_the_answer: "'compare' opens a value, and runs again and again",
    update_opens_the_answer: "'update.1' opens a value, and runs again and again",
    gradient_opens_the_answer: "'gradient' opens a value, and runs again and again",
    answer_at_the_end: SOMETHING_ELSE,
    answer_at_the_end_instead: SOMETHING_ELSE,
    answer_for_two: SOMETHING_ELSE,
    answer_for_nobody: SOMETHING_ELSE,
    answer_twice: SOMETHING_ELSE,
    answer_of_rows: "another type or shape than before it",
    never_asked: "it has other programs than its model",
    asked_for_another_copy: "different shares of the same part of 'settled'",
    table_sent_unmasked: f"{TO_BOB} .* alice's batch",
    home_sent_unmasked: "bob would send alice .* bob's batch",
    table_masked_by_zeros: f"{TO_BOB} .* alice's batch",
    seed_of_the_mask_from_bob: f"{TO_BOB} .* alice's batch",
    one_mask_for_two_tables: "bob's batch",
    seed_of_the_mask_kept: "a seed would be carried on or opened",
    mask_used_as_a_mask_again: "server would send alice .* server's share of table.alice",
    masked_table_sent_to_the_server: "would send server .* alice's batch",
    masked_home_sent_to_the_server: "would send server .* bob's batch",
    masked_rows_sent_to_the_server: "bob would send server .* bob's share of table.alice",
    mask_sent_to_bob: "alice's batch",
    mask_of_rows_sent_to_bob: "server would send bob .* server's share of table.alice",
    mask_of_home_sent_to_bob: "server would send bob .* server's share of home.alice",
    mask_of_rows_read_by_bob: "bob reads a batch or share of server's",
    mask_of_rows_sent_to_alice: "server would send alice .* server's share of table.alice",
    masked_rows_sent_back: "bob would send alice .* bob's share of table.alice",
    alices_share_sent_to_the_server: "alice would send server .* share of point.alice",
    rest_of_the_point_sent_to_alice: "bob would send alice .* share of point.alice",
    mask_of_another_point_at_the_server: "different shares of the same part of 'point.alice'",
    alices_iterate_sent_to_the_server: "alice would send server .* share of iterate.alice",
    alices_change_sent_to_the_server: "alice would send server .* share of change.alice",
    alices_gradient_sent_to_bob: "alice would send bob .* share of gradient.alice",
}


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_reason(wrong: Callable[[Plan], Plan], protocol: str) -> None:
    plan = plan_of(agreed(protocol))
    with pytest.raises(JobError, match=REFUSED[wrong]):
        audit(wrong(plan), agreed(protocol))


def test_weights_are_not_opened_by_the_answers_name() -> None:
    """ABY3 shares both in the same way; what tells them apart is that the answer is one number."""
    plan = weights_by_the_answers_name(plan_of(agreed("aby3")))
    with pytest.raises(JobError, match="'settled' is of another shape than the model's"):
        audit(plan, agreed("aby3"))


def test_who_is_never_asked_is_told_nothing() -> None:
    """A job without a tolerance has no such program."""
    silent = descent_job("pond", tolerance=0, **COLUMNS)
    plan, other = plan_of(silent), plan_of(agreed())
    asking = replace(plan, state=other.state, programs=other.programs)
    with pytest.raises(JobError, match="other programs than its model"):
        audit(asking, silent)


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_it_is_harmless_that_a_table_is_masked_by_what_its_holder_keeps(protocol: str) -> None:
    """Alice drew the mask with the server: she may keep it as well as her table. So it passes."""
    plan = plan_of(agreed(protocol))
    program, (mask,) = plan.by_name["share"], drawn(plan, "share", ALICE, (12, 2))
    writes = (*program.writes, Slot(mask.name, Share("table.alice", ALICE, 0)))
    state = tuple(
        replace(value, parts=((1,), (0,), (1,))) if value.name == "table.alice" else value
        for value in plan.state
    )
    keeping = with_program(replace(plan, state=state), replace(program, writes=writes))
    audit(keeping, agreed(protocol))


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_what_the_answer_is_made_of_is_not_proved(protocol: str) -> None:
    """The limit of the audit (docs/audit.md): ``settled`` is one number, opened to all as often as
    it is asked for. Whether ``compare`` makes it 0 or 1, or the squared length itself, is a matter
    of computing rightly: the plan passes."""
    plan = plan_of(agreed(protocol))
    program = plan.by_name["compare"]
    changes = []
    for party, position in ((ALICE, 1), (BOB, 0)):
        middle = left(plan, "compare", "settled", party, position)
        changes.append([program.by_name[name] for name in middle.inputs])
    shares = [next(o for o in pair if o.party == p) for p, pair in enumerate(changes)]
    instead = [
        next(
            o
            for o in program.operations
            if (o.kind, o.party, o.shape) == ("AddV2", share.party, (1, 1)) and o.dtype == "i8"
        )
        for share in shares
    ]
    told = [
        replace(share, inputs=(square.name, share.inputs[1]))
        for share, square in zip(shares, instead, strict=True)
    ]
    audit(changed(plan, "compare", *told), agreed(protocol))
