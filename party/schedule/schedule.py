"""A party's part of the plan as a straight list of instructions over memory laid out beforehand."""

from __future__ import annotations

import mmap
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES
from party.native.instructions import Op
from party.plan.cut import Cut, Message, PartyProgram, cut
from party.plan.graph import Operation, Plan, Private, Program, Share, Slot
from party.process.errors import JobError
from party.schedule.assembler import Assembler, Draft, Value, lay_out
from party.schedule.lowering import lower

HEADER_BYTES = 16
"""Of each message: step (8), key (4), length of the payload (4)."""

WINDOW_STEPS = 8
"""How many steps a party may run ahead of a reader, where memory allows."""

WINDOW_BYTES = 4 << 20
"""What those steps may take a connection; a window always holds at least one whole step."""

_NO_RESERVE = 0x4000
"""``MAP_NORESERVE`` of Linux, which the module has from Python 3.13 on."""


@dataclass(frozen=True)
class Region:
    """A piece of the arena that lives from step to step."""

    offset: int
    bytes: int


@dataclass(frozen=True)
class Held:
    """A share of the state in the arena: its place, and what it is a share of."""

    place: Region
    share: Share


@dataclass(frozen=True, eq=False)
class Code:
    """One program of a schedule.

    Attributes:
        name: the program's.
        instructions: in the order of execution.
        messages: those that this party sends or receives, in the order of the plan.
        rounds: messages on the longest way through it.
        notes: for each instruction, the round and the operation it comes from.
        opened: the values that it opens to this party, by name.
    """

    name: str
    instructions: npt.NDArray[np.void]
    messages: tuple[Message, ...]
    rounds: int
    notes: tuple[tuple[int, str], ...]
    opened: dict[str, Region]


@dataclass(frozen=True, eq=False)
class Schedule:
    """What the executor runs at one party.

    Attributes:
        party: its index.
        plan_digest: of the plan that it is a part of.
        arena_bytes: size of the arena; the rest of it starts as zeros.
        constants: the bytes at the arena's start.
        index: the pool of element lists that instructions refer to.
        programs: what it runs, in the order in which the programs first run.
        state: the shares that live from program to program.
        fed: the plan's placeholders that are neither state nor input, by name; a run has none.
        received: where each message of a program stays readable, by key, if that was asked for.
        scale: what one unit of a value is encoded as.
    """

    party: int
    plan_digest: str
    arena_bytes: int
    constants: npt.NDArray[np.uint8]
    index: npt.NDArray[np.int32]
    programs: tuple[Code, ...]
    state: tuple[Held, ...]
    fed: dict[str, Region]
    received: dict[int, Region]
    scale: int

    def program(self, name: str) -> Code:
        """The program of a name; KeyError where there is none."""
        return {code.name: code for code in self.programs}[name]

    @property
    def window(self) -> tuple[int, int, int]:
        """Bytes of room for what each party may have sent ahead.

        A window that holds a whole step rules out that parties wait for each other in a ring: the
        one that cannot send is at least a step ahead of the one that does not read.
        """
        sizes = [0] * len(PARTIES)
        for code in self.programs:
            for peer in range(len(PARTIES)):
                whole = sum(
                    m.bytes + HEADER_BYTES
                    for m in code.messages
                    if m.sender == peer and m.receiver == self.party
                )
                sizes[peer] = max(sizes[peer], whole, min(whole * WINDOW_STEPS, WINDOW_BYTES))
        return sizes[0], sizes[1], sizes[2]

    @property
    def peers(self) -> tuple[int, ...]:
        """The other parties."""
        return tuple(p for p in range(len(PARTIES)) if p != self.party)


def schedule(plan: Plan, party: int, *, observed: bool = False) -> Schedule:
    """Cuts a party's part out of each program of the plan and lowers it.

    Args:
        plan: the plan.
        party: whose part.
        observed: whether each message of a program shall stay readable until it runs again, which
            costs memory; for those who study what a party gets to see.

    Raises:
        JobError: the plan has something that the executor's vocabulary does not.
    """
    assembler = Assembler()
    state = _state(assembler, plan, party)
    by_rows = {shared.name for shared in plan.state if shared.by_rows}
    lowered: list[_Lowered] = []
    first_key = 0
    for program in plan.programs:
        made = cut(program, first_key)
        first_key += len(made.messages)
        lowered.append(_lowered(assembler, program, made, party, state, by_rows, observed))

    pinned = [value.buffer for value in state.values()]
    for one in lowered:
        pinned += [v.buffer for v in (*one.fed.values(), *one.kept.values(), *one.opened.values())]
    layout = lay_out([one.drafts for one in lowered], [b for b in pinned if b is not None])
    return Schedule(
        party=party,
        plan_digest=plan.digest,
        arena_bytes=layout.arena_bytes,
        constants=layout.constants,
        index=layout.index,
        programs=tuple(
            Code(
                name=one.program.name,
                instructions=instructions,
                messages=_own(one.cut.messages, party),
                rounds=one.cut.rounds,
                notes=tuple((draft.round, draft.note) for draft in one.drafts),
                opened={name: _lies(value) for name, value in one.opened.items()},
            )
            for one, instructions in zip(lowered, layout.programs, strict=True)
        ),
        state=tuple(Held(_lies(value), share) for share, value in state.items()),
        fed={name: _lies(value) for one in lowered for name, value in sorted(one.fed.items())},
        received={
            m.key: _lies(one.kept[m.tensor])
            for one in lowered
            for m in one.cut.messages
            if m.tensor in one.kept and m.receiver == party
        },
        scale=plan.scale,
    )


@dataclass(frozen=True, eq=False)
class _Lowered:
    program: Program
    cut: Cut
    drafts: list[Draft]
    fed: dict[str, Value]
    kept: dict[str, Value]
    opened: dict[str, Value]


def _state(assembler: Assembler, plan: Plan, party: int) -> dict[Share, Value]:
    """Room for each share of the state that a party holds."""
    return {
        Share(shared.name, party, position): assembler.new(
            shared.shape, np.dtype(shared.dtype), pinned=True
        )
        for shared in plan.state
        for position in range(len(shared.parts[party]))
    }


def _lowered(
    assembler: Assembler,
    program: Program,
    made: Cut,
    party: int,
    state: dict[Share, Value],
    by_rows: set[str],
    observed: bool,
) -> _Lowered:
    part = made.parts[party]
    own = {
        slot.operation: (state[slot.share], slot.share.value in by_rows)
        for slot in program.reads
        if slot.share.party == party
    }
    inputs = {private.operation: private for private in program.inputs}
    fed = {
        operation.name: assembler.new(operation.shape, operation.dtype, pinned=True)
        for operation in program.operations
        if operation.kind == "Placeholder"
        and operation.party == party
        and operation.name not in own
        and operation.name not in inputs
    }
    kept = {
        m.tensor: assembler.new((m.bytes,), np.dtype(np.uint8), pinned=True)
        for inbox in part.receives.values()
        for m in inbox
        if observed
    }
    values = _lower_part(assembler, program, part, _Sources(own, inputs, fed, kept))
    for slot in program.writes:
        if slot.share.party == party:
            by_row = slot.share.value in by_rows
            _store(assembler, program, slot, state[slot.share], by_row, values)
    opened = {
        opening.value: _pinned_copy(assembler, values[opening.operation])
        for opening in program.opens
        if program.by_name[opening.operation].party == party
    }
    return _Lowered(program, made, assembler.take_drafts(), fed, kept, opened)


@dataclass(frozen=True, eq=False)
class _Sources:
    """Where what a part does not compute comes from.

    Attributes:
        state: shares of the state by placeholder, and whether a batch of rows is taken of them.
        inputs: what placeholders are fed with from the party's table.
        fed: what only tests feed.
        kept: the places of messages that are to stay readable.
    """

    state: dict[str, tuple[Value, bool]]
    inputs: dict[str, Private]
    fed: dict[str, Value]
    kept: dict[str, Value]


def _lower_part(
    assembler: Assembler, program: Program, part: PartyProgram, sources: _Sources
) -> dict[str, Value]:
    """Emits a part's instructions; returns the value of each tensor that it ends up with.

    What arrives goes to its place in ``sources.kept``, or to a temporary one.

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
            source = program.by_name[message.tensor]
            room = assembler.new(source.shape, source.dtype)
            if source.name in sources.kept:
                room = replace(room, buffer=sources.kept[source.name].buffer)
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
            values[operation.name] = _placeholder(assembler, operation, sources)
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


def _placeholder(assembler: Assembler, operation: Operation, sources: _Sources) -> Value:
    """The value that a placeholder stands for."""
    name = operation.name
    if name in sources.fed:
        return sources.fed[name]
    if name in sources.inputs:
        rows, columns = operation.shape
        value = assembler.new(operation.shape, operation.dtype)
        assembler.emit(Op.INPUT, value, p=(rows, columns, sources.inputs[name].first))
        return value
    whole, by_rows = sources.state[name]
    if not by_rows:
        return whole
    rows, columns, of = _batch(name, operation.shape, whole.shape)
    value = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.TAKE, value, whole, p=(rows, columns, of))
    return value


def _store(
    assembler: Assembler,
    program: Program,
    slot: Slot,
    place: Value,
    by_rows: bool,
    values: dict[str, Value],
) -> None:
    """What a program leaves of a share takes the place of the share before it."""
    assembler.note = f"{slot.share.value} after {program.name}"
    value = values[slot.operation]
    if by_rows:
        rows, columns, of = _batch(slot.operation, value.shape, place.shape)
        assembler.emit(Op.PUT, place, value, n=value.size, p=(rows, columns, of))
        return
    if value.bytes != place.bytes:
        raise _misfit(slot.operation)
    assembler.emit(Op.COPY, place, value)


def _batch(name: str, batch: tuple[int, ...], whole: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows and columns of a batch, and the rows of what it is taken from or put into."""
    if len(batch) != 2 or len(whole) != 2 or batch[1] != whole[1] or batch[0] > whole[0]:
        raise _misfit(name)
    return batch[0], batch[1], whole[0]


def _misfit(name: str) -> JobError:
    """The audit refuses such a plan; memory is not laid out by one either."""
    return JobError("a value is not as large as the plan says", f"operation {name!r} of the plan")


def _pinned_copy(assembler: Assembler, value: Value) -> Value:
    kept = assembler.new(value.shape, value.dtype, pinned=True)
    assembler.emit(Op.COPY, kept, value)
    return kept


def _lies(value: Value) -> Region:
    assert value.buffer is not None
    return Region(value.buffer.offset + value.start, value.bytes)


def _own(messages: tuple[Message, ...], party: int) -> tuple[Message, ...]:
    return tuple(m for m in messages if party in (m.sender, m.receiver))


def arena(of: Schedule, more: int = 0, *, sparse: bool = False) -> npt.NDArray[np.uint8]:
    """A fresh arena with the schedule's constants in place; aligned as instructions expect. Behind
    what the schedule needs are so many bytes more.

    ``sparse``: what is never touched takes no memory, whatever its size, and is not asked for."""
    size = of.arena_bytes + more
    room: Any
    if sparse:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
        room = np.frombuffer(mmap.mmap(-1, size + 63, flags), np.uint8)
    else:
        room = np.zeros(size + 63, np.uint8)
    skip = -room.ctypes.data % 64
    aligned: npt.NDArray[np.uint8] = room[skip : skip + size]
    aligned[: of.constants.size] = of.constants
    return aligned


ROW_INSTRUCTIONS = frozenset({Op.INPUT, Op.TAKE, Op.PUT})
"""The instructions that need to know which rows a step takes."""


def opened_values(
    of: Schedule, room: npt.NDArray[np.uint8], program: str
) -> dict[str, npt.NDArray[np.float64]]:
    """What a program opened to this party, by name; flat."""
    return {
        name: room[place.offset : place.offset + place.bytes].view(np.int64) / of.scale
        for name, place in of.program(program).opened.items()
    }


def changed_by(of: Schedule, programs: Collection[str]) -> tuple[Held, ...]:
    """The shares of the state that some programs write."""
    written = np.concatenate(
        [code.instructions["out"] for code in of.programs if code.name in programs]
    )
    return tuple(
        held
        for held in of.state
        if np.any((written >= held.place.offset) & (written < held.place.offset + held.place.bytes))
    )


def shares_of(
    of: Schedule, room: npt.NDArray[np.uint8], values: Collection[str]
) -> dict[str, npt.NDArray[np.int64]]:
    """Copies of this party's shares of some values, by value and position; flat."""
    return {
        f"{held.share.value}/{held.share.position}": room[
            held.place.offset : held.place.offset + held.place.bytes
        ]
        .view(np.int64)
        .copy()
        for held in of.state
        if held.share.value in values
    }
