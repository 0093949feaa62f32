"""What a model demands of the label; without pydantic, for the process that reads a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelRule:
    """What the label column must hold.

    Attributes:
        classes: the only values that may stand there, each at least once; None for any number.
        unit: what each number is divided by before it is shared.
        most: the largest absolute value of a number in that unit, 1024 at most.
    """

    classes: tuple[float, ...] | None = None
    unit: float = 1.0
    most: float = 1024.0  # what the audit counts on: see ``party.agreement.limits``
