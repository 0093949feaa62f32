"""Small programs made by hand, of values that are all of one length."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from party.plan.graph import Operation, Program, Share, Slot


@dataclass
class Circuit:
    """A program in the making; each method adds an operation and returns its name.

    Args:
        dtype: of all values, ``bool`` or an integer type.
        length: of all values.
    """

    dtype: Any
    length: int = 2
    operations: list[Operation] = field(default_factory=list)
    _secrets: list[tuple[int, str]] = field(default_factory=list)

    def add(
        self,
        kind: str,
        party: int | None,
        *inputs: str,
        dtype: Any = None,
        shape: tuple[int, ...] | None = None,
        value: Any = None,
        **attributes: Any,
    ) -> str:
        """Any operation."""
        name = f"{kind}_{len(self.operations)}"
        type_ = np.dtype(self.dtype if dtype is None else dtype)
        constant = None if value is None else np.array(value, type_)
        if constant is not None:
            shape = constant.shape
        elif shape is None:
            shape = (self.length,)
        self.operations.append(
            Operation(name, kind, party, inputs, type_, shape, attributes, constant)
        )
        return name

    def constant(self, value: Any, dtype: Any = np.int32) -> str:
        """A public constant."""
        return self.add("Const", None, dtype=dtype, value=value)

    def secret(self, party: int) -> str:
        """Something that a party holds."""
        name = self.add("Placeholder", party)
        self._secrets.append((party, name))
        return name

    def seed(self, party: int) -> str:
        """A fresh seed."""
        return self.add("KitSeed", party, dtype=np.int32, shape=(8,))

    def uniform(
        self, seed: str, party: int, *, rows: int = 0, low: int | None = None, high: int = 2
    ) -> str:
        """Fresh values, or rows of them: of the whole type, or from low to below high."""
        shape = (rows, self.length) if rows else (self.length,)
        drawn = np.dtype(np.int32 if self.dtype is bool else self.dtype)
        if self.dtype is bool:
            low = 0
        elif low is None:
            low, high = np.iinfo(drawn).min, np.iinfo(drawn).max
        size, least, limit = (
            self.constant(value, type_)
            for value, type_ in ((list(shape), np.int32), (low, drawn), (high, drawn))
        )
        name = self.add("KitUniform", party, size, seed, least, limit, dtype=drawn, shape=shape)
        if self.dtype is bool:
            name = self.add("Cast", party, name, shape=shape)
        return name

    def row(self, x: str, index: int, party: int) -> str:
        """One row of rows."""
        begin, end, stride = (self.constant([n]) for n in (index, index + 1, 1))
        masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
        attributes: dict[str, Any] = dict.fromkeys(masks, 0) | {"shrink_axis_mask": 1}
        return self.add("StridedSlice", party, x, begin, end, stride, **attributes)

    def picked(self, x: str, elements: tuple[int, ...], party: int) -> str:
        """Some of its elements."""
        where = self.constant(elements), self.constant(0)
        return self.add("GatherV2", party, x, *where, shape=(len(elements),))

    def crossed(self, x: str, y: str, party: int) -> str:
        """Of two pairs, the first of one and the second of the other."""
        both = self.add("ConcatV2", party, x, y, self.constant(0), shape=(4,))
        return self.picked(both, (0, 3), party)

    def program(self, received: list[str], party: int) -> Program:
        """The program in which a party ends up with some values, and so receives others' ones."""
        held = tuple(Slot(name, Share(name, holder, 0)) for holder, name in self._secrets)
        kept = tuple(Slot(name, Share(f"kept{i}", party, 0)) for i, name in enumerate(received))
        needed = {*received, *(name for _, name in self._secrets)}
        for operation in reversed(self.operations):
            if operation.name in needed:
                needed.update(operation.inputs)
        operations = tuple(o for o in self.operations if o.name in needed)
        return Program("circuit", operations, (), held, (*held, *kept), ())
