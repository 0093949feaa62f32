"""Standard errors are those of the textbook: of an unpenalised fit where the penalty is small."""

from __future__ import annotations

import json
from math import log
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from party.agreement.job import Job
from party.agreement.statistics import Statistics as Wanted
from party.models.descent import WEIGHT_BITS, transform
from party.models.interface import Scales
from party.models.linear_predictor import weights_of
from party.models.registry import model_of
from party.models.statistics.figures import Statistics
from party.models.statistics.inference import Fit, information_of, statistics_of
from party.models.statistics.program import RESIDUAL, _residual_bits, check
from party.models.statistics.student import NORMAL, beyond, quantile
from party.plan.parameters import PlanParameters
from party.process.errors import InputError
from tests.harness.optimum import logistic_optimum

Array = NDArray[np.float64]


def table(rows: int = 4000, columns: int = 4, seed: int = 1) -> tuple[Any, Array, Array]:
    """Standardised features with the ones behind them, labels, and the features' scales."""
    draw = np.random.default_rng(seed)
    own = draw.normal(size=(rows, columns)) * draw.uniform(0.1, 30, columns)
    own[:, -1] += own[:, 0]  # which belong together
    scale = own.std(axis=0)
    x = np.hstack([(own - own.mean(axis=0)) / scale, np.ones((rows, 1))]).astype(np.float32)
    t = x @ np.append(draw.normal(size=columns) * 0.1, -1.0)
    return x, (draw.random(rows) < 1 / (1 + np.exp(-t))).astype(np.float64), scale


def job_of(columns: int = 4, rows: int = 4000, **change: Any) -> Job:
    given: dict[str, Any] = {
        "name": "statistics",
        "rows": rows,
        "features": tuple(f"x{i}" for i in range(columns)),
        "label": "y",
        "training": {"C": 1e5},
        "statistics": True,
    }
    return Job.model_validate(given | change)


def unpenalised(x: Any, y: Array) -> tuple[Array, Array]:
    """Weights and their standard errors by Newton's method, as any package of statistics has it."""
    rows, weights = x.astype(np.float64), np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-rows @ weights))
        hessian = (rows * (p * (1 - p))[:, None]).T @ rows
        weights = weights + np.linalg.solve(hessian, rows.T @ (y - p))
    return weights, np.sqrt(np.diag(np.linalg.inv(hessian)))


def told(job: Job, x: Any, weights: Array, scale: Array | None = None) -> Statistics:
    scales = Scales(None, None) if scale is None else Scales(np.zeros_like(scale), scale)
    opened = {weights_of(0): weights[:, None]}
    found = model_of(job.parameters).statistics(job, "alice", opened, scales, x)
    assert found is not None
    return found


def test_they_are_those_of_an_unpenalised_fit_where_the_penalty_is_small() -> None:
    x, y, scale = table()
    found = told(job_of(), x, logistic_optimum(x, y, 1e5, 4), scale)
    weights, errors = unpenalised(x, y)
    assert found.intercept is not None
    rows = (*found.weights, found.intercept)
    assert [one.weight for one in rows] == pytest.approx(weights, abs=1e-5)
    assert [one.standard_error for one in rows] == pytest.approx(errors, rel=1e-4)
    p = 2 * norm.sf(np.abs(weights / errors))
    assert [one.p_value for one in rows] == pytest.approx(p, abs=1e-4)
    for one, weight, error in zip(rows, weights, errors, strict=True):
        assert one.interval == pytest.approx(norm.interval(0.95, weight, error), abs=1e-4)
        assert one.odds_ratio is not None and log(one.odds_ratio) == pytest.approx(one.weight)


def test_by_the_columns_own_units_it_is_the_fit_of_the_columns_as_they_are() -> None:
    x, y, scale = table()
    found = told(job_of(), x, logistic_optimum(x, y, 1e5, 4), scale)
    own = np.hstack([x[:, :-1] * scale, x[:, -1:]])
    weights, errors = unpenalised(own, y)
    for i, one in enumerate(found.weights):
        assert one.per_unit is not None
        assert one.per_unit.weight == pytest.approx(weights[i], rel=1e-3)
        assert one.per_unit.standard_error == pytest.approx(errors[i], rel=1e-3)


def weighed(x: Any, y: Array, zero: float, one: float) -> tuple[Array, Array]:
    """Weights and robust standard errors, as statsmodels' ``GLM(..., var_weights=c)`` has them with
    ``cov_type="HC0"``: the sandwich of what the labels came to."""
    rows, weights, c = x.astype(np.float64), np.zeros(x.shape[1]), np.where(y > 0, one, zero)
    for _ in range(30):
        p = 1 / (1 + np.exp(-rows @ weights))
        hessian = (rows * (c * p * (1 - p))[:, None]).T @ rows
        weights = weights + np.linalg.solve(hessian, rows.T @ (c * (y - p)))
    bread = np.linalg.inv(hessian)
    score = rows * (c * (y - p))[:, None]
    return weights, np.sqrt(np.diag(bread @ (score.T @ score) @ bread))


@pytest.mark.parametrize("classes", [(1.0, 12.0), (0.3, 1.0), (5.0, 5.0)])
def test_where_classes_are_weighed_they_are_the_robust_ones(classes: tuple[float, float]) -> None:
    """And stay what they are where all weights are multiplied, but for the penalty."""
    x, y, _ = table(rows=200_000)
    weights, errors = weighed(x, y, *classes)
    for times in (1.0, 4.0):
        given = {"0": times * classes[0], "1": times * classes[1]}
        found = told(job_of(rows=len(x), training={"C": 1e5, "class_weight": given}), x, weights)
        assert found.intercept is not None and found.estimator == "sandwich of weighed classes"
        rows = (*found.weights, found.intercept)
        assert [one.standard_error for one in rows] == pytest.approx(errors, rel=0.01)
        p = 2 * norm.sf(np.abs(weights / errors))
        assert [one.p_value for one in rows] == pytest.approx(p, abs=0.01)


def test_nothing_more_is_opened_for_that() -> None:
    training = {"class_weight": {"0": 1.0, "1": 12.0}}
    asked, not_asked = (job_of(training=training, statistics=one) for one in (True, None))
    assert PlanParameters.of(asked) == PlanParameters.of(not_asked)


def test_equal_weights_of_one_change_nothing() -> None:
    x, y, _ = table()
    weights = logistic_optimum(x, y, 0.01, 4)
    ones = job_of(training={"C": 0.01, "class_weight": {"0": 1.0, "1": 1.0}})
    plain, same = told(job_of(training={"C": 0.01}), x, weights), told(ones, x, weights)
    for one, other in zip(plain.weights, same.weights, strict=True):
        assert one.standard_error == pytest.approx(other.standard_error, rel=1e-9)
    assert plain.shift == pytest.approx(same.shift)


def least_squares(x: Any, y: Array) -> tuple[Array, Array, float]:
    """Weights, their standard errors and the residual variance, as statsmodels' OLS has them."""
    rows = x.astype(np.float64)
    weights = np.linalg.lstsq(rows, y, rcond=None)[0]
    variance = float(np.sum((y - rows @ weights) ** 2) / (len(y) - x.shape[1]))
    return weights, np.sqrt(variance * np.diag(np.linalg.inv(rows.T @ rows))), variance


def test_those_of_linear_regression_are_those_of_least_squares() -> None:
    """Of few rows, where Student's distribution is not the normal one."""
    x, _, scale = table(rows=30)
    y = x @ np.array([0.1, -0.05, 0.0, 0.02, 2.0]) + np.random.default_rng(2).normal(size=30) * 0.1
    weights, errors, variance = least_squares(x, y)
    unit = {"kind": "linear-regression", "unit": 50.0}
    job = job_of(rows=30, model=unit, training={"C": 1e5})
    own = _residual_bits(PlanParameters.of(job).layout.descent)  # type: ignore[arg-type]
    squares = np.array([[variance * 25 * 4.0**own / 2**WEIGHT_BITS]])
    opened = {weights_of(0): weights[:, None], RESIDUAL: squares}
    scales = Scales(np.zeros_like(scale), scale)
    found = model_of(job.parameters).statistics(job, "alice", opened, scales, x)
    assert found is not None and found.intercept is not None and found.degrees_of_freedom == 25
    assert found.residual_deviation == pytest.approx(50.0 * variance**0.5, rel=1e-6)
    rows = (*found.weights, found.intercept)
    assert [one.standard_error for one in rows] == pytest.approx(errors, rel=1e-4)
    p = 2 * student.sf(np.abs(weights / errors), 25)
    assert [one.p_value for one in rows] == pytest.approx(p, abs=1e-4)
    for one, weight, error in zip(rows, weights, errors, strict=True):
        around = student.interval(0.95, 25, weight, error)
        assert one.interval == pytest.approx(around, abs=1e-4)
        assert one.odds_ratio is None and one.odds_ratio_interval == (None, None)
    exact = model_of(job.parameters).statistics(
        job, "alice", opened | {RESIDUAL: squares * 0}, scales, x
    )
    assert exact is not None and exact.weights == ()
    assert "leave nothing of the label" in exact.warnings[0]


@pytest.mark.parametrize("noise, nothing", [(0.0, True), (2e-5, True), (2e-3, False)])
def test_what_rounding_of_tables_leaves_of_a_label_is_taken_for_nothing(
    noise: float, nothing: bool
) -> None:
    """Of a label that the columns tell, tables as they are shared leave more than a residual's last
    bits."""
    x, _, scale = table(rows=400)
    weights = np.array([0.5, -1.0, 0.25, 2.0, 3.0])
    job = job_of(rows=400, model="linear-regression", training={"C": 1e6})
    descent = PlanParameters.of(job).layout.descent
    assert descent is not None
    own, last = _residual_bits(descent), 2.0**descent.feature_bits
    way, _ = transform(x.astype(np.float32), np.array([1e-6] * 4 + [0.0]), 1.0, 1)
    shared = np.rint(x @ way * last) / last
    left = (shared @ np.linalg.solve(way, weights) - x @ weights) + noise * np.random.default_rng(
        4
    ).normal(size=400)
    assert np.square(left).mean() > 4.0**-own
    squares = np.array([[np.square(left).sum() * 4.0**own / 2**WEIGHT_BITS]])
    opened = {weights_of(0): weights[:, None], RESIDUAL: squares}
    scales = Scales(np.zeros_like(scale), scale)
    found = model_of(job.parameters).statistics(job, "alice", opened, scales, x)
    assert found is not None
    assert any("leave nothing of the label" in one for one in found.warnings) is nothing


@pytest.mark.parametrize("degrees", [1, 2, 3, 10, 37, 500, 9_999, 20_000])
def test_students_distribution_is_scipys(degrees: int) -> None:
    for t in (0.0, 0.3, 1.0, 2.0, 4.0):
        assert beyond(t, degrees) == pytest.approx(2 * student.sf(t, degrees), abs=5e-5)
        assert beyond(-t, degrees) == beyond(t, degrees)
    if degrees <= NORMAL:
        assert beyond(3.0, degrees) == pytest.approx(2 * student.sf(3.0, degrees), rel=1e-9)
        assert quantile(0.95, degrees) == pytest.approx(student.ppf(0.975, degrees), rel=1e-9)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Labels that are drawn again and again."""
    x, _, _ = table(rows=1500)
    true, held, draw = np.array([0.3, -0.2, 0.0, 0.1, -1.0]), 0, np.random.default_rng(5)
    for _ in range(120):
        y = (draw.random(len(x)) < 1 / (1 + np.exp(-x @ true))).astype(np.float64)
        found = told(job_of(rows=1500), x, logistic_optimum(x, y, 1e5, 4))
        held += sum(
            one.interval[0] <= w <= one.interval[1]
            for one, w in zip(found.weights, true[:-1], strict=True)
        )
    # Four standard deviations of 480 tosses that are independent by five.
    assert held / 480 == pytest.approx(0.95, abs=0.045)


def test_a_penalty_that_moves_a_weight_is_told() -> None:
    x, y, _ = table()
    assert not told(job_of(), x, logistic_optimum(x, y, 1e5, 4)).warnings
    strong = job_of(training={"C": 0.01})
    found = told(strong, x, logistic_optimum(x, y, 0.01, 4))
    assert found.shift is not None and found.shift > 0.1
    assert "raise training.C" in found.warnings[0]


def test_columns_that_depend_on_each_other_have_no_standard_error() -> None:
    x, _, _ = table()
    x = np.hstack([x[:, :1], x])  # the first column twice
    found = told(job_of(5, training={"C": 1e6}), x, np.zeros(6) + 0.1)
    assert found.weights == () and found.intercept is None
    assert "depend on each other" in found.warnings[0]


def test_a_weight_without_bounds_makes_no_infinite_odds() -> None:
    fit = Fit(("x", None), np.array([900.0, 0.0]), np.zeros(2), (1.0, None), 9, 1.0)
    (one,) = statistics_of(fit, np.eye(2), 0.95).weights
    assert one.odds_ratio is None and one.p_value == 0.0


def test_information_is_the_hessian_of_the_loss() -> None:
    x, y, _ = table(rows=200)
    weights, moved = np.full(5, 0.2), 1e-4

    def slope(at: Array) -> Array:
        p = 1 / (1 + np.exp(-x.astype(np.float64) @ at))
        return np.asarray(x.T.astype(np.float64) @ (p - y))

    found = information_of(x, weights)
    for i, step in enumerate(np.eye(5) * moved):
        assert (slope(weights + step) - slope(weights - step)) / (2 * moved) == pytest.approx(
            found[i], rel=1e-5
        )


# -- the job


def refused(**change: Any) -> str:
    with pytest.raises(ValueError) as error:
        job_of(**change)
    return str(error.value)


def test_who_is_given_them_follows_from_the_job() -> None:
    assert job_of(statistics=None).statistics_to == ()
    assert job_of().statistics_to == ("alice",)
    both = job_of(result="both")
    assert both.statistics_to == ("alice", "bob") and both.informed == ("bob",)
    only = job_of(result="both", statistics={"to": ("alice",)})
    assert only.statistics_to == ("alice",) and only.informed == ()
    assert job_of(result="own").statistics_to == ("alice",)
    assert job_of(statistics=Wanted(level=0.9)).statistics_level == 0.9


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "linear-regression", "rows": 14}, "14 rows are too few for the residuals of 5"),
        ({"training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}}, "mini-batches"),
        ({"training": {"class_weight": "balanced", "rarest": 0.2}}, "class_weight: balanced"),
        ({"training": {"class_weight": {"0": 1.0, "1": 2.0}}, "result": "both"}, "bob lacks some"),
        ({"result": "nobody"}, "nobody receives all weights"),
        ({"features": {"alice": ("a",), "bob": ("b",)}, "result": "own"}, "nobody receives all"),
        ({"rows": 0, "align": {"key": "id"}}, "nobody knows which rows are in common"),
        ({"statistics": {"to": ("bob",)}}, "statistics.to: bob"),
        ({"statistics": {"to": ("alice", "alice")}}, "more than once"),
    ],
)
def test_a_job_whose_errors_would_be_none_is_refused(change: dict[str, Any], reason: str) -> None:
    assert reason in refused(**change)


# -- the matrix on shares


def test_a_row_that_a_holders_columns_single_out_is_refused_at_home() -> None:
    """A column that is another in nine rows would tell what they are like at the other holder."""
    x, _, _ = table(rows=2000)
    check("alice", x)
    for few, alone in ((9, True), (11, False)):
        x[:, 0] = 0.0
        x[:few, 0] = np.sqrt(2000 / few)
        if not alone:
            check("alice", x)
            continue
        with pytest.raises(InputError, match="a row stands out in alice's columns"):
            check("alice", x)


def test_so_is_one_that_only_two_of_them_together_single_out() -> None:
    x, _, _ = table(rows=2000)
    x[:, 1] = x[:, 0]
    x[7, 1] += 0.5
    with pytest.raises(InputError, match="a leverage of 1"):
        check("bob", x)


def test_so_is_one_that_a_column_singles_out_with_the_ones_of_the_other_holder() -> None:
    """1 in all rows but one, and standardised by the job's word: nothing is taken off it."""
    agreed = {
        "name": "a",
        "rows": 2000,
        "features": {"alice": ["p"], "bob": ["q"]},
        "columns": {"q": {"scale": {"mean": 0.0, "deviation": 1.0}}},
        "label": "y",
        "result": "bob",
        "statistics": True,
    }
    job = Job.model_validate_json(json.dumps(agreed))
    x = np.ones((2000, 1), np.float32)
    x[:1000] = -1.0
    assert model_of(job.parameters).check_steps(job, "bob", x) == ()
    x[:] = 1.0
    x[7] = 0.0
    with pytest.raises(InputError, match="a row stands out in bob's columns, by a leverage of 1"):
        model_of(job.parameters).check_steps(job, "bob", x)
