"""What would be opened to a receiver at the end, beside weights, of a training at home: counts of
rows by their scores, and what standard errors follow from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import Job
from party.models import descent
from party.models.evaluation import bins
from party.models.evaluation import program as evaluation
from party.models.interface import Model, blocks_of
from party.models.registry import model_of
from party.models.statistics import program as information

Array = NDArray[np.float64]


def counts(job: Job, model: Model, x: Any, y: Any, seen: Array, weights: Array) -> dict[str, Array]:
    """Of the rows that a job holds out, by their scores.

    Args:
        x, y: all rows, and what stands for their labels in the training.
        seen: labels as they are counted.
        weights: of the training.
    """
    sizes = evaluation.layout_of(job, 0)
    if sizes is None:
        return {}
    assert job.evaluation is not None
    out = job.held_out
    t = x[out] @ weights
    if job.folds:
        out, t, of = np.ones(job.rows, bool), np.zeros(job.rows), job.fold_of
        for fold in range(job.folds):
            t[of == fold] = x[of == fold] @ _fit_without(job, model, x, y, of == fold)
    grid, middle = bins.GRID, bins.GRID.points // 2
    chance = np.random.default_rng(job.rows)
    points = np.floor(t * 2**grid.bits + chance.random(len(t))).astype(int) + middle - 1
    inside = np.abs(t) < bins.RANGE
    of_point = np.repeat(
        np.arange(grid.bins),
        np.concatenate([[width] * ((high - low) // width) for low, high, width in grid.pieces]),
    )
    first = min(low for low, _, _ in grid.pieces)
    place = of_point[points[inside] - first]
    rows = np.bincount(place, minlength=grid.bins)
    hits = np.cumsum(np.bincount(place, seen[out][inside], grid.bins))
    up_to = np.where(bins.ends(rows, job.evaluation.minimum), hits, 0)
    rows[grid.bins // 2 - 1] += sizes.filled(job.rows)
    unit = 2.0 ** (evaluation.LIFT_BITS - descent.WEIGHT_BITS)
    beyond = (~inside).sum()
    return {
        evaluation.SCORES: np.append(rows, beyond) * unit,
        evaluation.JOINED: (up_to if not beyond else 0 * up_to) * unit,
    }


def _fit_without(job: Job, model: Model, x: Any, y: Any, fold: NDArray[np.bool_]) -> Array:
    return model.fit(job, x[~fold], y[~fold])


def statistics(job: Job, x: Array, y: Any, weights: Array) -> dict[str, Array]:
    """What standard errors follow from, of the training's rows."""
    found: dict[str, Array] = {}
    if job.descent is None or not (job.informed or job.told_residuals):
        return found
    sizes = model_of(job.parameters).descent(job, blocks_of(job))
    assert sizes is not None
    t = x @ weights
    s = 0.5 * (1 + np.tanh(t / 2))
    v = np.full(len(t), 0.25) if job.parameters.residuals else s * (1 - s)
    matrix = (x * v[:, None]).T @ x
    number = information.matrix_of(sizes, np.ones(1), descent.WEIGHT_BITS)[0, 0]
    found[information.INFORMATION] = matrix[np.triu_indices(len(matrix))] / number
    if job.told_residuals:
        one = information.residuals_of(sizes, np.ones(1), descent.WEIGHT_BITS, 1.0, 1).squares
        found[information.RESIDUAL] = np.array([((y - t) ** 2).sum() / one])
    return found
