"""Proves a schedule harmless before the executor takes it.

The executor itself checks nothing that is proved here: every offset, size, type, element list and
channel of every instruction lies in bounds, nothing but a constant's own place is ever written over
a constant, and the messages are those of the cut, in their order. A damaged or forged schedule is
refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from party.native.instructions import INSTRUCTION, Mode, Op, Type
from party.plan.cut import Message
from party.process.errors import JobError
from party.schedule.schedule import Region, Schedule

LARGEST_ARENA = 1 << 36
SEED_BYTES = 32

_INTEGERS = frozenset(Type) - {Type.BOOL, Type.FLOAT32, Type.FLOAT64}
_FLOATS = frozenset({Type.FLOAT32, Type.FLOAT64})
_NUMBERS = _INTEGERS | _FLOATS
_ALL = frozenset(Type)

_TYPES: dict[Op, frozenset[Type]] = {
    **dict.fromkeys((Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.MATMUL, Op.SUM), _NUMBERS),
    **dict.fromkeys((Op.FLOORMOD, Op.FLOORDIV, Op.SHL, Op.SHR, Op.UNIFORM), _INTEGERS),
    **dict.fromkeys((Op.BITSPLIT, Op.BITGATHER, Op.BITREVERSE, Op.XORINDICES), _INTEGERS),
    **dict.fromkeys((Op.XOR, Op.AND, Op.OR), _INTEGERS | {Type.BOOL}),
    Op.INVERT: _INTEGERS,
    Op.NOT: frozenset({Type.BOOL}),
    Op.ROUND: _FLOATS,
    Op.INPUT: frozenset({Type.FLOAT32, Type.INT64}),
    Op.SEED: frozenset({Type.INT32}),
}
"""The element types of an instruction, where not every type will do."""

_COMPARISONS = frozenset({Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE})
_BINARY = frozenset(Op(code) for code in range(Op.ADD, Op.GE + 1))
_UNARY = frozenset({Op.NEG, Op.INVERT, Op.NOT, Op.ROUND, Op.CAST})
_OPERANDS = {
    **dict.fromkeys(_BINARY, 2),
    Op.SELECT: 3,
    Op.MATMUL: 2,
    Op.SEED: 0,
    Op.INPUT: 0,
    Op.FLUSH: 0,
    Op.RECV: 0,
}
"""How many operands an instruction reads; one unless it stands here."""

_IN_PLACE = _BINARY | _UNARY | {Op.SELECT, Op.BITGATHER, Op.BITREVERSE, Op.XORINDICES}
"""The instructions that are done with an element before they write it."""

_LISTED = _BINARY | {Op.SELECT, Op.GATHER, Op.SCATTER}
"""The instructions that may read an operand in another way than element by element."""


class _Refused(Exception):
    """Why an instruction is refused."""


@dataclass(frozen=True)
class _Reach:
    """What an operand touches: bytes of the arena."""

    offset: int
    bytes: int


def verify(schedule: Schedule) -> None:
    """Proves the schedule in bounds.

    Raises:
        JobError: it is not; the error names the program, the instruction and the reason.
    """
    try:
        _check_shape(schedule)
    except _Refused as refusal:
        raise _error(str(refusal), "its layout") from None
    for program in schedule.programs:
        name, messages = program.name, program.messages
        expected = {
            peer: iter([m for m in messages if m.sender == peer]) for peer in schedule.peers
        }
        to_send = {
            peer: iter([m for m in messages if m.receiver == peer]) for peer in schedule.peers
        }
        queued: set[int] = set()
        for position, instruction in enumerate(program.instructions):
            try:
                _check(schedule, instruction, to_send, expected, queued)
            except _Refused as refusal:
                raise _error(str(refusal), f"{name} program, instruction {position}") from None
        left = [m for inbox in (*expected.values(), *to_send.values()) for m in inbox]
        if left:
            raise _error(f"message {left[0].key} is never sent or received", f"{name} program")
        if queued:
            raise _error("the last messages are never sent", f"{name} program")


def _error(why: str, where: str) -> JobError:
    return JobError(
        f"a schedule was refused: {why}", where, "remove the cache of schedules and run again"
    )


def _check_shape(schedule: Schedule) -> None:
    if schedule.party not in (0, 1, 2):
        raise _Refused("no such party")
    if type(schedule.arena_bytes) is not int or not 0 < schedule.arena_bytes <= LARGEST_ARENA:
        raise _Refused("the arena's size is out of bounds")
    if schedule.constants.dtype != np.uint8 or schedule.constants.ndim != 1:
        raise _Refused("the constants have another layout")
    if schedule.constants.size > schedule.arena_bytes:
        raise _Refused("the constants do not fit into the arena")
    for program in schedule.programs:
        code = program.instructions
        if code.dtype != INSTRUCTION or code.ndim != 1:
            raise _Refused("the instructions have another layout")
    if schedule.index.dtype != np.int32 or schedule.index.ndim != 1:
        raise _Refused("the element lists have another layout")
    if schedule.index.size and int(np.min(schedule.index)) < 0:
        raise _Refused("an element list counts below zero")
    kept: list[Region] = [
        *(held.place for held in schedule.state),
        *schedule.fed.values(),
        *schedule.received.values(),
        *(place for program in schedule.programs for place in program.opened.values()),
    ]
    for place in kept:
        if place.offset < schedule.constants.size or place.bytes < 0:
            raise _Refused("a share lies among the constants")
        if place.offset + place.bytes > schedule.arena_bytes:
            raise _Refused("a share lies outside the arena")


def _check(
    schedule: Schedule,
    instruction: np.void,
    to_send: dict[int, Iterator[Message]],
    expected: dict[int, Iterator[Message]],
    queued: set[int],
) -> None:
    try:
        op, type_, type2 = (
            Op(int(instruction["op"])),
            Type(int(instruction["type"])),
            Type(int(instruction["type2"])),
        )
        modes = [Mode(int(mode)) for mode in instruction["mode"]]
    except ValueError:
        raise _Refused("an operation, type or mode that does not exist") from None
    if type_ not in _TYPES.get(op, _ALL):
        raise _Refused(f"{op.name} of {type_.name}")
    operands = _OPERANDS.get(op, 1)
    if int(instruction["n"]) < 0:
        raise _Refused("a negative number of elements")
    if op not in _LISTED and any(mode is not Mode.EACH for mode in modes):
        raise _Refused(f"{op.name} reads its operand element by element")
    if any(mode is not Mode.EACH for mode in modes[operands:]):
        raise _Refused("a mode for an operand that is not there")

    if op in (Op.SEND, Op.RECV, Op.FLUSH):
        _check_message(schedule, op, instruction, to_send, expected, queued)
    written = _written(op, type_, type2, instruction)
    if written is not None:
        _check_reach(schedule, written, _element_written(op, type_, type2))
        if written.offset < schedule.constants.size and written.bytes:
            raise _Refused("it writes over the constants")
    elif op not in (Op.SEND, Op.FLUSH):
        raise _Refused("it has no result")
    for k in range(operands):
        read, element = _check_operand(schedule, op, type_, instruction, k, modes[k])
        if written is None or op is Op.COPY:
            continue  # a copy may move within its own place
        in_place = op in _IN_PLACE and modes[k] is Mode.EACH and read.offset == written.offset
        if in_place and element.size == _element_written(op, type_, type2).size:
            continue
        if _overlap(read, written):
            raise _Refused("its result lies over what it still reads")


def _element_written(op: Op, type_: Type, type2: Type) -> Type:
    if op is Op.RECV:
        return Type.UINT8
    if op in _COMPARISONS:
        return Type.BOOL
    return type2 if op is Op.CAST else type_


def _overlap(one: _Reach, other: _Reach) -> bool:
    first, second = sorted((one, other), key=lambda reach: reach.offset)
    return first.offset + first.bytes > second.offset and second.bytes > 0


def _written(op: Op, type_: Type, type2: Type, instruction: np.void) -> _Reach | None:
    """What the instruction writes."""
    n, out, p = int(instruction["n"]), int(instruction["out"]), [int(v) for v in instruction["p"]]
    if op in (Op.SEND, Op.FLUSH):
        if out != -1:
            raise _Refused(f"{op.name} has no result")
        return None
    if op in _COMPARISONS:
        return _Reach(out, n)
    if op is Op.CAST:
        return _Reach(out, n * type2.size)
    if op is Op.SCATTER:
        # Its reach is that of its list; see _check_operand.
        return _Reach(out, 0)
    if op is Op.SEED:
        if n * type_.size != SEED_BYTES:
            raise _Refused("a seed has 32 bytes")
        return _Reach(out, SEED_BYTES)
    if op is Op.RECV:
        return _Reach(out, p[2])
    if op is Op.BITSPLIT:
        bits = type_.size * 8
        if not 1 <= p[0] <= bits or bits % p[0]:
            raise _Refused("a stride that does not divide the bits")
        return _Reach(out, n * p[0] * type_.size)
    if op is Op.BITGATHER and not (0 <= p[0] < type_.size * 8 and 1 <= p[1] <= type_.size * 8):
        raise _Refused("a bit position out of bounds")
    if op in (Op.MATMUL, Op.SUM):
        if min(p[:3]) < 0 or max(p[:3]) > LARGEST_ARENA:
            raise _Refused("a size out of bounds")
        if n != p[0] * p[2]:
            raise _Refused("the result's size is not that of its operands")
    if op in (Op.INPUT, Op.TAKE, Op.PUT):
        if min(p[:3]) < 0 or max(p[:3]) > LARGEST_ARENA or n != p[0] * p[1]:
            raise _Refused("the batch's size is not that of its rows and columns")
        if op is Op.PUT:
            return _Reach(out, p[2] * p[1] * type_.size)
    return _Reach(out, n * type_.size)


def _check_operand(
    schedule: Schedule, op: Op, type_: Type, instruction: np.void, k: int, mode: Mode
) -> tuple[_Reach, Type]:
    """What the instruction reads of an operand, and of what type an element is."""
    n, p = int(instruction["n"]), [int(v) for v in instruction["p"]]
    offset = int(instruction["input"][k])
    if op is Op.SEND:
        return _checked_reach(schedule, _Reach(offset, p[2]), Type.UINT8)
    if op is Op.UNIFORM:
        return _checked_reach(schedule, _Reach(offset, SEED_BYTES), Type.INT32)
    element = Type.BOOL if op is Op.SELECT and k == 0 else type_
    if op in (Op.GATHER, Op.SCATTER) and mode is not Mode.LIST:
        raise _Refused(f"{op.name} has no element list")
    count = n
    if op is Op.MATMUL:
        count = p[0] * p[1] if k == 0 else p[1] * p[2]
    elif op is Op.SUM:
        count = p[0] * p[1] * p[2]
    elif op is Op.TAKE:
        count = p[2] * p[1]
    elif mode is Mode.ONE:
        count = min(n, 1)
    elif mode is Mode.LIST:
        highest = _highest(schedule, int(instruction["index"][k]), n)
        if op is Op.SCATTER:
            reach = _Reach(int(instruction["out"]), (highest + 1) * type_.size)
            _check_reach(schedule, reach, type_)
            if reach.offset < schedule.constants.size and reach.bytes:
                raise _Refused("it writes over the constants")
        else:
            count = highest + 1
    return _checked_reach(schedule, _Reach(offset, count * element.size), element)


def _checked_reach(schedule: Schedule, reach: _Reach, element: Type) -> tuple[_Reach, Type]:
    _check_reach(schedule, reach, element)
    return reach, element


def _highest(schedule: Schedule, start: int, n: int) -> int:
    """The highest element that a list names; -1 for an empty one."""
    if start < 0 or start + n > schedule.index.size:
        raise _Refused("an element list lies outside the pool")
    elements: npt.NDArray[np.int32] = schedule.index[start : start + n]
    return int(np.max(elements)) if n else -1


def _check_reach(schedule: Schedule, reach: _Reach, element: Type) -> None:
    if reach.offset < 0 or reach.bytes < 0 or reach.offset + reach.bytes > schedule.arena_bytes:
        raise _Refused("it reaches outside the arena")
    if reach.offset % element.size:
        raise _Refused("an operand that is not aligned to its type")


def _check_message(
    schedule: Schedule,
    op: Op,
    instruction: np.void,
    to_send: dict[int, Iterator[Message]],
    expected: dict[int, Iterator[Message]],
    queued: set[int],
) -> None:
    peer, key, size = (int(v) for v in instruction["p"][:3])
    if peer not in schedule.peers:
        raise _Refused("a channel to a party that is no peer")
    if op is Op.FLUSH:
        queued.discard(peer)
        return
    message = next((to_send if op is Op.SEND else expected)[peer], None)
    if message is None or (message.key, message.bytes) != (key, size):
        raise _Refused(f"{op.name} of a message that is not the agreed next one")
    if op is Op.SEND:
        queued.add(peer)
