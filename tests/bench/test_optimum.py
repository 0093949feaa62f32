"""What counts as the optimum is scikit-learn's, and only what arrives there counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bench import optimum
from bench.cases import CASES, Case, tables
from bench.optimum import GOAL, C, Matrix, Problem


def polynomial(t: Matrix) -> Matrix:
    """tf-encrypted's sigmoid of Pond (0.9.1, ``_sigmoid_private``)."""
    odd = (0.2159198015, -0.0082176259, 0.0001825597, -0.0000018848, 0.0000000072)
    return np.asarray(0.5 + sum(c * t ** (2 * k + 1) for k, c in enumerate(odd)))


def five_lines(t: Matrix) -> Matrix:
    """And that of ABY3: ``5_piecewise_linear``."""
    pieces = [np.full_like(t, 1e-4), 0.281 + 0.066 * t, 0.5 + 0.212 * t, 0.719 + 0.066 * t]
    return np.select([t <= -4, t <= -1.5, t <= 1.5, t <= 4], pieces, 1 - 1e-4)


@pytest.fixture
def cached(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def problem_of(case: Case) -> Problem:
    made = tables(case)
    return Problem(made.blocks(), made.label())


@pytest.fixture(params=["optimum", "both"])
def problem(request: pytest.FixtureRequest, cached: None) -> Problem:
    return problem_of(CASES[request.param])


def test_no_step_away_from_the_optimum_has_a_smaller_loss(problem: Problem) -> None:
    best = np.asarray(problem.optimum())
    random = np.random.default_rng(1)
    for _ in range(20):
        assert problem.excess(best + 1e-3 * random.normal(size=len(best))) > 0


def test_both_holders_columns_are_one_table_to_scikit_learn(cached: None) -> None:
    made = tables(CASES["both"])
    alice, bob = made.blocks()
    x = np.hstack([alice[:, :-1], bob])
    found = LogisticRegression(C=C, tol=1e-8, max_iter=1000).fit(x, made.label())
    weights = [*found.coef_[0][:8], found.intercept_[0], *found.coef_[0][8:]]
    assert abs(Problem([alice, bob], made.label()).excess(weights)) < 1e-9
    separate = tables(CASES["optimum"])
    assert np.array_equal(made.label(), separate.label()), "the same rows, held otherwise"


def test_zero_weights_are_not_the_optimum(problem: Problem) -> None:
    assert problem.excess(np.zeros(17)) > 100 * GOAL


def test_the_peers_passes_are_as_few_as_arrive(problem: Problem) -> None:
    needed = problem.passes()
    excess = [problem.excess(weights) for weights in problem.descent(needed)]
    assert excess[-1] <= GOAL / 2 < excess[-2]


@pytest.mark.parametrize("sigmoid", [polynomial, five_lines])
def test_a_sigmoid_of_tf_encrypteds_does_not_lead_to_the_optimum(
    sigmoid: Callable[[Matrix], Matrix], cached: None
) -> None:
    # This is why tf-encrypted as published is no peer there.
    settled = problem_of(CASES["optimum"]).descent(100, sigmoid)[-1]
    assert problem_of(CASES["optimum"]).excess(settled) > GOAL


def test_the_exact_sigmoid_does(cached: None) -> None:
    settled = problem_of(CASES["optimum"]).descent(100, optimum.sigmoid)[-1]
    assert problem_of(CASES["optimum"]).excess(settled) < 1e-9
