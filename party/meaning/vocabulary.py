"""The closed vocabulary: every kind of operation that a plan may have, and what it computes.

Kinds go by TensorFlow's names, or by our own (``Kit…``). None of them can open a file, read a clock
or start a program. A kind that is not here cannot be part of a plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from party.plan.graph import Array

PLACEHOLDER = "Placeholder"
"""What is fed from outside: a batch, or a share. It is no kind of the vocabulary: nobody computes
it."""

SOURCES = frozenset({"Const", "Fill", "Range", "Shape", "ZerosLike", "OnesLike"})
"""What makes constants, whatever it reads."""

SAME = frozenset({"Identity", "StopGradient", "Snapshot"})
"""The result is what they read."""

DRAWN = frozenset({"KitSeed", "KitUniform"})
"""A fresh seed; random values that follow from a seed."""

RESHAPED = frozenset({"Reshape", "ExpandDims", "Squeeze"})
"""The same elements in the same order."""

PICKED = frozenset(
    {"Transpose", "Tile", "BroadcastTo", "Slice", "StridedSlice", "GatherV2", "ReverseV2"}
)
"""Elements of the first input, at places that follow from constants."""

JOINED = frozenset({"ConcatV2", "Pack"})
"""Elements of several inputs."""

PRODUCTS = frozenset({"MatMul", "BatchMatMulV2"})
BITS = frozenset({"KitBitSplit", "KitBitGather", "KitBitReverse", "KitXorIndices"})
CHOICES = frozenset({"Select", "SelectV2"})


def _shift(function: Callable[..., Array]) -> Callable[[Array, Array], Array]:
    """Counts outside of 0..bits-1 are clamped, as the executor does."""

    def shift(x: Array, y: Array) -> Array:
        bits = x.dtype.itemsize * 8
        return function(x, np.clip(y, 0, bits - 1).astype(x.dtype))

    return shift


BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "FloorMod": np.mod,
    "FloorDiv": np.floor_divide,
    "BitwiseXor": np.bitwise_xor,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "LeftShift": _shift(np.left_shift),
    "RightShift": _shift(np.right_shift),
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
}
"""Elementwise operations on two operands, which are stretched to one shape. Integers are those
modulo two to the type's width."""

UNARY: dict[str, Callable[[Array], Array]] = {
    "Neg": np.negative,
    "Invert": np.invert,
    "LogicalNot": np.logical_not,
    "Round": np.rint,
}
"""Elementwise operations on one operand."""

KINDS: frozenset[str] = frozenset(
    {
        *SOURCES,
        *SAME,
        *DRAWN,
        *BINARY,
        *UNARY,
        *CHOICES,
        *RESHAPED,
        *PICKED,
        *JOINED,
        *PRODUCTS,
        *BITS,
        "Cast",
        "Sum",
    }
)
"""All of them."""

_BITWISE = ("BitwiseXor", "BitwiseAnd", "BitwiseOr", "LeftShift", "RightShift", "Invert")

_TYPES: dict[str, str] = {
    **dict.fromkeys(("Add", "AddV2", "Sub", "Mul", "Neg"), "iuf"),
    **dict.fromkeys(("Sum", *PRODUCTS), "iuf"),
    **dict.fromkeys(("FloorMod", "FloorDiv", "Range", *_BITWISE, *BITS), "iu"),
    **dict.fromkeys(("LogicalAnd", "LogicalOr", "LogicalNot"), "b"),
    "Round": "f",
}


def takes(kind: str, dtype: np.dtype[Any]) -> bool:
    """Whether the first operand of a kind may be of a type."""
    return dtype.kind in _TYPES.get(kind, "iufb")
