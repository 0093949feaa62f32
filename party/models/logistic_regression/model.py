"""Logistic regression, with a sum of sines for a sigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from party.models.interface import Array
from party.models.label import LabelRule
from party.models.linear_predictor import LinearPredictor
from party.models.logistic_regression.parameters import LogisticRegressionParameters
from party.models.private_weights import SIGMOID_BITS
from party.protocols import sines

if TYPE_CHECKING:
    from party.agreement.job import Job
    from party.models.interface import Layout
    from party.protocols.dealing import Dealing, Sum


class LogisticRegression(LinearPredictor):
    """Predicts the probability of label 1."""

    name: ClassVar[str] = "logistic-regression"
    curvature: ClassVar[float] = 0.25
    widest: ClassVar[float] = 4.0

    def __init__(self, parameters: LogisticRegressionParameters) -> None:
        self.parameters = parameters

    @property
    def label_rule(self) -> LabelRule:
        return LabelRule(classes=(0.0, 1.0))

    def sigmoid(self, job: Job) -> sines.Wave:
        return _wave(job.descent is not None, job.weight_privacy is not None)

    def row_limit(self, job: Job) -> float | None:
        """A step moves the weights by ``step width * error * row``, and so the row's own
        ``t = row . w`` by ``step width * error * |row|**2``: a single one must not throw it over
        all of the range, to where the wave falls and pushes it on."""
        if job.descent is not None:
            return None
        largest = 1.0 if job.label_privacy is None else job.label_privacy.largest_error
        return self.sigmoid(job).range / job.step_width.value / largest

    def predicted(self, layout: Layout, dealing: Dealing, t: Sum, bits: int, out: int) -> Sum:
        if layout.descent is not None and layout.descent.private:
            wave = dealing.sigmoid(t, bits, SIGMOID_BITS, sines.STEADY)
            return dealing.rescaled(wave, SIGMOID_BITS - out)
        return dealing.sigmoid(t, bits, out, _wave(descending=layout.descent is not None))

    def predicted_in_clear(self, job: Job, t: Array) -> Array:
        return self.sigmoid(job).value(t)

    def predict(self, weights: Array, x: NDArray[np.float32]) -> Array:
        """The probability of label 1, by the exact sigmoid."""
        t = x.astype(np.float64) @ weights
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * t)))


def _wave(descending: bool, private: bool = False) -> sines.Wave:
    if private:
        return sines.STEADY
    return sines.WIDE if descending else sines.NARROW
