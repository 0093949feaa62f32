"""Lowers operations to instructions: one small function a kind, each with its test.

A function takes the assembler, the operation and the values that it reads, and returns the value
that it makes. Where all inputs are constants the result is one too. A kind without a function
cannot be part of a plan: that is how the vocabulary stays closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from party.native.instructions import Op, Type
from party.plan.graph import Operation
from party.process.errors import JobError
from party.schedule.assembler import Array, Assembler, Value

Lowering = Callable[[Assembler, Operation, list[Value]], Value]
LOWERINGS: dict[str, Lowering] = {}


def lower(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    """Emits what the operation takes and returns its result.

    Raises:
        JobError: the vocabulary has no such operation, or not for these types and shapes.
    """
    if operation.kind not in LOWERINGS:
        raise JobError(
            f"the executor's vocabulary has no {operation.kind}",
            f"operation {operation.name!r} of the plan",
        )
    return LOWERINGS[operation.kind](assembler, operation, inputs)


def _lowers(*kinds: str) -> Callable[[Lowering], Lowering]:
    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(kinds, function))
        return function

    return register


def _all_constant(inputs: list[Value]) -> bool:
    return all(value.constant is not None for value in inputs)


def _constant_of(operation: Operation, value: Value) -> Array:
    if value.constant is None:
        raise JobError(
            f"{operation.kind} needs a constant here", f"operation {operation.name!r} of the plan"
        )
    return value.constant


# Constants -----------------------------------------------------------------------------------


@_lowers("Const")
def _const(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    assert operation.value is not None
    return assembler.constant(operation.value)


@_lowers("Fill")
def _fill(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    element = _constant_of(operation, inputs[1])
    return assembler.constant(np.full(operation.shape, element, operation.dtype))


@_lowers("ZerosLike", "OnesLike")
def _filled_like(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    element = int(operation.kind == "OnesLike")
    return assembler.constant(np.full(operation.shape, element, operation.dtype))


@_lowers("Shape")
def _shape(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    return assembler.constant(np.array(inputs[0].shape, operation.dtype))


@_lowers("Range")
def _range(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    first, limit, delta = (int(_constant_of(operation, value).item()) for value in inputs)
    return assembler.constant(np.arange(first, limit, delta).astype(operation.dtype))


# Elementwise ---------------------------------------------------------------------------------


def _shift(
    function: Callable[..., Array],
) -> Callable[[Array, Array], Array]:
    def shift(x: Array, y: Array) -> Array:
        bits = x.dtype.itemsize * 8
        return function(x, np.clip(y, 0, bits - 1).astype(x.dtype))

    return shift


_BINARY: dict[str, tuple[Op, Callable[[Array, Array], Array]]] = {
    "Add": (Op.ADD, np.add),
    "AddV2": (Op.ADD, np.add),
    "Sub": (Op.SUB, np.subtract),
    "Mul": (Op.MUL, np.multiply),
    "FloorMod": (Op.FLOORMOD, np.mod),
    "FloorDiv": (Op.FLOORDIV, np.floor_divide),
    "BitwiseXor": (Op.XOR, np.bitwise_xor),
    "BitwiseAnd": (Op.AND, np.bitwise_and),
    "BitwiseOr": (Op.OR, np.bitwise_or),
    "LogicalAnd": (Op.AND, np.logical_and),
    "LogicalOr": (Op.OR, np.logical_or),
    "LeftShift": (Op.SHL, _shift(np.left_shift)),
    "RightShift": (Op.SHR, _shift(np.right_shift)),
    "Equal": (Op.EQ, np.equal),
    "NotEqual": (Op.NE, np.not_equal),
    "Less": (Op.LT, np.less),
    "LessEqual": (Op.LE, np.less_equal),
    "Greater": (Op.GT, np.greater),
    "GreaterEqual": (Op.GE, np.greater_equal),
}


@_lowers(*_BINARY)
def _binary(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    op, function = _BINARY[operation.kind]
    x, y = inputs
    if x.constant is not None and y.constant is not None:
        with np.errstate(over="ignore"):
            return assembler.constant(np.asarray(function(x.constant, y.constant), operation.dtype))
    out = assembler.new(operation.shape, operation.dtype)
    reads = [_broadcast(value, operation.shape) for value in inputs]
    assembler.emit(
        op,
        out,
        *inputs,
        type_=Type.of(x.dtype),
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


_UNARY: dict[str, tuple[Op, Callable[[Array], Array]]] = {
    "Neg": (Op.NEG, np.negative),
    "Invert": (Op.INVERT, np.invert),
    "LogicalNot": (Op.NOT, np.logical_not),
    "Round": (Op.ROUND, np.rint),
}


@_lowers(*_UNARY)
def _unary(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    op, function = _UNARY[operation.kind]
    (x,) = inputs
    if x.constant is not None:
        return assembler.constant(np.asarray(function(x.constant), operation.dtype))
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(op, out, x)
    return out


@_lowers("Cast")
def _cast(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    (x,) = inputs
    if x.constant is not None:
        return assembler.constant(x.constant.astype(operation.dtype))
    if x.dtype == operation.dtype:
        return x
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.CAST, out, x, type_=Type.of(x.dtype), type2=Type.of(operation.dtype))
    return out


@_lowers("Select", "SelectV2")
def _select(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    if _all_constant(inputs):
        chosen = np.where(*(_constant_of(operation, value) for value in inputs))
        return assembler.constant(np.asarray(chosen, operation.dtype))
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


@_lowers("Identity", "StopGradient", "Snapshot")
def _identity(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    return inputs[0]


@_lowers("Reshape", "ExpandDims", "Squeeze")
def _reshape(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    return inputs[0].view(operation.shape)


def _picked(
    assembler: Assembler, operation: Operation, x: Value, elements: npt.NDArray[np.int64]
) -> Value:
    """The value whose elements are those of x, by position: a view where they lie in a row."""
    if elements.shape != operation.shape:
        raise JobError(
            f"{operation.kind} does not make the shape that it says",
            f"operation {operation.name!r} of the plan",
        )
    flat = elements.reshape(-1)
    if x.constant is not None:
        return assembler.constant(x.constant.reshape(-1)[flat].reshape(operation.shape))
    if flat.size and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
        return x.view(operation.shape, int(flat[0]))
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.GATHER, out, x, lists=(flat,))
    return out


def _positions(x: Value) -> npt.NDArray[np.int64]:
    return np.arange(x.size, dtype=np.int64).reshape(x.shape)


@_lowers("Transpose")
def _transpose(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    order = _constant_of(operation, inputs[1])
    return _picked(assembler, operation, inputs[0], _positions(inputs[0]).transpose(order))


@_lowers("Tile")
def _tile(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    times = _constant_of(operation, inputs[1])
    return _picked(assembler, operation, inputs[0], np.tile(_positions(inputs[0]), times))


@_lowers("BroadcastTo")
def _broadcast_to(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    elements = np.broadcast_to(_positions(inputs[0]), operation.shape)
    return _picked(assembler, operation, inputs[0], elements)


@_lowers("Slice")
def _slice(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    begin, size = (_constant_of(operation, value) for value in inputs[1:])
    # A size of -1 is all that is left.
    end = np.where(size == -1, inputs[0].shape, begin + size)
    cut = tuple(slice(b, e) for b, e in zip(begin, end, strict=True))
    return _picked(assembler, operation, inputs[0], _positions(inputs[0])[cut])


@_lowers("StridedSlice")
def _strided_slice(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    masks = operation.attributes
    begin, end, stride = (_constant_of(operation, value) for value in inputs[1:])
    cut: list[Any] = []
    for axis in range(len(begin)):
        bit = 1 << axis
        if masks["ellipsis_mask"] & bit:
            cut.append(Ellipsis)
        elif masks["new_axis_mask"] & bit:
            cut.append(np.newaxis)
        elif masks["shrink_axis_mask"] & bit:
            cut.append(int(begin[axis]))
        else:
            first = None if masks["begin_mask"] & bit else int(begin[axis])
            limit = None if masks["end_mask"] & bit else int(end[axis])
            cut.append(slice(first, limit, int(stride[axis])))
    return _picked(assembler, operation, inputs[0], _positions(inputs[0])[tuple(cut)])


@_lowers("GatherV2")
def _gather(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    indices, axis = (_constant_of(operation, value) for value in inputs[1:])
    elements = np.take(_positions(inputs[0]), indices, axis=int(axis.item()))
    return _picked(assembler, operation, inputs[0], elements)


@_lowers("ReverseV2")
def _reverse(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    axes = tuple(int(axis) for axis in np.atleast_1d(_constant_of(operation, inputs[1])))
    return _picked(assembler, operation, inputs[0], np.flip(_positions(inputs[0]), axes))


@_lowers("ConcatV2", "Pack")
def _concat(assembler: Assembler, operation: Operation, inputs: list[Value]) -> Value:
    if operation.kind == "ConcatV2":
        axis, parts = int(_constant_of(operation, inputs[-1]).item()), inputs[:-1]
        width = [part.shape[axis] for part in parts]
    else:
        axis, parts = operation.attributes["axis"] % len(operation.shape), inputs
        width = [1] * len(parts)
    if _all_constant(parts):
        arrays = [_constant_of(operation, part) for part in parts]
        join = np.concatenate if operation.kind == "ConcatV2" else np.stack
        return assembler.constant(np.asarray(join(arrays, axis=axis), operation.dtype))
    out = assembler.new(operation.shape, operation.dtype)
    places = _positions(out)
    first = 0
    for part, wide in zip(parts, width, strict=True):
        to = np.take(places, range(first, first + wide), axis=axis).reshape(-1)
        first += wide
        if to.size == 0:
            continue
        if np.array_equal(to, np.arange(to[0], to[0] + to.size)):
            assembler.emit(Op.COPY, out.view((to.size,), int(to[0])), part)
        else:
            assembler.emit(Op.SCATTER, out, part, n=part.size, lists=(to,))
    return out


# Reductions ----------------------------------------------------------------------------------


@_lowers("MatMul", "BatchMatMulV2")
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
    axes = sorted(int(a) % len(x.shape) for a in np.atleast_1d(_constant_of(operation, inputs[1])))
    if x.constant is not None:
        total = x.constant.sum(axis=tuple(axes), dtype=operation.dtype)
        return assembler.constant(total.reshape(operation.shape))
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
    low = int(_constant_of(operation, lowest).item())
    high = int(_constant_of(operation, limit).item())
    ring = np.iinfo(operation.dtype)
    # tf-encrypted asks for [min, max) where it means every value of the type.
    width = 0 if (low, high) == (ring.min, ring.max) else high - low
    if width < 0 or (width == 0 and (low, high) != (ring.min, ring.max)):
        raise JobError("an empty range of random values", f"operation {operation.name!r}")
    out = assembler.new(operation.shape, operation.dtype)
    assembler.emit(Op.UNIFORM, out, seed, p=(low, width - (1 << 64) if width >> 63 else width))
    return out


_BITS = {
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
