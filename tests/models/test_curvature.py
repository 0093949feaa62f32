"""How far mini-batches still had to go, and whether a model is more than chance, is told from what
its receiver has, without a label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from party.agreement.job import Job
from party.models.curvature import by_chance, check_curvature
from party.models.linear_predictor import weights_of
from party.models.registry import model_of
from party.models.statistics.inference import information_of
from tests.harness import datasets
from tests.harness.datasets import Dataset
from tests.harness.optimum import logistic_optimum

NEVER = 1e5
"""A C that leaves hardly a penalty: steps over mini-batches have none."""


def trained(dataset: Dataset, **training: float) -> tuple[Job, np.ndarray, np.ndarray]:
    """The job, standardised rows with the ones, and the weights in clear."""
    columns = dataset.x.shape[1]
    job = replace(dataset, at_alice=columns).job(training=training)
    own = (dataset.x - dataset.x.mean(axis=0)) / dataset.x.std(axis=0)
    x = np.column_stack([own, np.ones(len(own))]).astype(np.float32)
    return job, x, model_of(job.parameters).fit(job, x, dataset.y[:, np.newaxis].astype(np.float32))


@pytest.mark.parametrize(
    ("dataset", "epochs", "batch_size", "rate"),
    [
        (datasets.rarer_events, 30, 64, 0.1),
        (datasets.few_rows, 1, 300, 0.1),
        (datasets.few_rows, 20, 50, 0.03),
        (datasets.few_rows, 50, 50, 0.03),
        (datasets.few_rows, 50, 50, 0.3),
    ],
)
def test_it_is_what_further_steps_would_change(
    dataset: object, epochs: int, batch_size: int, rate: float
) -> None:
    made = dataset()  # type: ignore[operator]
    training = {"epochs": epochs, "batch_size": batch_size, "learning_rate": rate}
    job, x, weights = trained(made, **training)
    opened = {weights_of(0): weights[:, np.newaxis]}
    health = model_of(job.parameters).health(job, "alice", opened, x)
    best = logistic_optimum(x, made.y, NEVER, x.shape[1] - 1)
    truth = float(np.sqrt(np.square(x @ (best - weights)).mean()))
    assert health.to_go is not None
    # What batches differ by is no part of it.
    assert truth / 3 - 0.05 <= health.to_go <= 3 * truth + 0.05
    assert any("training.epochs: after" in one for one in health.warnings) == (health.to_go > 0.1)


def test_labels_in_another_order_are_told_and_those_in_order_are_not() -> None:
    for dataset, astray in ((datasets.few_rows(), False), (datasets.other_order(), True)):
        job, x, weights = trained(dataset, passes=100)
        opened = {weights_of(0): weights[:, np.newaxis]}
        health = model_of(job.parameters).health(job, "alice", opened, x)
        assert [one.startswith("align: ") for one in health.warnings] == [True] * astray


@pytest.mark.parametrize("c", [1e-4, 1e-2])
def test_a_penalty_that_holds_weights_back_is_no_chance(c: float) -> None:
    for dataset, astray in ((datasets.few_rows(), False), (datasets.other_order(), True)):
        job, x, weights = trained(dataset, passes=100, C=c)
        opened = {weights_of(0): weights[:, np.newaxis]}
        health = model_of(job.parameters).health(job, "alice", opened, x)
        assert [one.startswith("align: ") for one in health.warnings] == [True] * astray


def test_nothing_is_said_of_chance_where_weights_have_other_reasons_to_be_small_or_large() -> None:
    job, x, weights = trained(datasets.other_order(), passes=100)
    opened = {weights_of(0): weights[:, np.newaxis]}
    health = model_of(job.parameters).health(job, "alice", opened, x)
    for change in ({"settled": False}, {"epsilon": 1.0}):
        again = health.model_copy(update={"warnings": ()} | change)
        assert check_curvature(again, x, weights, None, logistic=True).warnings == ()


def test_chance_is_as_likely_as_is_said() -> None:
    """Of labels that have nothing to do with the columns, one in ten is told of as one in ten."""
    draw = np.random.default_rng(4)
    rows, columns, tried = 400, 5, 400
    said = []
    for _ in range(tried):
        x = draw.standard_normal((rows, columns))
        y = (draw.random(rows) < 0.3).astype(np.float64)
        own = np.column_stack([(x - x.mean(axis=0)) / x.std(axis=0), np.ones(rows)])
        weights = logistic_optimum(own, y, NEVER, columns)
        own = own.astype(np.float32)
        said.append(by_chance(information_of(own, weights) / rows, weights, rows))
    for level in (0.1, 0.5, 0.9):
        share = float((np.array(said) < level).mean())
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / tried) + 0.01
