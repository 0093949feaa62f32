"""The type and shape that an operation makes of what it reads, whatever it says of itself.

The sizes of messages, of memory and of reads all come from what operations say of themselves. One
that says more than it makes would send on what happens to lie behind its result; one that says
another type would hide values by a mask of another type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from party.meaning.known import Known, constant_of
from party.meaning.layouts import positions
from party.meaning.vocabulary import PICKED, takes
from party.native.instructions import Type
from party.plan.graph import Array, Operation

Signature = tuple[np.dtype[Any], tuple[int, ...]]
"""A type and a shape."""

SEED: Signature = (np.dtype(np.int32), (8,))
TRUTH = np.dtype(np.bool_)

MOST_ELEMENTS = 1 << 31
"""Of one value: the executor's lists of elements are of int32."""

_Rule = Callable[[Operation, Sequence[Known]], Signature]
_RULES: dict[str, _Rule] = {}


def holds(operation: Operation, inputs: Sequence[Known]) -> bool:
    """Whether an operation's type and shape are those of what it makes of its inputs.

    Args:
        operation: one of the executor's vocabulary, or a placeholder, which may be of any.
        inputs: the types and shapes of what it reads, and the values of constants.

    Raises:
        JobError: what must be a constant is not, or a layout makes another shape than it says.
    """
    said = (operation.dtype, operation.shape)
    if not _exists(said) or not all(takes(operation.kind, x.dtype) for x in inputs[:1]):
        return False
    try:
        return _RULES[operation.kind](operation, inputs) == said
    except (ArithmeticError, LookupError, TypeError, ValueError):
        # The inputs do not go together, or are too few or too many.
        return False


def _exists(said: Signature) -> bool:
    """Whether the executor can have such a value."""
    dtype, shape = said
    known = dtype.isnative and dtype.name.upper() in Type.__members__
    return known and min(shape, default=0) >= 0 and math.prod(shape) < MOST_ELEMENTS


def _of(*kinds: str) -> Callable[[_Rule], _Rule]:
    def register(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def _blank(value: Known) -> Array:
    """An array of the value's type and shape, which takes no memory."""
    return np.broadcast_to(np.zeros((), value.dtype), value.shape)


def _type(*values: Known) -> np.dtype[Any]:
    """The type that all of them have."""
    (dtype,) = {value.dtype for value in values}
    return dtype


def _stretched(*values: Known) -> tuple[int, ...]:
    """The shape that all of them fill."""
    return np.broadcast_shapes(*(value.shape for value in values))


# What reads nothing, or only constants -------------------------------------------------------


@_of("Placeholder", "KitSeed", "Const")
def _source(operation: Operation, inputs: Sequence[Known]) -> Signature:
    if inputs:
        raise ValueError("it reads something")
    if operation.kind == "Placeholder":
        return operation.dtype, operation.shape
    if operation.value is None:
        return SEED
    return operation.value.dtype, operation.value.shape


@_of("Fill")
def _fill(operation: Operation, inputs: Sequence[Known]) -> Signature:
    shape, element = inputs
    return constant_of(operation, element).reshape(()).dtype, tuple(
        constant_of(operation, shape).tolist()
    )


@_of("Range")
def _range(operation: Operation, inputs: Sequence[Known]) -> Signature:
    first, limit, delta = (int(constant_of(operation, value).item()) for value in inputs)
    return _type(*inputs), (len(range(first, limit, delta)),)


@_of("Shape")
def _shape(operation: Operation, inputs: Sequence[Known]) -> Signature:
    (x,) = inputs
    if operation.dtype not in (np.int32, np.int64):
        raise TypeError("a shape is of integers")
    return operation.dtype, (len(x.shape),)


@_of("KitUniform")
def _uniform(operation: Operation, inputs: Sequence[Known]) -> Signature:
    shape, seed, low, high = inputs
    if (seed.dtype, seed.shape) != SEED or low.size != 1 or high.size != 1:
        raise ValueError("not a seed and two bounds")
    if _type(low, high).kind not in "iu":
        raise TypeError("random values are integers")
    return low.dtype, tuple(constant_of(operation, shape).tolist())


# Element by element --------------------------------------------------------------------------


@_of("Identity", "StopGradient", "Snapshot", "ZerosLike", "OnesLike")
@_of("Neg", "Invert", "LogicalNot", "Round", "KitBitGather", "KitBitReverse", "KitXorIndices")
def _like(operation: Operation, inputs: Sequence[Known]) -> Signature:
    (x,) = inputs
    return x.dtype, x.shape


@_of("Add", "AddV2", "Sub", "Mul", "FloorMod", "FloorDiv", "LeftShift", "RightShift")
@_of("BitwiseXor", "BitwiseAnd", "BitwiseOr", "LogicalAnd", "LogicalOr")
def _arithmetic(operation: Operation, inputs: Sequence[Known]) -> Signature:
    x, y = inputs
    return _type(x, y), _stretched(x, y)


@_of("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual")
def _comparison(operation: Operation, inputs: Sequence[Known]) -> Signature:
    x, y = inputs
    _type(x, y)
    return TRUTH, _stretched(x, y)


@_of("Select", "SelectV2")
def _select(operation: Operation, inputs: Sequence[Known]) -> Signature:
    choice, x, y = inputs
    if choice.dtype != TRUTH:
        raise TypeError("not a choice")
    return _type(x, y), _stretched(choice, x, y)


@_of("Cast")
def _cast(operation: Operation, inputs: Sequence[Known]) -> Signature:
    (x,) = inputs
    return operation.dtype, x.shape


# Layout and sums -----------------------------------------------------------------------------


@_of("Reshape")
def _reshape(operation: Operation, inputs: Sequence[Known]) -> Signature:
    x, shape = inputs
    return x.dtype, _blank(x).reshape(constant_of(operation, shape)).shape


@_of("ExpandDims")
def _expand(operation: Operation, inputs: Sequence[Known]) -> Signature:
    x, axis = inputs
    return x.dtype, np.expand_dims(_blank(x), int(constant_of(operation, axis).item())).shape


@_of("Squeeze")
def _squeeze(operation: Operation, inputs: Sequence[Known]) -> Signature:
    (x,) = inputs
    return x.dtype, np.squeeze(_blank(x), tuple(operation.attributes["squeeze_dims"]) or None).shape


@_of("BroadcastTo")
def _broadcast(operation: Operation, inputs: Sequence[Known]) -> Signature:
    x, shape = inputs
    return x.dtype, np.broadcast_to(_blank(x), tuple(constant_of(operation, shape).tolist())).shape


@_of(*PICKED - {"BroadcastTo"})
def _picked(operation: Operation, inputs: Sequence[Known]) -> Signature:
    return inputs[0].dtype, positions(operation, inputs).shape


@_of("ConcatV2")
def _concat(operation: Operation, inputs: Sequence[Known]) -> Signature:
    *parts, axis = inputs
    joined = np.concatenate(
        [_blank(part) for part in parts], int(constant_of(operation, axis).item())
    )
    return _type(*parts), joined.shape


@_of("Pack")
def _pack(operation: Operation, inputs: Sequence[Known]) -> Signature:
    joined = np.stack([_blank(part) for part in inputs], operation.attributes["axis"])
    return _type(*inputs), joined.shape


@_of("KitBitSplit")
def _bit_split(operation: Operation, inputs: Sequence[Known]) -> Signature:
    (x,) = inputs
    return x.dtype, (operation.attributes["stride"], *x.shape)


@_of("MatMul", "BatchMatMulV2")
def _product(operation: Operation, inputs: Sequence[Known]) -> Signature:
    x, y = inputs
    (rows, inner), (same, columns) = x.shape, y.shape
    if inner != same or any(operation.attributes.values()):
        raise ValueError("not two plain matrices that go together")
    return _type(x, y), (rows, columns)


@_of("Sum")
def _sum(operation: Operation, inputs: Sequence[Known]) -> Signature:
    x, axes = inputs
    over = tuple(int(axis) for axis in np.atleast_1d(constant_of(operation, axes)))
    kept = bool(operation.attributes["keep_dims"])
    return x.dtype, _blank(x).sum(axis=over, keepdims=kept).shape
