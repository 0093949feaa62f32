"""What parameters of models have in common; apart, since a job is read without arrays."""

from __future__ import annotations

from typing import ClassVar, Literal

from party.process.schema import Strict

ModelName = Literal["logistic-regression", "linear-regression"]
"""The models that can be trained."""


class Parameters(Strict):
    """A model's parameters in the job. Each model adds ``kind``, its name, and what it needs, and
    says what the rest of the kit may ask of it."""

    classes: ClassVar[bool] = False
    """Whether its label is one of two classes, whose chance it tells by a logistic sigmoid: classes
    can be weighed, labels turned round, and chances evaluated."""

    residuals: ClassVar[bool] = False
    """Whether its standard errors take the square sum of the residuals, which nobody has."""
