"""The models by name: the one place that lists them.

Parameters are imported here, since the job is read with them; models only when they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field, TypeAdapter

from party.models.joint_scores.parameters import JointScoresParameters
from party.models.linear_regression.parameters import LinearRegressionParameters
from party.models.logistic_regression.parameters import LogisticRegressionParameters
from party.models.parameters import ModelName

if TYPE_CHECKING:
    from party.models.interface import Model

Trained = LogisticRegressionParameters | LinearRegressionParameters
ModelParameters = Annotated[Trained | JointScoresParameters, Field(discriminator="kind")]

ADAPTER: TypeAdapter[ModelParameters] = TypeAdapter(
    ModelParameters, config=ConfigDict(defer_build=True)
)
"""Reads parameters that were written down as plain data."""

TRAINED: Mapping[ModelName, type[Trained]] = MappingProxyType(
    {
        "logistic-regression": LogisticRegressionParameters,
        "linear-regression": LinearRegressionParameters,
    }
)
"""The parameters of models that can be trained; without any given, their defaults."""


def trained(name: ModelName, unit: float) -> Trained:
    """The parameters of a model that was trained, from its document."""
    chosen = TRAINED[name]
    return chosen.model_validate({"unit": unit} if has_unit(name) else {})


def has_unit(name: ModelName) -> bool:
    """Whether a model's label is a number of some unit."""
    return "unit" in TRAINED[name].model_fields


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
