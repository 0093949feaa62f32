"""Assembles a party's instructions: values, buffers, and the layout of the buffers in the arena.

Values are arrays in buffers; a reshape or a contiguous slice is another value in the same buffer.
Constants are folded while assembling. When all is assembled, buffers get their places: constants
first, then what lives from step to step (pinned), then the temporary ones, which share memory
wherever the instructions that use them allow it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from party.meaning import Known
from party.native.instructions import INSTRUCTION, Mode, Op, Type
from party.process.errors import JobError

Array = npt.NDArray[Any]
ALIGNMENT = 64

_SIZED = frozenset({Op.MATMUL, Op.SUM, Op.UNIFORM, Op.SEND})
"""The instructions whose parameters say how many elements they read."""


@dataclass(eq=False)
class Buffer:
    """A piece of the arena; its offset is known once everything is laid out."""

    bytes: int
    pinned: bool = False
    constant: Array | None = None
    offset: int = -1


@dataclass(frozen=True, eq=False)
class Value(Known):
    """An array in a buffer, or a constant that has no buffer until an instruction reads it."""

    buffer: Buffer | None = None
    start: int = 0

    @property
    def bytes(self) -> int:
        """Bytes."""
        return self.size * self.dtype.itemsize

    def view(self, shape: tuple[int, ...], first: int = 0) -> Value:
        """The elements from ``first`` on, in another shape, without a copy."""
        size = int(np.prod(shape, dtype=np.int64))
        if self.constant is not None:
            flat = self.constant.reshape(-1)[first : first + size]
            return Value(shape, self.dtype, constant=flat.reshape(shape))
        start = self.start + first * self.dtype.itemsize
        return Value(shape, self.dtype, buffer=self.buffer, start=start)


@dataclass(eq=False)
class Draft:
    """An instruction whose operands still are values."""

    op: Op
    type: Type
    out: Value | None
    inputs: tuple[Value, ...]
    n: int
    type2: Type = Type.INT8
    lists: tuple[Array | None, ...] = ()
    one: tuple[bool, ...] = ()
    p: tuple[int, ...] = ()
    round: int = 0
    note: str = ""

    def reads(self, operand: int) -> int:
        """How many elements of an operand it reads, where it reads it element by element."""
        if operand < len(self.one) and self.one[operand]:
            return min(self.n, 1)
        elements = self.lists[operand] if operand < len(self.lists) else None
        if elements is None or self.op is Op.SCATTER:
            return self.n
        return int(elements.max(initial=-1)) + 1


@dataclass(eq=False)
class Assembler:
    """Collects the instructions of one party."""

    drafts: list[Draft] = field(default_factory=list)
    round: int = 0
    note: str = ""
    _constants: dict[tuple[str, bytes], Buffer] = field(default_factory=dict)

    def constant(self, array: Array) -> Value:
        """A value known now."""
        return Value(array.shape, array.dtype, np.asarray(array, order="C"))

    def new(self, shape: Sequence[int], dtype: np.dtype[Any], *, pinned: bool = False) -> Value:
        """Room for a value."""
        size = int(np.prod(tuple(shape), dtype=np.int64))
        room = Buffer(max(1, size * dtype.itemsize), pinned)
        return Value(tuple(shape), dtype, buffer=room)

    def emit(
        self,
        op: Op,
        out: Value | None,
        *inputs: Value,
        n: int | None = None,
        type_: Type | None = None,
        type2: Type = Type.INT8,
        lists: tuple[Array | None, ...] = (),
        one: tuple[bool, ...] = (),
        p: tuple[int, ...] = (),
    ) -> None:
        """Appends an instruction; ``n`` and ``type_`` are the result's unless given.

        Raises:
            JobError: it would read what lies behind one of its inputs.
        """
        stored = tuple(self._stored(value) for value in inputs)
        measure = out if out is not None else stored[0] if stored else None
        if type_ is None:
            type_ = Type.of(measure.dtype) if measure is not None else Type.INT8
        if n is None:
            n = measure.size if measure is not None else 0
        draft = Draft(op, type_, out, stored, n, type2, lists, one, p, self.round, self.note)
        if op not in _SIZED and any(draft.reads(k) > x.size for k, x in enumerate(stored)):
            raise JobError(
                f"{op.name} would read more than there is", f"operation {self.note!r} of the plan"
            )
        self.drafts.append(draft)

    def take_drafts(self) -> list[Draft]:
        """The instructions so far; the next ones are another program's."""
        drafts, self.drafts = self.drafts, []
        return drafts

    def _stored(self, value: Value) -> Value:
        if value.constant is None:
            return value
        content = np.ascontiguousarray(value.constant)
        key = (content.dtype.str, content.tobytes())
        if key not in self._constants:
            self._constants[key] = Buffer(max(1, content.nbytes), constant=content)
        return Value(value.shape, value.dtype, buffer=self._constants[key])


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything came to lie.

    Attributes:
        arena_bytes: size of the arena.
        constants: the bytes at the arena's start.
        index: the pool of element lists.
        programs: the instructions of each program.
    """

    arena_bytes: int
    constants: npt.NDArray[np.uint8]
    index: npt.NDArray[np.int32]
    programs: tuple[npt.NDArray[np.void], ...]


def lay_out(programs: Sequence[list[Draft]], pinned: Sequence[Buffer]) -> Layout:
    """Gives each buffer its place and writes the instructions out."""
    used = [
        [value.buffer for value in (*draft.inputs, draft.out) if value is not None and value.buffer]
        for drafts in programs
        for draft in drafts
    ]
    constants = _once(b for buffers in used for b in buffers if b.constant is not None)
    top = 0
    for buffer in (*constants, *_once(pinned)):
        buffer.offset, top = top, top + _aligned(buffer.bytes)
    image = np.zeros(sum(_aligned(b.bytes) for b in constants), np.uint8)
    for buffer in constants:
        assert buffer.constant is not None
        raw = np.frombuffer(buffer.constant.tobytes(), np.uint8)
        image[buffer.offset : buffer.offset + raw.size] = raw

    # The programs never run at the same time, so their temporary buffers may share memory too.
    arena = max([top, *(_place_temporaries(drafts, top) for drafts in programs)])
    pool = _Pool()
    written = tuple(_written(drafts, pool) for drafts in programs)
    return Layout(max(arena, ALIGNMENT), image, pool.array(), written)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _once(buffers: Any) -> list[Buffer]:
    return list({id(buffer): buffer for buffer in buffers}.values())


def _place_temporaries(drafts: list[Draft], bottom: int) -> int:
    """First fit over the buffers' lifetimes; returns the end of the highest one."""
    last: dict[int, int] = {}
    for position, draft in enumerate(drafts):
        for value in (*draft.inputs, draft.out):
            if value is not None and value.buffer is not None:
                last[id(value.buffer)] = position
    taken: list[tuple[int, int]] = []  # (offset, end), sorted
    dying: dict[int, list[Buffer]] = {}
    top = bottom
    for position, draft in enumerate(drafts):
        for value in (draft.out, *draft.inputs):
            buffer = value.buffer if value is not None else None
            if buffer is None or buffer.offset >= 0:
                continue
            size, place = _aligned(buffer.bytes), bottom
            for start, end in taken:
                if start - place >= size:
                    break
                place = end
            buffer.offset = place
            insort(taken, (place, place + size))
            top = max(top, place + size)
            dying.setdefault(last[id(buffer)], []).append(buffer)
        for buffer in dying.pop(position, ()):
            taken.remove((buffer.offset, buffer.offset + _aligned(buffer.bytes)))
    return top


class _Pool:
    """Element lists, each kept once."""

    def __init__(self) -> None:
        self._lists: list[Array] = []
        self._known: dict[bytes, int] = {}
        self._size = 0

    def add(self, elements: Array) -> int:
        content = np.ascontiguousarray(elements, np.int32)
        key = content.tobytes()
        if key not in self._known:
            self._known[key] = self._size
            self._lists.append(content.reshape(-1))
            self._size += content.size
        return self._known[key]

    def array(self) -> npt.NDArray[np.int32]:
        return np.concatenate([np.zeros(0, np.int32), *self._lists])


def _written(drafts: list[Draft], pool: _Pool) -> npt.NDArray[np.void]:
    code = np.zeros(len(drafts), INSTRUCTION)
    for row, draft in zip(code, drafts, strict=True):
        row["op"], row["type"], row["type2"], row["n"] = draft.op, draft.type, draft.type2, draft.n
        row["out"] = _place(draft.out)
        row["input"] = [*(_place(v) for v in draft.inputs), *[-1] * (3 - len(draft.inputs))]
        row["index"] = -1
        for k, elements in enumerate(draft.lists):
            if elements is not None:
                row["index"][k] = pool.add(elements)
                row["mode"][k] = Mode.LIST
        for k, one in enumerate(draft.one):
            if one:
                row["mode"][k] = Mode.ONE
        row["p"][: len(draft.p)] = draft.p
    return code


def _place(value: Value | None) -> int:
    if value is None or value.buffer is None:
        return -1
    return value.buffer.offset + value.start
