"""The plaintext reference learns what plain logistic regression learns, by each sigmoid."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from party.agreement.job import PARTIES, Descent, Job, load_job
from party.models.interface import Model
from party.models.registry import model_of
from party.protocols import ProtocolName
from party.protocols.sines import NARROW, WIDE
from party.table import Table, read_table

PROTOCOLS: tuple[ProtocolName, ...] = ("pond", "aby3", "securenn")
EXAMPLE = Path(__file__).parents[2] / "examples/fraud"


def model(job: Job) -> Model:
    return model_of(job.parameters)


@cache
def example(protocol: str = "pond") -> tuple[Job, Table, Table]:
    job = load_job(EXAMPLE / "job.yaml").model_copy(update={"protocol": protocol})
    alice, bob = PARTIES[:2]
    return (
        job,
        read_table(EXAMPLE / "alice.csv", job, alice),
        read_table(EXAMPLE / "bob.csv", job, bob),
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_on_the_example_the_reference_is_as_good_as_plain_logistic_regression(
    protocol: str,
) -> None:
    job, features, labels = example(protocol)
    x, y = features.matrix, labels.matrix[:, 0]
    plain = LogisticRegression(C=1e9, max_iter=1000).fit(x[:, :-1], y)
    expected = roc_auc_score(y, plain.decision_function(x[:, :-1]))
    assert expected == pytest.approx(0.657, abs=0.001)

    weights = model(job).fit(job, x, labels.matrix)
    assert weights.shape == (17,)
    assert roc_auc_score(y, model(job).predict(weights, x)) == pytest.approx(expected, abs=0.002)
    cosine = weights[:-1] @ plain.coef_[0] / np.linalg.norm(weights[:-1])
    assert cosine / np.linalg.norm(plain.coef_) > 0.98


def test_scores_are_probabilities_by_the_exact_sigmoid() -> None:
    job, _, _ = example()
    weights = np.array([2.0, -1.0])
    x = np.array([[0.5, 1], [0, 1], [1e9, 1], [-1e9, 1]], np.float32)
    np.testing.assert_allclose(model(job).predict(weights, x), [0.5, 1 / (1 + np.e), 1, 0])


def test_the_rows_order_decides_where_an_unfinished_training_stands() -> None:
    job, features, labels = example()
    training = job.training.model_copy(update={"order_seed": 19})
    changed = job.model_copy(update={"training": training})
    other = model(job).fit(changed, features.matrix, labels.matrix)
    ours = model(job).fit(job, features.matrix, labels.matrix)
    assert 1e-3 < np.linalg.norm(other - ours) < 0.5


def test_a_row_within_the_limit_is_learnt_and_one_far_beyond_it_is_thrown_over_the_range() -> None:
    """Why tables are held to ``row_limit``."""
    job, features, labels = example()
    range_ = NARROW.range
    limit = model(job).row_limit(job)
    assert limit is not None and limit > np.square(features.matrix).sum(axis=1).max()
    for length, holds in ((0.9 * limit, True), (3 * limit, False)):
        x = features.matrix.copy()
        x[:, 0], x[5] = 0, 0  # a mark that this row alone bears
        x[5, [0, -1]] = np.sqrt(length - 1), 1
        weights = model(job).fit(job, x, labels.matrix)
        assert bool(abs(x[5] @ weights) < range_) is holds
        others = np.delete(x, 5, axis=0) @ weights
        assert np.abs(others).max() < 10, "a wave is bounded, so that it drags no other row along"
    assert model(job).row_limit(job.model_copy(update={"training": Descent()})) is None


def test_mini_batches_take_the_narrow_wave_and_passes_over_all_rows_the_wide_one() -> None:
    job, _, _ = example()
    assert model(job).sigmoid(job) == NARROW
    assert model(job).sigmoid(job.model_copy(update={"training": Descent()})) == WIDE
