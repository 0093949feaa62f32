"""What the curvature of the loss on the receiver's own rows tells it of a model, at home.

The curvature of logistic regression's loss follows from the rows and the weights, without a label.
So who receives all weights and has all columns can tell two things that nobody told it:

- **How far mini-batches still had to go.** Small steps from zero follow the flow along the
  gradient, and near the optimum w* of a loss that curves as H says this is
  ``w(s) = (I - exp(-H s)) w*``, where ``s`` is the rate times the steps, which are public. So what
  is missing follows from what is there: ``w* - w(s) = (exp(H s) - I)^-1 w(s)``. (On the way the
  loss of logistic regression curves more than at its end, so that it is an estimate:
  ``tests/models/test_curvature.py`` has it within a factor of three.)
- **Whether the model is more than chance.** Where the label has nothing to do with the columns, the
  weights of n rows are spread as ``(n H)^-1``, and ``n w' H w`` as chi-squared (Wald). So it looks
  where the other holder's rows are in another order. A penalty P holds weights back: without it
  they would be near ``(n H)^-1 (n H + P) w``.
"""

from __future__ import annotations

from math import erfc, sqrt
from typing import TYPE_CHECKING

import numpy as np

from party.models.statistics.inference import information_of, moments_of

if TYPE_CHECKING:
    from party.models.health import Health, Matrix
    from party.models.interface import Array

FAR = 0.1
"""A change of t that is worth a word: of odds by a tenth."""

CHANCE = 0.01
"""How likely weights as large must be by chance for a word on it."""

_FLAT = 1e-7
"""Directions in which the loss curves less than this part of the most are the rounding's."""

_ROWS, _COLUMNS = 1 << 12, 256
"""As many rows tell enough of the curvature; of more columns nothing is asked, since that would
take time and memory that a party may not have."""


def check_curvature(
    health: Health,
    x: Matrix,
    weights: Array,
    flow: float | None,
    logistic: bool,
    penalty: float = 0.0,
    aligned: bool = False,
) -> Health:
    """What is known at home of where a training would have settled, and of what it is worth.

    Args:
        health: what is known so far.
        x: the receiver's own rows, standardised, with all columns and the ones last, [rows,
            columns].
        weights: [columns].
        flow: the rate times the number of steps, of mini-batches; None for passes over all rows.
        logistic: whether the loss curves as that of logistic regression; or as half the squared
            error.
        penalty: on half of each squared weight but the intercept's, beside the loss of all rows.
        aligned: whether it was seen to that rows belong together.
    """
    if x.shape[1] > _COLUMNS or not (logistic or flow is not None):
        return health
    some = x[:: max(1, len(x) // _ROWS)]
    moments = moments_of(some) / len(some)
    curvature = information_of(some, weights) / len(some) if logistic else moments
    warnings = health.warnings
    left = None if flow is None else to_go(moments, curvature, weights, flow)
    if left is not None and left > FAR:
        warnings += (
            f"training.epochs: after {health.steps} steps t was still some {left:.2g} (root mean "
            "square) from where it settles, by the curvature of the receiver's own rows; raise it, "
            "or leave out epochs, batch_size and learning_rate: passes over all rows go on until "
            "they settle",
        )
    elif (
        logistic
        and health.settled is not False
        and health.epsilon is None  # noise of labels moves weights, too
        and (chance := by_chance(curvature, weights, health.rows, penalty)) > CHANCE
    ):
        what = f"by chance alone weights would be as large with a probability of {chance:.2g}, "
        if aligned:
            what = f"features: {what}so that the columns say next to nothing of the label"
        else:
            what = (
                f"align: {what}so that the columns say next to nothing of the label, or the rows "
                "of the two tables do not belong together; have their order compared "
                "(align.order: same), or the rows matched"
            )
        warnings += (what,)
    return health.model_copy(update={"to_go": left, "warnings": warnings})


def to_go(moments: Array, curvature: Array, weights: Array, flow: float) -> float:
    """By how much t would still change if steps went on, as the root of the mean square.

    Args:
        moments: ``X'X`` of standardised rows, by their number, [columns, columns].
        curvature: of the mean loss at these weights, [columns, columns].
        weights: [columns].
        flow: the rate times the number of steps.
    """
    curves, directions = np.linalg.eigh(curvature)
    part = directions.T @ weights
    seen = curves > _FLAT * curves[-1]
    missing = np.zeros_like(part)
    missing[seen] = part[seen] / np.expm1(np.minimum(curves[seen] * flow, 500.0))
    change = directions @ missing
    return sqrt(max(float(change @ moments @ change), 0.0))


def by_chance(curvature: Array, weights: Array, rows: int, penalty: float = 0.0) -> float:
    """How likely weights are as large where the label has nothing to do with the columns: Wald's
    test of all but the intercept, the last one, with Wilson and Hilferty's cube root for the tail
    of chi-squared.

    Args:
        curvature: of the mean loss at these weights, [columns, columns].
        weights: [columns].
        rows: that the training took.
        penalty: see ``check_curvature``.
    """
    own, with_ones, ones = curvature[:-1, :-1], curvature[:-1, -1], curvature[-1, -1]
    alone = own - np.outer(with_ones, with_ones) / ones
    count = len(own)
    sums, w = rows * alone, weights[:-1]
    free = w + penalty * np.linalg.pinv(sums, hermitian=True) @ w
    statistic = max(float(free @ sums @ free), 0.0)
    narrow = 2.0 / (9.0 * count)
    return 0.5 * erfc(((statistic / count) ** (1 / 3) - 1.0 + narrow) / sqrt(2.0 * narrow))
