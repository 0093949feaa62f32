"""Variance inflation factors are those of the textbook, and name the columns that say the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from party.models.statistics.collinearity import LARGE, Collinearity, collinearity_of
from tests.harness.datasets import breast_cancer

Array = NDArray[np.float64]


def found_in(own: Array, scale: Array | None = None) -> Collinearity:
    """In columns as a training has them."""
    standardised = (own - own.mean(0)) / np.where(own.std(0) > 0, own.std(0), 1.0)
    if scale is not None:
        standardised = standardised * scale + 3.0
    names = [f"x{i}" for i in range(own.shape[1])]
    return collinearity_of(names, standardised.astype(np.float32))


def normal(columns: int, rows: int = 2000) -> Array:
    return np.random.default_rng(3).normal(size=(rows, columns))


def by_regressions(own: Array) -> list[float]:
    """``1 / (1 - R^2)`` of each column on all others and a constant, as statsmodels has it."""
    found = []
    for j in range(own.shape[1]):
        others = np.column_stack([np.delete(own, j, 1), np.ones(len(own))])
        left = own[:, j] - others @ np.linalg.lstsq(others, own[:, j], rcond=None)[0]
        found.append(own[:, j].var() / left.var())
    return found


def test_factors_are_those_of_the_columns_regressions() -> None:
    own = normal(5)
    own[:, 4] = own[:, 0] - own[:, 1] + 0.2 * own[:, 4]
    for columns in (own, breast_cancer().x):
        factors = [one.factor for one in found_in(columns).factors]
        assert factors == pytest.approx(by_regressions(columns), rel=1e-4)


def test_neither_units_nor_where_they_begin_change_them() -> None:
    own = normal(3) @ np.array([[1, 0.9, 0], [0, 1, 0.5], [0, 0, 1]])
    moved = found_in(own, scale=np.array([2.0, 0.1, 7.0]))
    assert [one.factor for one in moved.factors] == pytest.approx(by_regressions(own), rel=1e-4)


def test_columns_that_nearly_coincide_are_named_together_and_no_others() -> None:
    own = normal(6)
    own[:, 3] = own[:, 0] + own[:, 1] + 0.05 * own[:, 3]
    own[:, 5] = own[:, 4] + 0.05 * own[:, 5]
    found = found_in(own)
    assert [one.feature for one in found.factors if (one.factor or 0) > LARGE] == [
        "x0", "x1", "x3", "x4", "x5"
    ]  # fmt: skip
    assert len(found.warnings) == 2
    assert found.warnings[0].startswith("columns x0, x1, x3 nearly coincide")
    assert found.warnings[1].startswith("columns x4, x5 nearly coincide")
    assert found_in(normal(6)).warnings == ()


def test_columns_that_depend_on_each_other_have_none_and_others_have_theirs() -> None:
    """All values of a category, of which one is rare; the others are what they are without it."""
    draw = np.random.default_rng(4)
    values = np.eye(4)[draw.choice(4, 2000, p=[0.6, 0.3, 0.09, 0.01])]
    own = np.column_stack([values, normal(2), np.ones(2000)])
    own[:, 5] += own[:, 4]
    found = found_in(own)
    factors = [one.factor for one in found.factors]
    assert factors[:4] == [None] * 4 and factors[6] is None
    assert factors[4:6] == pytest.approx(by_regressions(own[:, 1:6])[3:], rel=1e-4)
    assert found.warnings == (
        "column x6 is constant over the rows that are trained on: leave it out",
        "columns x0, x1, x2, x3 depend on each other: leave one of them out",
    )


def test_one_column_and_none_say_nothing_twice() -> None:
    assert [one.factor for one in found_in(normal(1)).factors] == [pytest.approx(1.0)]
    assert found_in(normal(0)) == Collinearity((), ())
