"""Balanced weights of classes are scikit-learn's, and only the label's holder knows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import PARTIES, Descent
from party.models.descent import CLASS_BITS
from party.models.registry import model_of
from party.plan.parameters import PlanParameters
from tests.attacks.transcripts import Theatre
from tests.audit.conftest import SPLIT, descent_job
from tests.harness import datasets
from tests.harness.optimum import logistic_optimum
from tests.harness.plans import short_plan
from tests.models.test_descent import fitted, standardised

pytestmark = pytest.mark.slow


def test_in_clear_it_reaches_scikit_learns_optimum() -> None:
    dataset = datasets.breast_cancer()
    job = dataset.job(training={"class_weight": "balanced", "rarest": 0.3})
    best = logistic_optimum(standardised(dataset), dataset.y, 1.0, dataset.at_alice, "balanced")
    assert np.linalg.norm(fitted(job, dataset) - best) <= 0.01 * np.linalg.norm(best)


def test_on_shares_each_row_has_the_weight_of_its_class_and_its_label(tmp_path: Path) -> None:
    """The first gradient, where every prediction is a half."""
    training = Descent(passes=9, class_weight="balanced", rarest=0.2)
    job = descent_job("pond", 12, training=training, **SPLIT)
    plan = short_plan(PlanParameters.of(job))
    descent = plan.parameters.layout.descent
    assert descent is not None
    draw, label = np.random.default_rng(7), np.array([1, 0, 0, 0] * 3)
    x = draw.normal(size=(12, 4)).astype(np.float32)
    x[:, 2] = 1.0
    matrices = {0: x[:, :3], 1: np.column_stack([x[:, 3], label]).astype(np.float32)}
    model = model_of(job.parameters)
    tables = {p: model.at_home(job, PARTIES[p], matrix) for p, matrix in matrices.items()}
    here = Theatre(plan, tmp_path, played=())
    rows = np.arange(descent.rows, dtype=np.int32)
    here.run("share", tables, rows)
    weights = here.total("classes")[:12, 0] / 2.0**CLASS_BITS
    np.testing.assert_allclose(weights, np.where(label == 1, 2.0, 2 / 3), atol=1e-6)
    here.run("gradient", tables, rows)
    found = np.concatenate([here.total(f"gradient.{p}")[:, 0] for p in ("alice", "bob")])
    scaled = np.hstack([tables[0][:12, :3], tables[1][:12, :1]]).astype(np.float64)
    expected = scaled.T @ (weights * (0.5 - label))
    found = found / 2.0 ** (descent.feature_bits + descent.error_bits)
    np.testing.assert_allclose(found, expected, atol=1e-2)
