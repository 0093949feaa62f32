"""From weights and their information matrix to what a statistician asks of them.

The weights minimise ``sum of losses + w' P w / 2``, with ``P = 1/C`` for each weight but the
intercept. With ``I = X' diag(s (1 - s)) X``, the information of all rows at these weights, their
covariance is taken for ``(I + P)^-1``: the plain inverse of the penalised Hessian, which is the
posterior's where the penalty is a prior (Nychka, JASA 1988, on how its intervals cover).
It is never less than the other usual choice, ``(I + P)^-1 I (I + P)^-1``, and both are the inverse
information, that of an unpenalised fit, where C is large.

Where losses are weighed by their rows' classes, by a for label 0 and b for label 1, the inverse
Hessian is no covariance any more: weights ten times as large would make it a tenth. It is taken
for the sandwich ``(H + P)^-1 (M + P) (H + P)^-1`` of the Hessian H and the covariance M of the
gradient (Huber 1967; White, Econometrica 1982), both as the model expects them of its rows. Where
it holds, a row's chance of label 1 has a/b times the odds of s, so that with
``d = a s + b (1 - s)``

    H = X' diag(a b s (1 - s) / d) X    and    M = X' diag(a b s (1 - s)) X

have no label in them. With a = b = 1 that is the covariance above, and so it is with any weights
that are the same, of a penalty that has grown with them.

Of linear regression the information is ``X' X``, and the covariance is ``v (X' X + P)^-1`` with the
residual variance ``v``: the sum of squared residuals by the rows less the columns, the ones among
them. That is the posterior's covariance of a prior by ``P / v``, and least squares' own where C is
large. Its intervals and p-values are Student's.

All columns are standardised, as the weights are reported: a weight is the change in log odds by one
standard deviation of its column. Where the receiver knows the column's scale, the same is told by
one of the column's own units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import erfc, exp, isfinite, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from party.models.statistics import student
from party.models.statistics.figures import Estimate, PerUnit, Statistics

Array = NDArray[np.float64]

DEPENDENT = 1e-7
"""The smallest eigenvalue of the penalised Hessian, with ones on its diagonal, below which columns
depend on each other and no standard error is told."""

SHIFTED = 0.1
"""By how many standard errors a penalty may move a weight without a word."""

_CHUNK = 1 << 14


@dataclass(frozen=True)
class Fit:
    """The weights of all columns and what they rest on.

    Attributes:
        names: of the features, in the order of the weights; None for the ones of the intercept.
        weights: of the standardised columns, [columns].
        penalty: on each squared weight, [columns].
        scales: by which a column was divided; None where it is another's.
        inflation: of the columns, by name; see ``collinearity``.
        rows: that the training took.
        C: the inverse strength of the penalty.
    """

    names: Sequence[str | None]
    weights: Array
    penalty: Array
    scales: Sequence[float | None]
    rows: int
    C: float
    inflation: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Residuals:
    """What the columns leave of the label, in linear regression.

    Attributes:
        squares: their sum over all rows.
        rounding: by which one may be off.
        coarseness: by which weighted sums may be, since tables are rounded, as a part of how large
            they are with the penalty, both in the root mean square.
        unit: by which the label was divided.
    """

    squares: float
    rounding: float
    coarseness: float
    unit: float


def moments_of(x: NDArray[np.float32]) -> Array:
    """``X' X``, [columns, columns], of standardised rows and the ones."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for begin in range(0, len(x), _CHUNK):
        part = x[begin : begin + _CHUNK].astype(np.float64)
        total += part.T @ part
    return total


def information_of(x: NDArray[np.float32], weights: Array) -> Array:
    """``X' diag(s (1 - s)) X``, [columns, columns], of standardised rows and the ones."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for begin in range(0, len(x), _CHUNK):
        part = x[begin : begin + _CHUNK].astype(np.float64)
        half = np.tanh(0.5 * (part @ weights))
        total += part.T @ (0.25 * (1.0 - half * half)[:, np.newaxis] * part)
    return total


def weighed_information_of(
    x: NDArray[np.float32], weights: Array, zero: float, one: float
) -> tuple[Array, Array]:
    """The Hessian and the gradient's covariance where losses are weighed by classes, each [columns,
    columns], of standardised rows and the ones.

    Args:
        zero, one: by which rows of label 0 and of label 1 are weighed.
    """
    hessian, gradient = np.zeros((2, x.shape[1], x.shape[1]))
    for begin in range(0, len(x), _CHUNK):
        part = x[begin : begin + _CHUNK].astype(np.float64)
        half = np.tanh(0.5 * (part @ weights))
        variance = zero * one * 0.25 * (1.0 - half * half)
        gradient += part.T @ (variance[:, np.newaxis] * part)
        expected = variance / (0.5 * (zero * (1.0 + half) + one * (1.0 - half)))
        hessian += part.T @ (expected[:, np.newaxis] * part)
    return hessian, gradient


def statistics_of(
    fit: Fit,
    information: Array,
    level: float,
    gradient: Array | None = None,
    residuals: Residuals | None = None,
) -> Statistics:
    """What follows from the information matrix, [columns, columns] in the order of the weights.

    Args:
        gradient: the covariance of the gradient where it is another matrix, as where classes are
            weighed.
        residuals: of linear regression.
    """
    told = Statistics(level=level, rows=fit.rows, C=fit.C)
    bread = _inverse(information + np.diag(fit.penalty))
    if gradient is not None:
        told = told.model_copy(update={"estimator": "sandwich of weighed classes"})
    if bread is None:
        why = "columns depend on each other, so that no weight has a standard error: leave one out"
        return told.model_copy(update={"warnings": (why,)})
    covariance, degrees = bread, None
    if gradient is not None:
        covariance = bread @ (gradient + np.diag(fit.penalty)) @ bread
    if residuals is not None:
        degrees = fit.rows - len(fit.weights)
        variance = residuals.squares / degrees
        told = told.model_copy(
            update={
                "estimator": "residual variance times the inverse of the penalised Hessian",
                "degrees_of_freedom": degrees,
                "residual_deviation": residuals.unit * sqrt(max(variance, 0.0)),
            }
        )
        bound = information + np.diag(fit.penalty)
        size = float(fit.weights @ bound @ fit.weights) / fit.rows
        if variance <= max(residuals.rounding**2, residuals.coarseness**2 * size):
            why = "the columns leave nothing of the label, so that no weight has a standard error"
            return told.model_copy(update={"warnings": (why,)})
        covariance = variance * bread
    errors = np.sqrt(np.diag(covariance))
    shift = float(np.max(np.abs(bread @ (fit.penalty * fit.weights)) / errors))
    warnings: tuple[str, ...] = ()
    if shift > SHIFTED:
        warnings = (
            f"the penalty moves a weight by {shift:.2g} of its standard error: raise training.C "
            "for intervals around what an unpenalised fit would give",
        )
    found = [
        _estimate(name, float(weight), float(error), level, degrees, scale).model_copy(
            update={"inflation": None if name is None else fit.inflation.get(name)}
        )
        for name, weight, error, scale in zip(
            fit.names, fit.weights, errors, fit.scales, strict=True
        )
    ]
    return told.model_copy(
        update={
            "shift": shift,
            "weights": tuple(one for one in found if one.feature is not None),
            "intercept": next((one for one in found if one.feature is None), None),
            "warnings": warnings,
        }
    )


def _inverse(hessian: Array) -> Array | None:
    """The inverse; None where columns depend on each other."""
    diagonal = np.diag(hessian)
    if not (np.isfinite(hessian).all() and (diagonal > 0).all()):
        return None
    root = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(hessian / np.outer(root, root))
    if values[0] < DEPENDENT:
        return None
    return np.asarray((vectors / values) @ vectors.T / np.outer(root, root))


def _estimate(
    name: str | None,
    weight: float,
    error: float,
    level: float,
    degrees: int | None,
    scale: float | None,
) -> Estimate:
    """``degrees`` of freedom are linear regression's; its weights are of no odds."""
    if degrees is None:
        wide, ratios = NormalDist().inv_cdf(0.5 + level / 2), True
    else:
        wide, ratios = student.quantile(level, degrees), False
    z, own = weight / error, _around(weight, error, wide, ratios)
    return Estimate(
        **own.model_dump(),
        feature=name,
        z=z,
        p_value=erfc(abs(z) / sqrt(2.0)) if degrees is None else student.beyond(z, degrees),
        per_unit=None if scale is None else _around(weight / scale, error / scale, wide, ratios),
    )


def _around(weight: float, error: float, wide: float, ratios: bool) -> PerUnit:
    low, high = weight - wide * error, weight + wide * error
    return PerUnit(
        weight=weight,
        standard_error=error,
        interval=(low, high),
        odds_ratio=_exp(weight) if ratios else None,
        odds_ratio_interval=(_exp(low), _exp(high)) if ratios else (None, None),
    )


def _exp(value: float) -> float | None:
    try:
        found = exp(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None
