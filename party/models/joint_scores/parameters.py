"""Its parameters in the job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from party.agreement.parties import Holder, other_of
from party.models.parameters import ModelName, Parameters


class JointScoresParameters(Parameters):
    """Scores by a model that was trained before."""

    kind: Literal["joint-scores"] = Field(description="joint-scores")
    holder: Holder = Field(description="who has the model, as its receiver")
    trained_by: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="the digest of the job that trained it: job in its model.json",
    )
    predicts: ModelName = Field(default="logistic-regression", description="what that job trained")
    unit: float = Field(default=1.0, gt=0, description="of a linear regression, as in that job")

    @property
    def other(self) -> Holder:
        """Whose columns the model's holder does not have."""
        return other_of(self.holder)
