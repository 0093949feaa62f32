"""How the audit says no."""

from __future__ import annotations

from party.plan.graph import Operation
from party.process.errors import JobError


def refused(operation: Operation, why: str) -> JobError:
    """The error that names an operation and the reason."""
    return JobError(f"the plan is refused: {why}", f"operation {operation.name!r} of the plan")
