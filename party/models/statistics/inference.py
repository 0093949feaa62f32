"""From weights and their information matrix to what a statistician asks of them.

The weights minimise ``sum of losses + w' P w / 2``, with ``P = 1/C`` for each weight but the
intercept. With ``I = X' diag(s (1 - s)) X``, the information of all rows at these weights, their
covariance is taken for ``(I + P)^-1``: the plain inverse of the penalised Hessian, which is the
posterior's where the penalty is a prior (Nychka, JASA 1988, on how its intervals cover).
It is never less than the other usual choice, ``(I + P)^-1 I (I + P)^-1``, and both are the inverse
information, that of an unpenalised fit, where C is large.

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


def information_of(x: NDArray[np.float32], weights: Array) -> Array:
    """``X' diag(s (1 - s)) X``, [columns, columns], of standardised rows and the ones."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for begin in range(0, len(x), _CHUNK):
        part = x[begin : begin + _CHUNK].astype(np.float64)
        half = np.tanh(0.5 * (part @ weights))
        total += part.T @ (0.25 * (1.0 - half * half)[:, np.newaxis] * part)
    return total


def statistics_of(fit: Fit, information: Array, level: float) -> Statistics:
    """What follows from the information matrix, [columns, columns] in the order of the weights."""
    hessian = information + np.diag(fit.penalty)
    told = Statistics(level=level, rows=fit.rows, C=fit.C)
    covariance = _inverse(hessian)
    if covariance is None:
        why = "columns depend on each other, so that no weight has a standard error: leave one out"
        return told.model_copy(update={"warnings": (why,)})
    errors = np.sqrt(np.diag(covariance))
    shift = float(np.max(np.abs(covariance @ (fit.penalty * fit.weights)) / errors))
    warnings: tuple[str, ...] = ()
    if shift > SHIFTED:
        warnings = (
            f"the penalty moves a weight by {shift:.2g} of its standard error: raise training.C "
            "for intervals around what an unpenalised fit would give",
        )
    wide = NormalDist().inv_cdf(0.5 + level / 2)
    found = [
        _estimate(name, float(weight), float(error), wide, scale).model_copy(
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
    name: str | None, weight: float, error: float, wide: float, scale: float | None
) -> Estimate:
    z, own = weight / error, _around(weight, error, wide)
    return Estimate(
        **own.model_dump(),
        feature=name,
        z=z,
        p_value=erfc(abs(z) / sqrt(2.0)),
        per_unit=None if scale is None else _around(weight / scale, error / scale, wide),
    )


def _around(weight: float, error: float, wide: float) -> PerUnit:
    low, high = weight - wide * error, weight + wide * error
    return PerUnit(
        weight=weight,
        standard_error=error,
        interval=(low, high),
        odds_ratio=_exp(weight),
        odds_ratio_interval=(_exp(low), _exp(high)),
    )


def _exp(value: float) -> float | None:
    try:
        found = exp(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None
