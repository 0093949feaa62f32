"""What follows from constants is a constant: everybody computes it beforehand, in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from party.meaning.known import Known, constant_of
from party.meaning.layouts import LAYOUTS, moved, positions
from party.meaning.vocabulary import BINARY, CHOICES, SAME, UNARY
from party.plan.graph import Array, Operation
from party.process.errors import JobError

_FROM_SHAPE_ALONE = frozenset({"Shape", "ZerosLike", "OnesLike"})


def fold(operation: Operation, inputs: Sequence[Known]) -> Array | None:
    """The value of an operation, where it follows from constants.

    None where it does not, or where it is left to whoever runs the plan: products of matrices, and
    what works on bits or draws random values.

    Raises:
        JobError: it cannot be computed from its constants.
    """
    rule = _RULES.get(operation.kind)
    whole = operation.kind in _FROM_SHAPE_ALONE or all(x.constant is not None for x in inputs)
    if rule is None or not whole:
        return None
    try:
        # Integers wrap. What divides by zero or does not fit its type has no value.
        with np.errstate(over="ignore", divide="raise", invalid="raise"):
            return np.asarray(rule(operation, inputs), operation.dtype)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise JobError(
            "it cannot be computed from its constants", f"operation {operation.name!r} of the plan"
        ) from None


_Rule = Callable[[Operation, Sequence[Known]], Array]
_RULES: dict[str, _Rule] = {}


def _of(*kinds: str) -> Callable[[_Rule], _Rule]:
    def register(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def _constants(operation: Operation, inputs: Sequence[Known]) -> list[Array]:
    return [constant_of(operation, value) for value in inputs]


@_of("Const")
def _const(operation: Operation, inputs: Sequence[Known]) -> Array:
    assert operation.value is not None
    return operation.value


@_of("Fill")
def _fill(operation: Operation, inputs: Sequence[Known]) -> Array:
    return np.full(operation.shape, constant_of(operation, inputs[1]), operation.dtype)


@_of("ZerosLike", "OnesLike")
def _filled_like(operation: Operation, inputs: Sequence[Known]) -> Array:
    return np.full(operation.shape, int(operation.kind == "OnesLike"), operation.dtype)


@_of("Shape")
def _shape(operation: Operation, inputs: Sequence[Known]) -> Array:
    return np.array(inputs[0].shape, operation.dtype)


@_of("Range")
def _range(operation: Operation, inputs: Sequence[Known]) -> Array:
    first, limit, delta = (int(x.item()) for x in _constants(operation, inputs))
    return np.arange(first, limit, delta).astype(operation.dtype)


@_of(*BINARY)
def _binary(operation: Operation, inputs: Sequence[Known]) -> Array:
    return BINARY[operation.kind](*_constants(operation, inputs))


@_of(*UNARY)
def _unary(operation: Operation, inputs: Sequence[Known]) -> Array:
    return UNARY[operation.kind](*_constants(operation, inputs))


@_of(*SAME)
def _same(operation: Operation, inputs: Sequence[Known]) -> Array:
    return constant_of(operation, inputs[0])


@_of("Cast")
def _cast(operation: Operation, inputs: Sequence[Known]) -> Array:
    x = constant_of(operation, inputs[0])
    if x.dtype.kind == "f" and operation.dtype.kind in "iu":
        # NumPy wraps what a narrow type cannot hold; the executor refuses it.
        whole, ring = np.trunc(x.astype(np.float64)), np.iinfo(operation.dtype)
        if not np.all((whole >= float(ring.min)) & (whole < float(ring.max + 1))):
            raise OverflowError
    return x.astype(operation.dtype)


@_of(*CHOICES)
def _choice(operation: Operation, inputs: Sequence[Known]) -> Array:
    return np.where(*_constants(operation, inputs))


@_of(*LAYOUTS)
def _layout(operation: Operation, inputs: Sequence[Known]) -> Array:
    parts = inputs[: moved(operation.kind, len(inputs))]
    flat = [part.reshape(-1) for part in _constants(operation, parts)]
    return np.concatenate(flat)[positions(operation, inputs)]


@_of("Sum")
def _sum(operation: Operation, inputs: Sequence[Known]) -> Array:
    x, axes = _constants(operation, inputs)
    over = tuple(int(axis) % x.ndim for axis in np.atleast_1d(axes))
    return np.asarray(x.sum(axis=over, dtype=operation.dtype)).reshape(operation.shape)
