"""Its parameters in the job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from party.models.parameters import Parameters


class JointScoresParameters(Parameters):
    """Scores by a model that was trained before."""

    kind: Literal["joint-scores"] = Field(description="joint-scores")
    holder: Literal["alice", "bob"] = Field(description="who has the model, as its receiver")
    trained_by: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="the digest of the job that trained it: job in its model.json",
    )
    predicts: Literal["logistic-regression", "linear-regression"] = Field(
        default="logistic-regression", description="what that job trained"
    )
    unit: float = Field(default=1.0, gt=0, description="of a linear regression, as in that job")

    @property
    def other(self) -> Literal["alice", "bob"]:
        """Whose columns the model's holder does not have."""
        return "bob" if self.holder == "alice" else "alice"
