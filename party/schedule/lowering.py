"""Lowers operations to instructions: one small function a kind, each with its test.

A function takes the assembler, the operation and the values that it reads, and returns the value
that it makes. What an operation means is said in ``party.meaning``; here is how the executor does
it. What follows from constants takes no instruction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from party.meaning import KINDS, constant_of, fold, positions
from party.meaning.vocabulary import CHOICES, JOINED, PICKED, PRODUCTS, RESHAPED, SAME, SOURCES
from party.native.instructions import Op, Type
from party.plan.graph import Operation
from party.process.errors import JobError
from party.schedule.assembler import Array, Assembler, Value

Lowering = Callable[[Assembler, Operation, list[Value]], Value]
LOWERINGS: dict[str, Lowering] = {}
"""By kind; those that always make constants need none."""


def lower(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    """Emits what the operation takes and returns its result.

    Raises:
        JobError: the vocabulary has no such operation, or not for these types and shapes.
    """
    if operation.kind not in KINDS:
        raise JobError(
            f"the executor's vocabulary has no {operation.kind}",
            f"operation {operation.name!r} of the plan",
        )
    constant = fold(operation, inputs)
    if constant is not None:
        return assembler.constant(constant)
    if operation.kind in SOURCES:
        raise JobError(
            f"{operation.kind} needs constants", f"operation {operation.name!r} of the plan"
        )
    return LOWERINGS[operation.kind](assembler, operation, inputs)


def _lowers(*kinds: str) -> Callable[[Lowering], Lowering]:
    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(kinds, function))
        return function

    return register


# Elementwise ---------------------------------------------------------------------------------


_BINARY = {
    "Add": Op.ADD,
    "AddV2": Op.ADD,
    "Sub": Op.SUB,
    "Mul": Op.MUL,
    "FloorMod": Op.FLOORMOD,
    "FloorDiv": Op.FLOORDIV,
    "BitwiseXor": Op.XOR,
    "BitwiseAnd": Op.AND,
    "BitwiseOr": Op.OR,
    "LogicalAnd": Op.AND,
    "LogicalOr": Op.OR,
    "LeftShift": Op.SHL,
    "RightShift": Op.SHR,
    "Equal": Op.EQ,
    "NotEqual": Op.NE,
    "Less": Op.LT,
    "LessEqual": Op.LE,
    "Greater": Op.GT,
    "GreaterEqual": Op.GE,
}


@_lowers(*_BINARY)
def _binary(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    out = assembler.new(operation.shape, operation.dtype)
    reads = [_broadcast(value, operation.shape) for value in inputs]
    assembler.emit(
        _BINARY[operation.kind],
        out,
        *inputs,
        type_=Type.of(inputs[0].dtype),
        one=tuple(one for one, _ in reads),
        lists=tuple(elements for _, elements in reads),
    )
    return out


def _broadcast(value: Value, shape: tuple[int, ...]) -> tuple[bool, Array | None]:
    """How an operand is read to fill a shape: as one value for all, or by a list of elements."""
    if value.shape == shape or value.size == np.prod(shape, dtype=np.int64):
        return False, None
    if value.size == 1:
        return True, None
    elements = np.arange(value.size, dtype=np.int32).reshape(value.shape)
    return False, np.broadcast_to(elements, shape).reshape(-1)


_UNARY = {"Neg": Op.NEG, "Invert": Op.INVERT, "LogicalNot": Op.NOT, "Round": Op.ROUND}


@_lowers(*_UNARY)
def _unary(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(_UNARY[operation.kind], out, inputs[0])
    return out


@_lowers("Cast")
def _cast(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    (x,) = inputs
    if x.dtype == operation.dtype:
        return x
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.CAST, out, x, type_=Type.of(x.dtype), type2=Type.of(operation.dtype))
    return out


@_lowers(*CHOICES)
def _select(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    out = assembler.new(operation.shape, operation.dtype)
    reads = [_broadcast(value, operation.shape) for value in inputs]
    assembler.emit(
        Op.SELECT,
        out,
        *inputs,
        one=tuple(one for one, _ in reads),
        lists=tuple(elements for _, elements in reads),
    )
    return out


# Layout --------------------------------------------------------------------------------------


@_lowers(*SAME)
def _identity(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    return inputs[0]


@_lowers(*RESHAPED)
def _reshape(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    return inputs[0].view(operation.shape)


@_lowers(*PICKED)
def _picked(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    """A view where the elements lie in a row."""
    elements = positions(operation, inputs).reshape(-1)
    if _in_a_row(elements):
        return inputs[0].view(operation.shape, int(elements[0]))
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.GATHER, out, inputs[0], lists=(elements,))
    return out


@_lowers(*JOINED)
def _joined(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    parts = inputs if operation.kind == "Pack" else inputs[:-1]
    out = assembler.new(operation.shape, operation.dtype)
    # Where each element of the parts, laid one after the other, goes.
    places = np.argsort(positions(operation, inputs).reshape(-1))
    for part in parts:
        to, places = places[: part.size], places[part.size :]
        if _in_a_row(to):
            assembler.emit(Op.COPY, out.view((to.size,), int(to[0])), part)
        elif to.size:
            assembler.emit(Op.SCATTER, out, part, n=part.size, lists=(to,))
    return out


def _in_a_row(elements: Array) -> bool:
    first = elements[:1]
    return bool(elements.size) and np.array_equal(elements, first + np.arange(elements.size))


# Reductions ----------------------------------------------------------------------------------


@_lowers(*PRODUCTS)
def _matmul(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    x, y = inputs
    if len(x.shape) != 2 or any(operation.attributes.values()):
        raise JobError(
            "only products of two plain matrices can be lowered",
            f"operation {operation.name!r} of the plan",
        )
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.MATMUL, out, x, y, p=(x.shape[0], x.shape[1], y.shape[1]))
    return out


@_lowers("Sum")
def _sum(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    x = inputs[0]
    axes = sorted(int(a) % len(x.shape) for a in np.atleast_1d(constant_of(operation, inputs[1])))
    if not axes:
        return x.view(operation.shape)
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise JobError(
            "only sums over neighbouring axes can be lowered",
            f"operation {operation.name!r} of the plan",
        )
    outer, length, inner = (
        int(np.prod(side, dtype=np.int64))
        for side in (x.shape[: axes[0]], x.shape[axes[0] : axes[-1] + 1], x.shape[axes[-1] + 1 :])
    )
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.SUM, out, x, p=(outer, length, inner))
    return out


# Randomness and bits -------------------------------------------------------------------------


@_lowers("KitSeed")
def _seed(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.SEED, out)
    return out


@_lowers("KitUniform")
def _uniform(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    _, seed, lowest, limit = inputs
    low = int(constant_of(operation, lowest).item())
    high = int(constant_of(operation, limit).item())
    ring = np.iinfo(operation.dtype)
    # tf-encrypted asks for [min, max) where it means every value of the type.
    width = 0 if (low, high) == (ring.min, ring.max) else high - low
    if width < 0 or (width == 0 and (low, high) != (ring.min, ring.max)):
        raise JobError("an empty range of random values", f"operation {operation.name!r}")
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.UNIFORM, out, seed, p=(low, width - (1 << 64) if width >> 63 else width))
    return out


_BITS: dict[str, tuple[Op, tuple[str, ...]]] = {
    "KitBitSplit": (Op.BITSPLIT, ("stride",)),
    "KitBitGather": (Op.BITGATHER, ("start", "stride")),
    "KitBitReverse": (Op.BITREVERSE, ()),
    "KitXorIndices": (Op.XORINDICES, ()),
}


@_lowers(*_BITS)
def _bits(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    op, names = _BITS[operation.kind]
    (x,) = inputs
    out = assembler.new(operation.shape, operation.dtype)
    n = x.size if op is Op.BITSPLIT else out.size
    assembler.emit(op, out, x, n=n, p=tuple(operation.attributes[name] for name in names))
    return out
