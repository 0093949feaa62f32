"""Its parameters in the job."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from party.models.parameters import Parameters


class LinearRegressionParameters(Parameters):
    """Linear regression of a label that is a number."""

    residuals: ClassVar[bool] = True

    kind: Literal["linear-regression"] = Field(
        default="linear-regression", description="linear-regression"
    )
    unit: float = Field(
        default=1.0, gt=0, description="what labels are divided by: of the size of most of them"
    )
