"""The models by name: the one place that lists them.

Parameters are imported here, since the job is read with them; models only when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from party.models.joint_scores.parameters import JointScoresParameters
from party.models.linear_regression.parameters import LinearRegressionParameters
from party.models.logistic_regression.parameters import LogisticRegressionParameters

if TYPE_CHECKING:
    from party.models.interface import Model

ModelName = Literal["logistic-regression", "linear-regression"]
ModelParameters = Annotated[
    LogisticRegressionParameters | LinearRegressionParameters | JointScoresParameters,
    Field(discriminator="kind"),
]

ADAPTER: TypeAdapter[ModelParameters] = TypeAdapter(
    ModelParameters, config=ConfigDict(defer_build=True)
)
"""Reads parameters that were written down as plain data."""


def parameters_of(name: ModelName) -> LogisticRegressionParameters | LinearRegressionParameters:
    """The parameters of a model that is given by its name alone: its defaults."""
    if name == "linear-regression":
        return LinearRegressionParameters()
    return LogisticRegressionParameters()


def model_of(parameters: ModelParameters) -> Model:
    """The model of some parameters."""
    if isinstance(parameters, JointScoresParameters):
        from party.models.joint_scores.model import JointScores

        return JointScores(parameters)
    if isinstance(parameters, LinearRegressionParameters):
        from party.models.linear_regression.model import LinearRegression

        return LinearRegression(parameters)
    from party.models.logistic_regression.model import LogisticRegression

    return LogisticRegression(parameters)
