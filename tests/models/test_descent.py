"""The descent over all rows, in clear: no table and no setting throws it off its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from party.agreement.job import Job
from party.models.descent import transform
from party.models.registry import model_of
from tests.harness import datasets
from tests.harness.datasets import Dataset
from tests.harness.optimum import logistic_loss, logistic_optimum

Array = NDArray[np.float64]
Kind = str | Callable[[], Dataset]

KINDS = ("normal", "classes", "skewed", "separable", "nearly equal columns")
TABLES = (
    datasets.walk_through,
    datasets.breast_cancer,
    datasets.rare_events,
    datasets.heavy_tails,
)
SETTINGS = 250
ENOUGH = 15


@dataclass(frozen=True)
class Setting:
    """A table and a training that somebody might ask for."""

    dataset: Dataset
    C: float
    passes: int

    @classmethod
    def drawn(cls, seed: int, kinds: Sequence[Kind] = (*KINDS, *TABLES)) -> Setting:
        draw = np.random.default_rng(seed)
        kind = kinds[seed % len(kinds)]
        if callable(kind):
            table = kind()
            at_alice = int(draw.integers(1, table.x.shape[1] + 1))
            return cls._of(draw, replace(table, at_alice=at_alice))
        rows, columns = int(draw.integers(30, 600)), int(draw.integers(2, 9))
        x = draw.standard_normal((rows, columns))
        t = x @ (draw.standard_normal(columns) * draw.choice([0.3, 1.0, 3.0]))
        if kind == "classes":
            x = (x > draw.uniform(-1.5, 1.5, columns)).astype(np.float64)
        elif kind == "skewed":
            x = np.exp(1.5 * x)
        elif kind == "nearly equal columns":
            x = x[:, :1] + 1e-3 * x
        if kind != "separable":
            t = t + draw.logistic(size=rows)
        share = draw.choice([0.02, 0.1, 0.5, 0.9])
        y = (t > np.quantile(t, 1 - share)).astype(np.float64)
        y[:2] = 0.0, 1.0
        x[0, x.min(axis=0) == x.max(axis=0)] += 1.0  # a column that never changes is refused
        at_alice = columns if draw.random() < 0.5 else int(draw.integers(1, columns))
        return cls._of(draw, Dataset(x, y, at_alice))

    @classmethod
    def _of(cls, draw: np.random.Generator, dataset: Dataset) -> Setting:
        return cls(dataset, float(10 ** draw.uniform(-3, 3)), int(draw.integers(1, 61)))

    @property
    def job(self) -> Job:
        return self.dataset.job(training={"C": self.C, "passes": self.passes, "tolerance": 0.0})


def standardised(dataset: Dataset) -> NDArray[np.float32]:
    """The features as parties standardise them, with the ones behind Alice's."""
    x = (dataset.x - dataset.x.mean(axis=0)) / dataset.x.std(axis=0)
    return np.insert(x, dataset.at_alice, 1.0, axis=1).astype(np.float32)


def fitted(job: Job, dataset: Dataset) -> Array:
    labels = dataset.y[:, np.newaxis].astype(np.float32)
    return model_of(job.parameters).fit(job, standardised(dataset), labels)


def losses(dataset: Dataset, c: float, *weights: Array) -> list[float]:
    x = standardised(dataset)
    return [logistic_loss(x, dataset.y, own, c, dataset.at_alice) for own in weights]


@pytest.mark.parametrize(
    "dataset", [datasets.heavy_tails, datasets.rare_events, datasets.breast_cancer]
)
@pytest.mark.parametrize("c", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("passes", [1, 2, 7, 20, 60])
def test_nor_does_it_on_tables_that_are_hard(dataset: Any, c: float, passes: int) -> None:
    made = dataset()
    job = made.job(training={"C": c, "passes": passes, "tolerance": 0.0})
    weights = fitted(job, made)
    reached, began = losses(made, c, weights, 0 * weights)
    assert np.isfinite(weights).all() and reached < began


@pytest.mark.parametrize("kind", ["normal", "single values", "rare column", "equal columns"])
@pytest.mark.parametrize("seed", range(4))
def test_a_sample_curves_no_more_than_a_step_bears_and_no_less_than_all_rows(
    kind: str, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((2000, 5))
    if kind == "single values":
        x = x**5
    elif kind == "rare column":
        x[:, 0] = draw.random(len(x)) < 0.002
        x[0, 0] = 1.0
    elif kind == "equal columns":
        x[:, 1] = x[:, 0] + 1e-4 * x[:, 1]
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    penalty, blocks, sample = np.array([1.0, 1.0, 1.0, 1.0, 0.0]), 40, 1
    way, lacking = transform(x, penalty, 0.25, 1, blocks, sample)
    some = x[np.arange(len(x)) % blocks < sample].astype(np.float64)
    own = way.T @ np.diag(penalty) @ way
    of_all = way.T @ (0.25 * x.T.astype(np.float64) @ x) @ way
    sampled = way.T @ (blocks / sample * 0.25 * some.T @ some) @ way + lacking
    most, small = 0.25 * len(x), 1e-6 * len(x)
    assert np.linalg.eigvalsh(of_all + own).max() <= most + small
    assert np.linalg.eigvalsh(sampled + own).max() <= most + small
    assert np.linalg.eigvalsh(sampled - of_all).min() >= -small


@pytest.mark.slow
@pytest.mark.parametrize("c", [1e-3, 1e-1, 1.0, 10.0])
def test_with_enough_passes_it_reaches_scikit_learns_optimum(c: float) -> None:
    for seed in range(ENOUGH):
        dataset = Setting.drawn(seed, KINDS).dataset
        best = logistic_optimum(standardised(dataset), dataset.y, c, dataset.at_alice)
        job = dataset.job(training={"C": c, "passes": 1000, "tolerance": 1e-5})
        reached, least = losses(dataset, c, fitted(job, dataset), best)
        assert reached - least <= 1e-4, seed


def test_linear_regression_reaches_penalised_least_squares() -> None:
    for seed in range(ENOUGH):
        setting = Setting.drawn(seed, KINDS)
        draw = np.random.default_rng(seed)
        figure = setting.dataset.x @ draw.standard_normal(setting.dataset.x.shape[1])
        figure = (figure - figure.mean()) / figure.std() + draw.standard_normal(len(figure)) / 4
        dataset = Dataset(setting.dataset.x, figure, setting.dataset.at_alice)
        training = {"C": 1.0, "passes": 1000, "tolerance": 1e-5}
        job = dataset.job(model={"kind": "linear-regression"}, training=training)
        x, ones = standardised(dataset), dataset.at_alice
        least = Ridge(alpha=1.0).fit(np.delete(x, ones, axis=1), figure)
        best = np.insert(least.coef_, ones, least.intercept_)
        off = np.square(x @ (fitted(job, dataset) - best)).mean()
        assert off <= 1e-4 * figure.var(), seed
