"""Logistic regression by stochastic gradient descent, with the protocol's sigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from party.models.interface import Array
from party.models.label import LabelRule
from party.models.linear_predictor import LinearPredictor
from party.models.logistic_regression.parameters import LogisticRegressionParameters
from party.protocols import sines
from party.protocols.registry import protocol_of

if TYPE_CHECKING:
    from party.agreement.job import Job
    from party.protocols.dealing import Dealing, Sum
    from party.protocols.interface import Circuit, Sigmoid


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

    def sigmoid(self, job: Job) -> Sigmoid:
        return sines.SIGMOID if job.descent is not None else protocol_of(job.protocol).sigmoid

    def row_limit(self, job: Job) -> float | None:
        """A step moves the weights by ``step width * error * row``, and so the row's own
        ``t = row . w`` by ``step width * error * |row|**2``: the row's reach."""
        reach = self.sigmoid(job).reach
        return None if reach is None else reach / job.step_width.value

    def predicted(self, dealing: Dealing, t: Sum, bits: int, result_bits: int) -> Sum:
        return dealing.sigmoid(t, bits, result_bits)

    def activated(self, circuit: Circuit, product: Any) -> Any:
        return circuit.sigmoid(product)

    def activated_in_clear(self, job: Job, t: Array) -> Array:
        return self.sigmoid(job).value(t)

    def predict(self, weights: Array, x: NDArray[np.float32]) -> Array:
        """The probability of label 1, by the exact sigmoid."""
        t = x.astype(np.float64) @ weights
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * t)))
