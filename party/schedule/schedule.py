"""A party's part of the plan as a straight list of instructions over memory laid out beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES
from party.native.instructions import Op
from party.plan.cut import Message, Part, cut
from party.plan.graph import Plan
from party.process.errors import JobError
from party.schedule.assembler import Assembler, Draft, Value, lay_out
from party.schedule.lowering import lower

HEADER_BYTES = 16
"""Of each message: step (8), key (4), length of the payload (4)."""

WINDOW_STEPS = 8
"""How many steps a party may run ahead of a reader, where memory allows."""

WINDOW_BYTES = 4 << 20
"""What those steps may take a connection; a window always holds at least one whole step."""


@dataclass(frozen=True)
class Place:
    """A piece of the arena that lives from step to step."""

    offset: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Schedule:
    """What the executor runs at one party.

    Attributes:
        party: its index.
        plan_digest: of the plan that it is a part of.
        arena_bytes: size of the arena; the rest of it starts as zeros.
        constants: the bytes at the arena's start.
        index: the pool of element lists that instructions refer to.
        step: the instructions of one training step.
        reveal: those that open the model.
        messages: the messages of both programs that this party sends or receives, by program.
        state: the shares of the model.
        fed: the plan's placeholders that are neither state nor input, by name; a run has none.
        received: where each message of a step stays readable, by key, if that was asked for.
        result: the opened model (int64), at the party that receives it.
        scale: what one unit of the model is encoded as.
        rounds: messages on the longest way through a step.
        notes: for each instruction of step and reveal, the round and the operation it comes from.
    """

    party: int
    plan_digest: str
    arena_bytes: int
    constants: npt.NDArray[np.uint8]
    index: npt.NDArray[np.int32]
    step: npt.NDArray[np.void]
    reveal: npt.NDArray[np.void]
    messages: tuple[tuple[Message, ...], tuple[Message, ...]]
    state: tuple[Place, ...]
    fed: dict[str, Place]
    received: dict[int, Place]
    result: Place | None
    scale: int
    rounds: int
    notes: tuple[tuple[tuple[int, str], ...], tuple[tuple[int, str], ...]]

    @property
    def window(self) -> tuple[int, int, int]:
        """Bytes of room for what each party may have sent ahead.

        A window that holds a whole step rules out that parties wait for each other in a ring: the
        one that cannot send is at least a step ahead of the one that does not read.
        """
        sizes = [0] * len(PARTIES)
        for peer in range(len(PARTIES)):
            step, reveal = (
                sum(
                    m.bytes + HEADER_BYTES
                    for m in messages
                    if m.sender == peer and m.receiver == self.party
                )
                for messages in self.messages
            )
            sizes[peer] = max(step, reveal, min(step * WINDOW_STEPS, WINDOW_BYTES))
        return sizes[0], sizes[1], sizes[2]

    @property
    def peers(self) -> tuple[int, ...]:
        """The other parties."""
        return tuple(p for p in range(len(PARTIES)) if p != self.party)


def schedule(plan: Plan, party: int, *, observed: bool = False) -> Schedule:
    """Cuts a party's part out of the plan and lowers it.

    Args:
        plan: the plan.
        party: whose part.
        observed: whether each message of a step shall stay readable until the next step, which
            costs memory; for those who study what a party gets to see.

    Raises:
        JobError: the plan has something that the executor's vocabulary does not.
    """
    after = tuple(tuple(new for _, new in pairs) for pairs in plan.state)
    step = cut(plan, after)
    receiver = plan.by_name[plan.result].party
    if receiver is None:
        raise JobError("the plan opens the model to no party")
    opened = tuple((plan.result,) if p == receiver else () for p in range(len(PARTIES)))
    reveal = cut(plan, opened, first_key=len(step.messages))

    assembler = Assembler()
    placeholders = _placeholders(assembler, plan, party)
    kept = {
        m.tensor: assembler.new((m.bytes,), np.dtype(np.uint8), pinned=True)
        for inbox in step.parts[party].receives.values()
        for m in inbox
        if observed
    }
    values = _lower_part(assembler, plan, step.parts[party], placeholders, kept)
    _carry_state(assembler, plan, party, placeholders, values)
    step_drafts = assembler.take_drafts()

    result: Value | None = None
    values = _lower_part(assembler, plan, reveal.parts[party], placeholders, {})
    if party == receiver:
        result = _pinned_copy(assembler, values[plan.result])
    reveal_drafts = assembler.take_drafts()

    pinned = [v.buffer for v in (*placeholders.values(), *kept.values()) if v.buffer is not None]
    if result is not None and result.buffer is not None:
        pinned.append(result.buffer)
    layout = lay_out([step_drafts, reveal_drafts], pinned)
    state_names = [before for before, _ in plan.state[party]]
    fed = set(placeholders) - set(state_names) - set(plan.inputs.values())
    return Schedule(
        party=party,
        plan_digest=plan.digest,
        arena_bytes=layout.arena_bytes,
        constants=layout.constants,
        index=layout.index,
        step=layout.programs[0],
        reveal=layout.programs[1],
        messages=(_own(step.messages, party), _own(reveal.messages, party)),
        state=tuple(_lies(placeholders[name]) for name in state_names),
        fed={name: _lies(placeholders[name]) for name in sorted(fed)},
        received={
            m.key: _lies(kept[m.tensor])
            for inbox in step.parts[party].receives.values()
            for m in inbox
            if observed
        },
        result=_lies(result) if result is not None else None,
        scale=plan.scale,
        rounds=step.rounds,
        notes=(_notes(step_drafts), _notes(reveal_drafts)),
    )


def _placeholders(assembler: Assembler, plan: Plan, party: int) -> dict[str, Value]:
    return {
        operation.name: assembler.new(operation.shape, operation.dtype, pinned=True)
        for operation in plan.operations
        if operation.kind == "Placeholder" and operation.party == party
    }


def _lower_part(
    assembler: Assembler,
    plan: Plan,
    part: Part,
    placeholders: dict[str, Value],
    kept: dict[str, Value],
) -> dict[str, Value]:
    """Emits a part's instructions; returns the value of each tensor that it ends up with.

    What arrives goes to its place in ``kept``, or to a temporary one.

    Raises:
        JobError: a value is not of the type and shape that the plan says.
    """
    values: dict[str, Value] = {}
    arriving = {message.tensor: message for inbox in part.receives.values() for message in inbox}
    waiting = {peer: list(inbox) for peer, inbox in part.receives.items()}
    outgoing: dict[str, list[Message]] = {}
    for message in part.sends:
        outgoing.setdefault(message.tensor, []).append(message)
    queued: set[int] = set()

    def receive(name: str) -> None:
        # A connection's messages come in one order; what lies before the wanted one is taken too.
        inbox = waiting[arriving[name].sender]
        while name not in values:
            message = inbox.pop(0)
            source = plan.by_name[message.tensor]
            room = assembler.new(source.shape, source.dtype)
            if source.name in kept:
                room = replace(room, buffer=kept[source.name].buffer)
            values[source.name] = room
            assembler.note = source.name
            assembler.emit(
                Op.RECV, values[source.name], p=(message.sender, message.key, message.bytes)
            )

    def flush() -> None:
        for peer in sorted(queued):
            assembler.emit(Op.FLUSH, None, p=(peer,))
        queued.clear()

    for operation, depth in zip(part.operations, part.rounds, strict=True):
        if depth != assembler.round or operation.name not in part.urgent:
            flush()
        assembler.round = depth
        for name in operation.inputs:
            if name not in values:
                receive(name)
        assembler.note = operation.name
        if operation.kind == "Placeholder":
            values[operation.name] = placeholders[operation.name]
            if operation.name == plan.inputs.get(part.party):
                rows, columns = operation.shape
                assembler.emit(Op.INPUT, values[operation.name], p=(rows, columns))
        else:
            inputs = [values[name] for name in operation.inputs]
            values[operation.name] = lower(assembler, operation, inputs)
        value = values[operation.name]
        if (value.dtype, value.shape) != (operation.dtype, operation.shape):
            raise _misfit(operation.name)
        for message in outgoing.pop(operation.name, ()):
            if message.bytes != value.bytes:
                raise _misfit(operation.name)
            assembler.emit(
                Op.SEND,
                None,
                value,
                p=(message.receiver, message.key, message.bytes),
            )
            queued.add(message.receiver)
    flush()
    for inbox in waiting.values():
        if inbox:
            raise JobError("the cut sends a message that its receiver has no use for")
    return values


def _carry_state(
    assembler: Assembler,
    plan: Plan,
    party: int,
    placeholders: dict[str, Value],
    values: dict[str, Value],
) -> None:
    """The shares after the step become those before the next one."""
    assembler.note = "state"
    for before, after in plan.state[party]:
        if values[after].bytes != placeholders[before].bytes:
            raise _misfit(after)
        assembler.emit(Op.COPY, placeholders[before], values[after])


def _misfit(name: str) -> JobError:
    """The audit refuses such a plan; memory is not laid out by one either."""
    return JobError("a value is not as large as the plan says", f"operation {name!r} of the plan")


def _pinned_copy(assembler: Assembler, value: Value) -> Value:
    kept = assembler.new(value.shape, value.dtype, pinned=True)
    assembler.emit(Op.COPY, kept, value)
    return kept


def _lies(value: Value) -> Place:
    assert value.buffer is not None
    return Place(value.buffer.offset + value.start, value.bytes)


def _own(messages: tuple[Message, ...], party: int) -> tuple[Message, ...]:
    return tuple(m for m in messages if party in (m.sender, m.receiver))


def _notes(drafts: list[Draft]) -> tuple[tuple[int, str], ...]:
    return tuple((draft.round, draft.note) for draft in drafts)


def arena(of: Schedule) -> npt.NDArray[np.uint8]:
    """A fresh arena with the schedule's constants in place; aligned as instructions expect."""
    room: Any = np.zeros(of.arena_bytes + 63, np.uint8)
    skip = -room.ctypes.data % 64
    aligned: npt.NDArray[np.uint8] = room[skip : skip + of.arena_bytes]
    aligned[: of.constants.size] = of.constants
    return aligned
