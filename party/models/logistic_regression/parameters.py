"""Its parameters in the job."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from party.models.parameters import Parameters


class LogisticRegressionParameters(Parameters):
    """Logistic regression of a label that is 0 or 1."""

    classes: ClassVar[bool] = True

    kind: Literal["logistic-regression"] = Field(
        default="logistic-regression", description="logistic-regression"
    )
