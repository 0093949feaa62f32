"""A plan as plain data: operations in the order of building, each placed on a party."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from party.plan.parameters import PlanParameters

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation with one result.

    Attributes:
        name: unique in its plan; a tensor is named by the operation that makes it.
        kind: TensorFlow's name of the operation (``AddV2``, …) or ours (``KitSeed``, …).
        party: the index of the party that does it; None for a public value that whoever needs it
            computes from constants alone.
        inputs: the operations whose results it reads, in order.
        dtype: NumPy type of the result.
        shape: of the result.
        attributes: those of TensorFlow's attributes that its meaning depends on.
        value: the constant of a ``Const``.
    """

    name: str
    kind: str
    party: int | None
    inputs: tuple[str, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    value: Array | None = None

    @property
    def size(self) -> int:
        """Elements of the result."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def bytes(self) -> int:
        """Bytes of the result."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Plan:
    """The training step and the opening of the model, for all parties.

    Attributes:
        parameters: what it was built from.
        operations: in the order of building, which is a topological one.
        inputs: for each party with a private batch, the ``Placeholder`` that it is fed to.
        state: for each party, pairs of the ``Placeholder`` of a share of the model before the step
            and the operation that makes the same share after it.
        result: the operation that makes the opened model, at the party that receives it; it reads
            the state's placeholders.
        scale: what one unit of the model is encoded as.
    """

    parameters: PlanParameters
    operations: tuple[Operation, ...]
    inputs: dict[int, str]
    state: tuple[tuple[tuple[str, str], ...], ...]
    result: str
    scale: int

    @cached_property
    def by_name(self) -> dict[str, Operation]:
        """The operations by name."""
        return {operation.name: operation for operation in self.operations}

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the plan in a canonical form.

        Names do not count, positions do: the digest is the same in every process and on every
        machine that builds the same operations in the same order.
        """
        position = {operation.name: i for i, operation in enumerate(self.operations)}
        canonical = {
            "parameters": self.parameters.digest,
            "operations": [_canonical(operation, position) for operation in self.operations],
            "inputs": {str(party): position[name] for party, name in self.inputs.items()},
            "state": [[[position[a], position[b]] for a, b in pairs] for pairs in self.state],
            "result": position[self.result],
            "scale": self.scale,
        }
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(operation: Operation, position: dict[str, int]) -> list[Any]:
    value = operation.value
    constant = None
    if value is not None:
        little_endian = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        constant = hashlib.sha256(little_endian.tobytes()).hexdigest()
    return [
        operation.kind,
        operation.party,
        [position[name] for name in operation.inputs],
        operation.dtype.name,
        list(operation.shape),
        operation.attributes,
        constant,
    ]
