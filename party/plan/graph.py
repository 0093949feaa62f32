"""A plan as plain data: operations in the order of building, each placed on a party."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, astuple, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES
from party.plan.parameters import PlanParameters
from party.process.errors import JobError

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


@dataclass(frozen=True)
class Shared:
    """A value that stays shared between programs: a matrix of numbers in fixed point.

    Attributes:
        name: unique in its plan.
        shape, dtype: of each of its parts; the value is their sum, modulo the type's ring.
        parts: for each party, the numbers of the parts that it holds.
        by_rows: whether programs read and write a batch of its rows, and not all of it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    parts: tuple[tuple[int, ...], ...]
    by_rows: bool = False


@dataclass(frozen=True)
class Share:
    """One party's share of a shared value: its ``position``-th part of it."""

    value: str
    party: int
    position: int


@dataclass(frozen=True)
class Private:
    """What a placeholder is fed with: the batch's rows of a party's own table.

    Attributes:
        operation: the ``Placeholder``.
        party: whose table.
        first: the first column; as many follow as the placeholder has.
    """

    operation: str
    party: int
    first: int


@dataclass(frozen=True)
class Slot:
    """A share of the state, and the operation that stands for it in a program: the placeholder of
    what is read, or what makes that which is written."""

    operation: str
    share: Share


@dataclass(frozen=True)
class Opening:
    """A value of the state that a program opens: the operation that makes it, at its receiver."""

    operation: str
    value: str


@dataclass(frozen=True, eq=False)
class Program:
    """One program over the shared state, for all parties.

    Attributes:
        name: unique in its plan.
        operations: in the order of building, which is a topological one.
        inputs: what it reads of the parties' tables.
        reads: the shares that it reads, as they were before it.
        writes: the shares that it leaves changed.
        opens: the values that it opens.
    """

    name: str
    operations: tuple[Operation, ...]
    inputs: tuple[Private, ...]
    reads: tuple[Slot, ...]
    writes: tuple[Slot, ...]
    opens: tuple[Opening, ...]

    @cached_property
    def by_name(self) -> dict[str, Operation]:
        """The operations by name."""
        return {operation.name: operation for operation in self.operations}

    @property
    def targets(self) -> tuple[tuple[str, ...], ...]:
        """For each party, the operations whose results it must end up with."""
        wanted: list[list[str]] = [[] for _ in PARTIES]
        for slot in self.writes:
            wanted[slot.share.party].append(slot.operation)
        for opening in self.opens:
            party = self.by_name[opening.operation].party
            if party is None:
                raise JobError(f"the plan opens {opening.value!r} to no party")
            wanted[party].append(opening.operation)
        return tuple(map(tuple, wanted))

    def canonical(self) -> dict[str, Any]:
        """As plain data, without names: positions stand for operations."""
        position = {operation.name: i for i, operation in enumerate(self.operations)}

        def slots(them: tuple[Slot, ...]) -> list[list[Any]]:
            return [[position[s.operation], *astuple(s.share)] for s in them]

        return {
            "name": self.name,
            "operations": [_canonical(operation, position) for operation in self.operations],
            "inputs": [[position[i.operation], i.party, i.first] for i in self.inputs],
            "reads": slots(self.reads),
            "writes": slots(self.writes),
            "opens": [[position[o.operation], o.value] for o in self.opens],
        }


@dataclass(frozen=True, eq=False)
class Plan:
    """A job's programs over one shared state, for all parties.

    Attributes:
        parameters: what it was built from.
        state: the values that stay shared between programs; all are zero before the first one.
        programs: in the order in which they first run.
        scale: what one unit of a value is encoded as.
    """

    parameters: PlanParameters
    state: tuple[Shared, ...]
    programs: tuple[Program, ...]
    scale: int

    @cached_property
    def by_name(self) -> dict[str, Program]:
        """The programs by name."""
        return {program.name: program for program in self.programs}

    def shared(self, name: str) -> Shared:
        """The value of the state with a name; KeyError where there is none."""
        return {value.name: value for value in self.state}[name]

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the plan in a canonical form.

        Names of operations do not count, positions do: the digest is the same in every process
        and on every machine that builds the same operations in the same order.
        """
        canonical = {
            "parameters": self.parameters.digest,
            "state": [asdict(value) for value in self.state],
            "programs": [program.canonical() for program in self.programs],
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
