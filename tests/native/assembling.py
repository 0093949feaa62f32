"""Instructions written by hand, and the memory that they work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from party.native import Executor
from party.native.instructions import INSTRUCTION, Mode, Op, Type
from tests.harness.executors import aligned

Array = npt.NDArray[Any]

NOBODY = (None, None, None)


def instruction(
    op: Op,
    type_: Type = Type.INT64,
    n: int = 0,
    out: int = -1,
    inputs: Sequence[int] = (),
    modes: Sequence[Mode] = (),
    lists: Sequence[int] = (),
    p: Sequence[int] = (),
    type2: Type = Type.INT8,
) -> Any:
    """One instruction; what is left out is not there."""
    made = np.zeros((), INSTRUCTION)
    made["op"], made["type"], made["type2"], made["n"], made["out"] = op, type_, type2, n, out
    made["input"], made["index"] = -1, -1
    for name, values in (("input", inputs), ("mode", modes), ("index", lists), ("p", p)):
        for k, value in enumerate(values):
            made[name][k] = value
    return made


def program(*instructions: Any) -> Array:
    """Instructions one after the other."""
    return np.array(list(instructions), INSTRUCTION)


def send(peer: int, key: int, at: int, size: int) -> list[Any]:
    """Queue a message and let it go."""
    return [
        instruction(Op.SEND, inputs=[at], p=[peer, key, size]),
        instruction(Op.FLUSH, p=[peer]),
    ]


def receive(peer: int, key: int, at: int, size: int) -> list[Any]:
    """Wait for a message."""
    return [instruction(Op.RECV, out=at, p=[peer, key, size])]


class Room:
    """An arena that grows while values are put into it, and the index pool beside it."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, Array]] = []
        self._size = 0
        self._lists: list[Array] = []

    def put(self, values: Array) -> int:
        """Where the values will be."""
        at = self._size
        self._pieces.append((at, np.ascontiguousarray(values)))
        self._size += -(-max(values.nbytes, 1) // 64) * 64
        return at

    def space(self, dtype: npt.DTypeLike, n: int) -> int:
        """Where n elements have a place, filled with what no result should be left at."""
        return self.put(np.full(n * np.dtype(dtype).itemsize, 0xA5, np.uint8))

    def listed(self, elements: Array) -> int:
        """Where in the pool a list of elements will be."""
        at = sum(each.size for each in self._lists)
        self._lists.append(elements.astype(np.int32))
        return at

    def arena(self) -> npt.NDArray[np.uint8]:
        made = aligned(self._size)
        for at, values in self._pieces:
            made[at : at + values.nbytes] = np.frombuffer(values.tobytes(), np.uint8)
        return made

    def pool(self) -> npt.NDArray[np.int32]:
        return np.concatenate([*self._lists, np.zeros(1, np.int32)]).astype(np.int32)


def read(arena: npt.NDArray[np.uint8], at: int, dtype: npt.DTypeLike, n: int) -> Array:
    """A copy of n elements."""
    return arena[at : at + n * np.dtype(dtype).itemsize].copy().view(dtype)


def compute(
    op: Op,
    type_: Type,
    operands: Sequence[Array],
    n: int,
    *,
    result: npt.DTypeLike | None = None,
    size: int | None = None,
    modes: Sequence[Mode] = (),
    lists: Sequence[Array] = (),
    p: Sequence[int] = (),
    type2: Type = Type.INT8,
    in_place: bool = False,
) -> Array:
    """What one instruction makes of its operands: ``size`` elements (n unless given)."""
    room = Room()
    places = [room.put(operand) for operand in operands]
    dtype = np.dtype(type_.numpy if result is None else result)
    count = n if size is None else size
    out = places[0] if in_place else room.space(dtype, count)
    pooled = [room.listed(elements) if elements.size else -1 for elements in lists]
    arena = room.arena()
    code = program(instruction(op, type_, n, out, places, modes, pooled, p, type2))
    Executor(arena, room.pool(), NOBODY, 0, (0, 0, 0)).run(code, 0, 1)
    return read(arena, out, dtype, count)
