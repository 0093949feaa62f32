"""Linear regression, by least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from party.models import descent
from party.models.interface import Array, Layout, Opened, Scales, blocks_of
from party.models.label import LabelRule
from party.models.linear_predictor import LinearPredictor
from party.models.linear_regression.parameters import LinearRegressionParameters
from party.models.statistics import program as information

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.models.statistics.inference import Residuals
    from party.protocols.dealing import Dealing, Sum

MOST = 16.0
"""The largest label in its unit: with products of 32 such numbers fixed point is far from full."""


class LinearRegression(LinearPredictor):
    """Predicts the label itself, in the job's unit."""

    name: ClassVar[str] = "linear-regression"
    curvature: ClassVar[float] = 1.0
    widest: ClassVar[float] = 1.5
    homoscedastic: ClassVar[bool] = True

    def __init__(self, parameters: LinearRegressionParameters) -> None:
        self.parameters: LinearRegressionParameters = parameters

    @property
    def label_rule(self) -> LabelRule:
        return LabelRule(unit=self.parameters.unit, most=MOST)

    def sigmoid(self, job: Job) -> None:
        return None

    def row_limit(self, job: Job) -> float | None:
        """A step changes the error of a row by the factor ``1 - step width * |row|**2``: beyond
        two it grows."""
        return None if job.descent is not None else 2.0 / job.step_width.value

    def predicted(self, layout: Layout, dealing: Dealing, t: Sum, bits: int, out: int) -> Sum:
        return dealing.rescaled(t, bits - out)

    def predicted_in_clear(self, job: Job, t: Array) -> Array:
        return t

    def residuals(self, job: Job, opened: Opened) -> Residuals | None:
        blocks = blocks_of(job)
        sizes = self.descent(job, blocks)
        assert sizes is not None
        told, unit = opened[information.RESIDUAL], self.parameters.unit
        return information.residuals_of(sizes, told, descent.WEIGHT_BITS, unit, len(blocks))

    def document(self, job: Job, party: Party, opened: Opened, scales: Scales) -> dict[str, Any]:
        own = super().document(job, party, opened, scales)
        return own | {"unit": self.parameters.unit}

    def predict(self, weights: Array, x: NDArray[np.float32]) -> Array:
        """The label, not divided by the unit."""
        return np.asarray(x.astype(np.float64) @ weights * self.parameters.unit)
