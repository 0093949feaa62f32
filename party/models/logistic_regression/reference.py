"""The plaintext reference of secure logistic regression: the same algorithm in clear.

Same order of rows, same batches, same step width and same approximation of the sigmoid, in float64
and without shares. What the reference does, a secure run does but for the rounding of its
fixed-point numbers; what plain logistic regression does better than the reference is the price of
the approximation.

For tests, and for a check on data that one person holds: whoever runs it sees features and labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import Job
from party.agreement.order import order
from party.plan.parameters import StepWidth
from party.protocols.sigmoid import POLYNOMIAL, SHRINK_BITS

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Sigmoid:
    """A protocol's approximation of ``1 / (1 + exp(-t))``.

    Attributes:
        value: the approximation, element by element.
        reach: how far one step may throw one row's own ``t`` while the training still holds
            together (see ``reach_limit``); None where the approximation is bounded.
    """

    value: Callable[[Vector], Vector]
    reach: float | None


def _encoded(coefficients: tuple[float, ...], fraction_bits: int) -> tuple[float, ...]:
    """Coefficients as tf-encrypted has them in fixed point: rounded towards zero."""
    scale = 2.0**fraction_bits
    return tuple(float(np.trunc(c * scale) / scale) for c in coefficients)


def _polynomial(t: Vector) -> Vector:
    """Pond's and SecureNN's: see ``sigmoid.POLYNOMIAL``, with 13 bits after the point."""
    c1, c3, c5 = (round(c * 2.0**13) / 2.0**13 for c in POLYNOMIAL)
    u = t / 2.0**SHRINK_BITS
    square = u * u
    return 0.5 + u * (c1 + square * (c3 + square * c5))


def _five_lines(t: Vector) -> Vector:
    """ABY3's: five straight pieces.

    Source: ``_sigmoid_private`` of tf-encrypted 0.9.1 (``5_piecewise_linear``), with 16 bits after
    the point. A piece holds up to and including its right end.
    """
    (low,), (a, b), (c, d), (e, f), (high,) = _FIVE_LINES
    return np.select(
        [t <= -4, t <= -1.5, t <= 1.5, t <= 4],
        [np.full_like(t, low), a + b * t, c + d * t, e + f * t],
        high,
    )


_FIVE_LINES = tuple(
    _encoded(piece, 16)
    for piece in ((1e-4,), (0.281, 0.066), (0.5, 0.212), (0.719, 0.066), (1 - 1e-4,))
)

# The polynomial follows the sigmoid up to |t| = 6 or so and leaves for infinity after 7. A row that
# a step can throw further than that comes back with a larger error than it went, until nothing but
# overflow is left. 8 is where that was seen to begin, on the fraud data and on made-up outliers.
_POLYNOMIAL_REACH = 8.0

SIGMOID = {
    "pond": Sigmoid(_polynomial, _POLYNOMIAL_REACH),
    "securenn": Sigmoid(_polynomial, _POLYNOMIAL_REACH),
    "aby3": Sigmoid(_five_lines, None),
}
"""Each protocol's approximation."""


def reach_limit(job: Job) -> float | None:
    """The largest squared length of a row, intercept included, that the job's steps can bear.

    A step moves the weights by ``step width * error * row``, and so the row's own ``t = row . w``
    by ``step width * error * |row|**2``: the row's reach. None where there is no such limit.
    """
    reach = SIGMOID[job.protocol].reach
    return None if reach is None else reach / StepWidth.of(job).value


def fit(job: Job, x: NDArray[np.float32], y: NDArray[np.float32]) -> Vector:
    """Trains in clear.

    Args:
        job: what to train.
        x: standardised features and the intercept's column of ones, [rows, features + 1].
        y: labels 0 or 1, [rows, 1].

    Returns:
        The weights, [features + 1]; the last is the intercept.
    """
    sigmoid = SIGMOID[job.protocol].value
    width = StepWidth.of(job).value
    features, labels = x.astype(np.float64), y.astype(np.float64)[:, 0]
    weights = np.zeros(features.shape[1])
    for epoch in range(job.training.epochs):
        for batch in order(job, epoch).reshape(-1, job.training.batch_size):
            rows = features[batch]
            weights -= width * (rows.T @ (sigmoid(rows @ weights) - labels[batch]))
    return weights


def score(weights: Vector, x: NDArray[np.float32]) -> Vector:
    """The probability that the model gives to label 1, [rows], by the exact sigmoid."""
    t = x.astype(np.float64) @ weights
    return 0.5 * (1.0 + np.tanh(0.5 * t))
