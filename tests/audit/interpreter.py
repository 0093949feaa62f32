"""Runs a program many times at once in NumPy: what each operation gives, one row a run.

The meaning of elementwise operations and of layouts is that of ``party.meaning``, which tests of
its own hold against TensorFlow. It shares nothing else with the audit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from party import meaning
from party.meaning import Known, fold, moved
from party.meaning.layouts import LAYOUTS
from party.meaning.vocabulary import BINARY, CHOICES, SAME, UNARY
from party.plan.graph import Operation, Program

Array = npt.NDArray[Any]

Rows = npt.NDArray[Any]
"""Runs x elements."""

Draw = Callable[[Operation, Rows], Rows]
"""From an operation that draws random values and its seeds (runs x words) to those values."""

Step = Callable[[dict[str, Rows]], Rows]


class Interpreter:
    """A program made ready to be run.

    Args:
        program: the program.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.public: dict[str, Array] = {}
        self._steps: list[tuple[Operation, int, Step | None]] = []
        for operation in program.operations:
            if operation.party is None and operation.kind != "MatMul":
                self.public[operation.name] = self._folded(operation)
            else:
                drawn = operation.kind in ("Placeholder", "KitSeed", "KitUniform")
                step = None if drawn else self._step(operation)
                self._steps.append((operation, operation.size, step))

    def run(self, runs: int, fed: dict[str, Rows], draw: Draw) -> dict[str, Rows]:
        """The value of every operation, by name.

        Args:
            runs: how many.
            fed: values of placeholders and of seeds.
            draw: the random values that follow from seeds.
        """
        made: dict[str, Rows] = {
            name: np.broadcast_to(value.reshape(1, -1), (runs, value.size))
            for name, value in self.public.items()
        }
        self._work(made, {name for step in self._steps for name in step[0].inputs}, fed, draw)
        return made

    def rerun(
        self, made: dict[str, Rows], changed: set[str], fed: dict[str, Rows], draw: Draw
    ) -> dict[str, Rows]:
        """What a run gives when some of what is fed and drawn in it has changed."""
        made = dict(made)
        self._work(made, set(changed), fed, draw)
        return made

    def _work(
        self, made: dict[str, Rows], changed: set[str], fed: dict[str, Rows], draw: Draw
    ) -> None:
        with np.errstate(over="ignore"):
            for operation, size, step in self._steps:
                name = operation.name
                if name not in changed and name in made and changed.isdisjoint(operation.inputs):
                    continue
                changed.add(name)
                if name in fed:
                    made[name] = fed[name]
                elif step is not None:
                    made[name] = step(made)
                else:
                    made[name] = draw(operation, made[operation.inputs[1]])
                assert made[name].shape[1] == size, operation
                assert made[name].dtype == operation.dtype, operation

    def in_range(self, operation: Operation, values: Rows) -> Rows:
        """Whole-ring values, brought into the range that the operation asks for."""
        low, high = (int(self.public[name].item()) for name in operation.inputs[2:])
        ring = np.iinfo(operation.dtype)
        if (low, high) == (ring.min, ring.max):
            return values
        width = np.uint64(high - low)
        within = values.astype(np.uint64) % width
        return within.astype(operation.dtype) + operation.dtype.type(low)

    def _folded(self, operation: Operation) -> Array:
        made = fold(operation, [Known.of(self.public[name]) for name in operation.inputs])
        assert made is not None
        return made

    def _step(self, operation: Operation) -> Step:
        kind, dtype, names = operation.kind, operation.dtype, operation.inputs
        sources = [self.program.by_name[name] for name in names]
        shapes = [source.shape for source in sources]
        if kind in BINARY or kind in CHOICES:
            function = np.where if kind in CHOICES else BINARY[kind]
            takes = [_spread(shape, operation.shape) for shape in shapes]

            def elementwise(made: dict[str, Rows]) -> Rows:
                operands = (made[name][:, take] for name, take in zip(names, takes, strict=True))
                return np.asarray(function(*operands)).astype(dtype, copy=False)

            return elementwise
        if kind in UNARY:
            return lambda made: np.asarray(UNARY[kind](made[names[0]])).astype(dtype)
        if kind == "ZerosLike":
            return lambda made: np.zeros_like(made[names[0]])
        if kind == "Cast":
            return lambda made: made[names[0]].astype(dtype)
        if kind in SAME:
            return lambda made: made[names[0]]
        if kind in LAYOUTS:
            taken = positions(operation, sources, self.public)
            joined = names[: moved(kind, len(names))]
            if len(joined) == 1:
                return lambda made: made[joined[0]][:, taken]
            return lambda made: np.hstack([made[name] for name in joined])[:, taken]
        if kind == "MatMul":

            def product(made: dict[str, Rows]) -> Rows:
                x, y = (made[n].reshape(-1, *s) for n, s in zip(names, shapes, strict=True))
                return (x @ y).reshape(len(x), -1)

            return product
        if kind == "Sum":
            axes = tuple(int(a) % len(shapes[0]) + 1 for a in self.public[names[1]].flat)

            def total(made: dict[str, Rows]) -> Rows:
                x = made[names[0]].reshape(-1, *shapes[0])
                return x.sum(axis=axes, dtype=dtype).reshape(len(x), -1)

            return total
        if kind == "KitBitSplit":
            return lambda made: _bit_split(made[names[0]], int(operation.attributes["stride"]))
        raise NotImplementedError(kind)


def pseudorandom(operation: Operation, seeds: Rows) -> Rows:
    """Values that follow from the seeds as a stream does: more values begin with the same ones."""
    state = np.zeros(len(seeds), np.uint64)
    with np.errstate(over="ignore"):
        for word in seeds.astype(np.uint32).T:
            state = _mixed(state ^ word.astype(np.uint64))
        position = np.arange(1, operation.size + 1, dtype=np.uint64)
        values = _mixed(state[:, None] + position * np.uint64(0x9E3779B97F4A7C15))
    return values.astype(operation.dtype)


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def positions(
    operation: Operation, sources: list[Operation], public: dict[str, Array]
) -> npt.NDArray[np.int64]:
    """Where each element of a layout's result lies in what it moves, laid one after the other.

    Args:
        operation: the layout.
        sources: what it reads.
        public: the constants among it, by name.
    """
    known = [Known(o.shape, o.dtype, public.get(o.name)) for o in sources]
    return meaning.positions(operation, known).reshape(-1)


def _spread(own: tuple[int, ...], shape: tuple[int, ...]) -> npt.NDArray[np.int64] | slice:
    """Where an operand's elements go when it is stretched to a shape."""
    size = int(np.prod(own, dtype=np.int64))
    if size == np.prod(shape, dtype=np.int64):
        return slice(None)
    return np.broadcast_to(np.arange(size).reshape(own), shape).reshape(-1)


def _bit_split(x: Rows, stride: int) -> Rows:
    x = np.ascontiguousarray(x)
    width = 8 * x.dtype.itemsize
    bits = np.unpackbits(x.view(np.uint8), axis=1, bitorder="little").reshape(*x.shape, width)
    parts = []
    for first in range(stride):
        packed = np.zeros_like(bits)
        packed[:, :, : width // stride] = bits[:, :, first::stride]
        whole = np.packbits(packed.reshape(len(x), -1), axis=1, bitorder="little")
        parts.append(whole.view(x.dtype))
    return np.hstack(parts)
