"""What folds say of a model: what scikit-learn says of rows that its training has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.models.evaluation import bins, program
from party.models.evaluation.figures import Figures
from party.models.registry import model_of
from party.plan.parameters import PlanParameters
from tests.models.test_evaluation import told

LARGER = 4.0
"""Standard errors that no figure here lies off by chance."""


def job_of(rows: int, columns: int, folds: int, **change: Any) -> Job:
    agreed: dict[str, Any] = {
        "name": "t",
        "rows": rows,
        "features": tuple(f"x{i}" for i in range(columns)),
        "label": "y",
        "training": {"passes": 60},
        "evaluation": {"folds": folds, "minimum": 5},
    }
    return Job.model_validate(agreed | change)


def held_out_scores(job: Job, x: Any, y: Any) -> Any:
    """Each row's t, by the plaintext reference of the training that has not seen it."""
    model, t, fold_of = model_of(job.parameters), np.empty(job.rows), job.fold_of
    for fold in range(job.folds):
        out = fold_of == fold
        part = Job.model_validate(
            job.model_dump() | {"rows": int((~out).sum()), "evaluation": None}
        )
        t[out] = x[out] @ model.fit(part, x[~out], y[~out])
    return t


def opened(job: Job, t: Any, y: Any) -> dict[str, Any]:
    """What is opened of such scores, with the rows of zeros that fill up runs."""
    layout = PlanParameters.of(job).layout
    assert layout.evaluation is not None and job.evaluation is not None
    rows, up_to = told(np.clip(t, bins.GRID.centres[0], bins.GRID.centres[-1]), y, 5)
    rows[bins.GRID.bins // 2 - 1] += layout.evaluation.filled(job.rows)
    unit = 2.0 ** (program.LIFT_BITS - 20)
    return {program.SCORES: rows * unit, program.JOINED: up_to * unit}


def figures(job: Job, t: Any, y: Any) -> Figures:
    found = program.found(job, "alice", opened(job, t, y), 20)
    assert found is not None and found.figures is not None
    assert (found.rows, found.folds) == (job.rows, job.folds)
    return found.figures


def standard(rows: int, columns: int, seed: int) -> Any:
    x = np.random.default_rng(seed).normal(size=(rows, columns))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return np.column_stack([x, np.ones(rows)]).astype(np.float32)


@pytest.mark.parametrize("folds", [2, 10])
def test_random_labels_are_told_by_nothing(folds: int) -> None:
    """A model that is looked at on its own rows finds something in labels that were tossed; folds
    do not. That all folds' scores are compared with each other takes the area below a half by less
    than its standard error, since a training that lacks positive rows expects fewer of them."""
    found, own, error = [], [], 0.0
    for seed in range(12):
        job, x = job_of(400, 6, folds), standard(400, 6, seed)
        y = np.random.default_rng(1000 + seed).integers(0, 2, (400, 1)).astype(np.float32)
        result = figures(job, held_out_scores(job, x, y), y[:, 0])
        weights = model_of(job.parameters).fit(job, x, y)
        found.append(result.auc)
        own.append(figures(job, x @ weights, y[:, 0]).auc)
        error = result.auc_error
        assert abs(result.auc - 0.5) < LARGER * error
    spread = error / len(found) ** 0.5
    assert -LARGER * spread - error < np.mean(found) - 0.5 < LARGER * spread
    assert np.mean(own) - 0.5 > LARGER * spread, "or the test could not tell"


def test_what_is_in_the_labels_is_found() -> None:
    job, x = job_of(600, 4, 5), standard(600, 4, 3)
    draw = np.random.default_rng(4)
    y = (draw.random((600, 1)) < 1 / (1 + np.exp(-2 * x[:, :1]))).astype(np.float32)
    found = figures(job, held_out_scores(job, x, y), y[:, 0])
    assert found.auc > 0.75 and found.positives == y.sum()
    assert sum(group.rows for group in found.groups) == 600


@pytest.mark.parametrize("at_zero", [0, 1])
def test_rows_of_zeros_that_fill_up_are_taken_off_again(at_zero: int) -> None:
    """Also one of which both shares end in zeros, so that it is counted a point higher."""
    job = job_of(131, 1, 2)
    layout = PlanParameters.of(job).layout.evaluation
    assert layout is not None and layout.filled(131) == 2 * 2 * 33 - 131 == 1
    draw = np.random.default_rng(1)
    t, y = draw.choice([-3.0, 2.0], 131), draw.integers(0, 2, 131).astype(float)
    given = opened(job, t, y)
    rows = given[program.SCORES]
    middle, unit = bins.GRID.bins // 2, 2.0 ** (program.LIFT_BITS - 20)
    rows[middle - 1] -= at_zero * unit
    rows[middle] += at_zero * unit
    found = program.found(job, "alice", given, 20)
    assert found is not None and found.figures is not None
    assert sum(group.rows for group in found.figures.groups) == 131


def test_counts_that_lack_a_row_are_refused() -> None:
    from party.models.health import WrongModelError

    job = job_of(131, 1, 2)
    t, y = np.linspace(-4, 4, 131), (np.arange(131) % 2).astype(float)
    given = opened(job, t, y)
    given[program.SCORES][0] -= 2.0 ** (program.LIFT_BITS - 20)
    with pytest.raises(WrongModelError, match="not of all held-out rows"):
        program.found(job, "alice", given, 20)


def test_the_result_says_that_there_were_folds() -> None:
    job = job_of(131, 1, 2)
    t, y = np.linspace(-4, 4, 131), (np.arange(131) % 2).astype(float)
    found = program.found(job, "alice", opened(job, t, y), 20)
    assert str(found).startswith("131 rows, each held out in one of 2 folds, 65 positive")
