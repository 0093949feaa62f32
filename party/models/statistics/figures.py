"""What a statistician asks of weights, as a document has it."""

from __future__ import annotations

from typing import Literal

from party.process.schema import Frozen

Interval = tuple[float, float]
Estimator = Literal[
    "inverse of the penalised Hessian",
    "sandwich of weighed classes",
    "residual variance times the inverse of the penalised Hessian",
]


class Inflation(Frozen):
    """How far a column says what others of its holder do.

    Attributes:
        feature: the column.
        factor: by which its weight's variance is larger for that; None where it depends on them.
    """

    feature: str
    factor: float | None


class PerUnit(Frozen):
    """A weight and what is around it.

    Attributes:
        weight, standard_error, interval: of the log odds; in linear regression of the label, in
            the job's unit.
        odds_ratio, odds_ratio_interval: by which the odds are multiplied; None beyond all numbers,
            and in linear regression.
    """

    weight: float
    standard_error: float
    interval: Interval
    odds_ratio: float | None
    odds_ratio_interval: tuple[float | None, float | None]


class Estimate(PerUnit):
    """A weight and how far it can be trusted; by one standard deviation of its column.

    Attributes:
        feature: the column; None of the intercept, which is that of a row of mean columns.
        weight: as ``weights`` and ``intercept`` have it.
        z: the weight by its standard error; in linear regression Student's t.
        p_value: the chance of a z so far from zero, either way, where the weight is none.
        inflation: by which its variance is larger, since its holder's other columns say what this
            one does; None where it depends on them, of another holder's, and of the intercept.
        per_unit: the same by one of the column's own units; None where another holder alone knows
            its scale, and of the intercept.
    """

    feature: str | None
    z: float
    p_value: float
    inflation: float | None = None
    per_unit: PerUnit | None


class Statistics(Frozen):
    """What a receiver of all weights is told of them.

    Attributes:
        version: of the form.
        estimator: of the covariance; see the module.
        level: of the intervals.
        rows: that the training took.
        C: the inverse strength of the penalty.
        shift: by how many standard errors the penalty moves a weight, at most.
        degrees_of_freedom: of linear regression's t: the rows less the columns.
        residual_deviation: what linear regression leaves of the label: the standard deviation.
        weights: in the order of the model's features; empty where columns depend on each other.
        intercept: None where there is none in ``weights`` either.
        warnings: what is worth a look.
    """

    version: Literal[1] = 1
    estimator: Estimator = "inverse of the penalised Hessian"
    level: float
    rows: int
    C: float
    shift: float | None = None
    degrees_of_freedom: int | None = None
    residual_deviation: float | None = None
    weights: tuple[Estimate, ...] = ()
    intercept: Estimate | None = None
    warnings: tuple[str, ...] = ()
