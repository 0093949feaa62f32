"""What everybody knows of a value before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from party.plan.graph import Array, Operation
from party.process.errors import JobError


@dataclass(frozen=True, eq=False)
class Known:
    """A value's shape and type, and the value itself if it follows from constants."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    constant: Array | None = None

    @classmethod
    def of(cls, constant: Array) -> Known:
        """A constant."""
        return cls(constant.shape, constant.dtype, constant)

    @property
    def size(self) -> int:
        """Elements."""
        return int(np.prod(self.shape, dtype=np.int64))


def constant_of(operation: Operation, value: Known) -> Array:
    """A value that an operation needs to know beforehand.

    Raises:
        JobError: it depends on something that is not a constant.
    """
    if value.constant is None:
        raise JobError(
            f"{operation.kind} needs a constant here", f"operation {operation.name!r} of the plan"
        )
    return value.constant
