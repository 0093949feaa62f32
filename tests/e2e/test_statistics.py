"""Standard errors of columns that no party holds together are those of the joined tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from deployer.local.run import run_local
from party.process.errors import InputError
from tests.harness.datasets import Dataset
from tests.harness.plans import MADE, cached
from tests.models.test_statistics import least_squares, unpenalised

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]


def made(rows: int = 3000) -> Dataset:
    """Three columns at each, of which two that hang together are at two holders."""
    draw = np.random.default_rng(21)
    x = draw.normal(size=(rows, 6)) * np.array([1, 20, 0.1, 1, 3, 5])
    x[:, 3] += 0.9 * x[:, 0]
    t = x @ np.array([0.8, 0.01, 0.0, -0.3, 0.05, 0.02]) - 1.2
    return Dataset(x, (draw.random(rows) < 1 / (1 + np.exp(-t))).astype(np.float64), 3)


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_they_are_those_of_the_joined_tables(protocol: str, tmp_path: Path) -> None:
    data = made()
    training = {"C": 1e5, "tolerance": 1e-4}
    job = data.job(protocol=protocol, result="both", statistics=True, training=training)
    cached(job, MADE)
    models = run_local(job, data.write(tmp_path), tmp_path, cache=MADE).models
    x = np.hstack([(data.x - data.x.mean(0)) / data.x.std(0), np.ones((len(data.x), 1))])
    weights, errors = unpenalised(x, data.y)
    p = 2 * norm.sf(np.abs(weights / errors))
    assert set(models) == {"alice", "bob"}
    for party, model in models.items():
        found = model.statistics
        assert found is not None and found.intercept is not None and found.warnings == ()
        rows = (*found.weights, found.intercept)
        assert [one.feature for one in found.weights] == [f"x{i}" for i in range(6)]
        assert [one.standard_error for one in rows] == pytest.approx(errors, rel=0.01)
        assert [one.p_value for one in rows] == pytest.approx(p, abs=0.01)
        own = [one.per_unit is not None for one in found.weights]
        assert own == [(i < 3) == (party == "alice") for i in range(6)]


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_those_of_linear_regression_are_least_squares(protocol: str, tmp_path: Path) -> None:
    data = made(400)
    y = 50.0 * (data.x[:, 0] - 0.02 * data.x[:, 1] + np.random.default_rng(3).normal(size=400) + 2)
    data = Dataset(data.x, np.round(y, 3), 3)
    model = {"kind": "linear-regression", "unit": 50.0}
    training = {"C": 1e5, "tolerance": 1e-4}
    job = data.job(
        protocol=protocol, result="both", statistics=True, training=training, model=model
    )
    cached(job, MADE)
    models = run_local(job, data.write(tmp_path), tmp_path, cache=MADE).models
    x = np.hstack([(data.x - data.x.mean(0)) / data.x.std(0), np.ones((400, 1))])
    weights, errors, variance = least_squares(x, data.y / 50.0)
    p = 2 * student.sf(np.abs(weights / errors), 393)
    assert set(models) == {"alice", "bob"}
    for model_of_one in models.values():
        found = model_of_one.statistics
        assert found is not None and found.intercept is not None and found.warnings == ()
        assert found.degrees_of_freedom == 393
        assert found.residual_deviation == pytest.approx(50.0 * variance**0.5, rel=0.01)
        rows = (*found.weights, found.intercept)
        assert [one.weight for one in rows] == pytest.approx(weights, abs=0.01 * errors.max())
        assert [one.standard_error for one in rows] == pytest.approx(errors, rel=0.01)
        assert [one.p_value for one in rows] == pytest.approx(p, abs=0.01)


def test_nothing_is_sent_where_a_row_stands_out(tmp_path: Path) -> None:
    data = made(300)
    data.x[:, 0] = 0.0
    data.x[5, 0] = 1.0
    job = data.job(result="alice", statistics=True)
    cached(job, MADE)
    with pytest.raises(InputError, match="a row stands out in alice's columns"):
        run_local(job, data.write(tmp_path), tmp_path, cache=MADE)
