"""Where each element of a layout's result comes from.

Layouts compute nothing: they reshape, pick, repeat and join elements, at places that follow from
constants. So a layout is a list of positions in what it moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from party.meaning.known import Known, constant_of
from party.meaning.vocabulary import JOINED, PICKED, RESHAPED
from party.plan.graph import Operation
from party.process.errors import JobError

Positions = npt.NDArray[np.int64]

LAYOUTS = RESHAPED | PICKED | JOINED


def moved(kind: str, inputs: int) -> int:
    """How many of a layout's inputs it moves; the rest say where to."""
    return {"Pack": inputs, "ConcatV2": inputs - 1}.get(kind, 1)


def positions(operation: Operation, inputs: Sequence[Known]) -> Positions:
    """The positions that a layout takes its elements from, in its own shape.

    They count the elements of all that it moves, laid one after the other.

    Raises:
        JobError: it would make another shape than it says, or what is no constant says where to.
    """
    made = _RULES[operation.kind](operation, inputs)
    if made.shape != operation.shape:
        raise JobError(
            f"{operation.kind} does not make the shape that it says",
            f"operation {operation.name!r} of the plan",
        )
    return made


_Rule = Callable[[Operation, Sequence[Known]], Positions]
_RULES: dict[str, _Rule] = {}


def _of(*kinds: str) -> Callable[[_Rule], _Rule]:
    def register(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def _numbered(value: Known, first: int = 0) -> Positions:
    return np.arange(first, first + value.size, dtype=np.int64).reshape(value.shape)


@_of(*RESHAPED)
def _reshape(operation: Operation, inputs: Sequence[Known]) -> Positions:
    return _numbered(inputs[0]).reshape(operation.shape)


@_of("Transpose")
def _transpose(operation: Operation, inputs: Sequence[Known]) -> Positions:
    return _numbered(inputs[0]).transpose(constant_of(operation, inputs[1]))


@_of("Tile")
def _tile(operation: Operation, inputs: Sequence[Known]) -> Positions:
    return np.tile(_numbered(inputs[0]), constant_of(operation, inputs[1]))


@_of("BroadcastTo")
def _broadcast_to(operation: Operation, inputs: Sequence[Known]) -> Positions:
    return np.broadcast_to(_numbered(inputs[0]), operation.shape)


@_of("Slice")
def _slice(operation: Operation, inputs: Sequence[Known]) -> Positions:
    begin, size = (constant_of(operation, value) for value in inputs[1:])
    # A size of -1 is all that is left.
    end = np.where(size == -1, inputs[0].shape, begin + size)
    cut = tuple(slice(b, e) for b, e in zip(begin, end, strict=True))
    return _numbered(inputs[0])[cut]


@_of("StridedSlice")
def _strided_slice(operation: Operation, inputs: Sequence[Known]) -> Positions:
    masks = operation.attributes
    begin, end, stride = (constant_of(operation, value) for value in inputs[1:])
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
    return np.asarray(_numbered(inputs[0])[tuple(cut)])


@_of("GatherV2")
def _gather(operation: Operation, inputs: Sequence[Known]) -> Positions:
    indices, axis = (constant_of(operation, value) for value in inputs[1:])
    return np.asarray(np.take(_numbered(inputs[0]), indices, axis=int(axis.item())))


@_of("ReverseV2")
def _reverse(operation: Operation, inputs: Sequence[Known]) -> Positions:
    axes = tuple(int(axis) for axis in np.atleast_1d(constant_of(operation, inputs[1])))
    return np.flip(_numbered(inputs[0]), axes)


@_of("ConcatV2", "Pack")
def _join(operation: Operation, inputs: Sequence[Known]) -> Positions:
    parts, first = [], 0
    for part in inputs[: moved(operation.kind, len(inputs))]:
        parts.append(_numbered(part, first))
        first += part.size
    if operation.kind == "Pack":
        return np.stack(parts, operation.attributes["axis"])
    return np.concatenate(parts, int(constant_of(operation, inputs[-1]).item()))
