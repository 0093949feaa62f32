"""A model that is none is never taken for one, and settings that cannot train are told before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

from party.agreement.job import Job
from party.models.health import Health, WrongModelError, overshoot
from party.models.linear_predictor import weights_of
from party.models.registry import model_of
from party.process.errors import InputError

Matrix = NDArray[np.float32]


def job_of(rows: int, columns: int, epochs: int = 30, batch: int = 64, rate: float = 0.1) -> Job:
    return Job.model_validate(
        {
            "name": "health",
            "rows": rows,
            "features": tuple(f"x{i}" for i in range(columns)),
            "label": "y",
            "training": {"epochs": epochs, "batch_size": batch, "learning_rate": rate},
        }
    )


def standardised(x: NDArray[Any]) -> Matrix:
    """Features as a party has them, and the ones."""
    own = (x - x.mean(axis=0)) / x.std(axis=0)
    return np.hstack([own, np.ones((len(x), 1))]).astype(np.float32)


def heavy_tails() -> tuple[Matrix, Matrix]:
    """Amounts as they are: many zeros, a few very large values."""
    chance = np.random.default_rng(3)
    size = (2000, 4)
    amounts = np.exp(chance.normal(0, 1.7, size)) * (chance.random(size) < 0.4)
    t = np.log1p(amounts) @ np.array([0.9, 1.1, -1.2, 0.5]) - 1
    return standardised(amounts), _drawn(chance, t)


def rare_events() -> tuple[Matrix, Matrix]:
    """One row in two hundred has label 1."""
    chance = np.random.default_rng(7)
    x = chance.normal(size=(6000, 3))
    return standardised(x), _drawn(chance, x @ np.array([1.0, -0.8, 0.6]) - 6.2)


def breast_cancer() -> tuple[Matrix, Matrix]:
    """Public data whose classes a line almost tells apart."""
    data = load_breast_cancer()
    return standardised(data.data), data.target[:, np.newaxis].astype(np.float32)


def ordinary() -> tuple[Matrix, Matrix]:
    chance = np.random.default_rng(5)
    x = chance.normal(size=(2000, 4))
    return standardised(x), _drawn(chance, x @ np.array([1.0, -0.5, 0.3, 0.0]))


def _drawn(chance: np.random.Generator, t: NDArray[Any]) -> Matrix:
    return (chance.random(len(t)) < 1 / (1 + np.exp(-t))).astype(np.float32)[:, np.newaxis]


def trained(job: Job, x: Matrix, y: Matrix) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        return model_of(job.parameters).fit(job, x, y)


def seen(job: Job, x: Matrix, weights: NDArray[np.float64]) -> Health:
    opened = {weights_of(0): weights[:, np.newaxis]}
    return model_of(job.parameters).health(job, "alice", opened, x)


@pytest.mark.parametrize(
    ("tables", "rate"),
    [(breast_cancer, 5.0), (breast_cancer, 1.0), (breast_cancer, 0.5), (heavy_tails, 0.1)],
)
def test_tables_that_give_a_wrong_model_give_none(tables: Any, rate: float) -> None:
    x, y = tables()
    job = job_of(len(x), x.shape[1] - 1, 100, rate=rate)
    with pytest.raises(WrongModelError, match=r"leave the range|overflown") as refused:
        seen(job, x, trained(job, x, y))
    assert refused.value.exit_code == 1 and refused.value.hint and refused.value.where


def test_a_model_whose_probabilities_are_off_by_the_waves_error_is_none() -> None:
    """Where one row in thousands has label 1, the wave's error alone is larger than that."""
    x, y = ordinary()
    job = job_of(len(x), 4)
    weights = 0.01 * trained(job, x, y)
    weights[-1] = -9.7  # one row in 16,000
    with pytest.raises(WrongModelError, match="rarer class"):
        seen(job, x, weights)


@pytest.mark.parametrize("tables", [ordinary, breast_cancer, heavy_tails, rare_events])
def test_a_good_model_passes_and_is_described(tables: Any) -> None:
    x, y = tables()
    job = job_of(len(x), x.shape[1] - 1)
    weights = trained(job, x, y)
    health = seen(job, x, weights)
    assert health.largest_t == pytest.approx(np.abs(x @ weights).max(), rel=1e-4)
    assert health.largest_weight == np.abs(weights).max()
    assert health.all_columns and health.rows_never_used == 0
    # That steps had some way to go, and how near the range's end is, and nothing else.
    expected = ("training.epochs: after ", "the largest |t|, ")
    assert all(one.startswith(expected) for one in health.warnings)


def test_a_single_row_out_of_range_is_told_and_no_more() -> None:
    x, y = ordinary()
    job = job_of(len(x), 4)
    weights = trained(job, x, y)
    x = x.copy()
    x[0, 0] = 50 / weights[0]
    (near,) = seen(job, x, weights).warnings
    assert near.startswith("the largest |t|, ") and "is near 57" in near
    x[0, 0] = 60 / weights[0]
    health = seen(job, x, weights)
    assert any("1 of 2000 rows" in warning for warning in health.warnings)
    x[0, 0] = 90 / weights[0]  # more than half a period, so that the wave pushes it on
    with pytest.raises(WrongModelError, match="leave the range"):
        seen(job, x, weights)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e8, -2000.0])
def test_a_weight_of_overflow_is_seen_wherever_it_stands(bad: float) -> None:
    x, y = ordinary()
    job = job_of(len(x), 4)
    weights = trained(job, x, y)
    for place in range(len(weights)):
        changed = weights.copy()
        changed[place] = bad
        with pytest.raises(WrongModelError, match="overflown"):
            seen(job, x, changed)


def test_a_model_of_zeros_is_none() -> None:
    x, _ = ordinary()
    with pytest.raises(WrongModelError, match="every weight is zero"):
        seen(job_of(len(x), 4), x, np.zeros(5))


def test_who_lacks_columns_judges_by_its_own() -> None:
    x, y = ordinary()
    both = {"features": {"alice": ("x0", "x1"), "bob": ("x2", "x3")}, "result": "alice"}
    job = Job.model_validate(job_of(len(x), 4).model_dump() | both)
    weights = trained(job_of(len(x), 4), x, y)[:, np.newaxis]
    opened = {weights_of(0): weights[[0, 1, 4]], weights_of(1): weights[[2, 3]]}
    own = np.ascontiguousarray(x[:, [0, 1, 4]])
    health = model_of(job.parameters).health(job, "alice", opened, own)
    assert not health.all_columns and health.calibration is None
    assert health.largest_t == pytest.approx(np.abs(own @ opened[weights_of(0)]).max(), rel=1e-4)
    far = own.copy()
    far[0, 0] = 90 / weights[0, 0]  # what the other has of this row may outweigh it
    health = model_of(job.parameters).health(job, "alice", opened, far)
    assert any("1 of 2000 rows" in warning for warning in health.warnings)
    far[::50, 0] = far[0, 0]
    with pytest.raises(WrongModelError, match="leave the range"):
        model_of(job.parameters).health(job, "alice", opened, far)
    opened[weights_of(1)] = np.array([[1e9], [0.0]])
    with pytest.raises(WrongModelError, match="overflown"):
        model_of(job.parameters).health(job, "alice", opened, own)


def test_steps_that_cannot_come_to_rest_are_refused_before_the_first() -> None:
    x, _ = breast_cancer()
    model = model_of(job_of(len(x), 30).parameters)
    assert model.check_steps(job_of(len(x), 30, rate=0.1), "alice", x) == ()
    (told,) = model.check_steps(job_of(len(x), 30, rate=1.0), "alice", x)
    assert told.startswith("training.learning_rate: 1 is so wide")
    with pytest.raises(InputError, match=r"training.learning_rate: 5 .* come to rest"):
        model.check_steps(job_of(len(x), 30, batch=16, rate=5.0), "alice", x)


@pytest.mark.parametrize("part", [0.95, 1.05])
def test_the_widest_step_is_the_one_at_which_gradient_descent_settles(part: float) -> None:
    """On the squared error, in whole batches: beside it, one converges and the other does not."""
    x, y = breast_cancer()
    rate = part / overshoot(x, 1.0, 10**9, 1.0)
    weights, gradient = np.zeros((31, 1)), np.ones((31, 1))
    lengths = []
    for _ in range(500):
        gradient = x.T @ (x @ weights - y) / len(x)
        weights -= rate * gradient
        lengths.append(float(np.linalg.norm(gradient)))
    assert (lengths[-1] < lengths[0]) == (part < 1)


def test_rows_in_no_batch_are_counted_and_told_before() -> None:
    half = job_of(500, 4, epochs=1, batch=300)
    assert half.rows_never_used == 200
    one_step, unused = half.doubts
    assert one_step.startswith("training: one step")
    assert unused.startswith("training.batch_size: about 200 of 500 rows")
    often = job_of(500, 4, epochs=60, batch=300)
    assert often.rows_never_used == 0 and often.doubts == ()
    batches = np.concatenate([job_of(500, 4, 3, 300).batches(e).ravel() for e in range(3)])
    assert job_of(500, 4, 3, 300).rows_never_used == 500 - len(np.unique(batches))
