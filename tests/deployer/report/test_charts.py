"""The lines of the charts are those that scikit-learn finds on the rows themselves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_auc_score, roc_curve

from deployer.report import charts
from party.models.evaluation.figures import Figures
from party.models.evaluation.metrics import evaluation_of
from tests.models.test_evaluation import made, told


@pytest.fixture(params=[(0.0, 1.0), (-3.0, 1.5)], ids=["even", "rare"])
def rows(request: Any) -> tuple[Any, Any, Figures]:
    """Scores in the middle of bins, labels, and what counts of them say."""
    t, y = made(3, 1500, *request.param)
    figures = evaluation_of(*told(t, y, 1), 1).figures
    assert figures is not None
    return t, y, figures


def test_the_roc_curve_goes_through_scikit_learns_points(rows: tuple[Any, Any, Figures]) -> None:
    t, y, figures = rows
    _, line = charts.roc({"m": figures}).curves
    false, true, _ = roc_curve(y, t, drop_intermediate=False)
    drawn = sorted(set(zip(np.round(line.x, 12), np.round(line.y, 12), strict=True)))
    assert drawn == sorted(set(zip(np.round(false, 12), np.round(true, 12), strict=True)))
    assert auc(line.x, line.y) == pytest.approx(roc_auc_score(y, t))


def test_calibration_is_scikit_learns_of_the_same_tenths(rows: tuple[Any, Any, Figures]) -> None:
    t, y, figures = rows
    p = 1 / (1 + np.exp(-t))
    _, line = charts.calibration({"m": figures}).curves
    edges = [0.0, *(one.at_least for one in figures.calibration[1:]), 1.1]
    for i, (low, high) in enumerate(pairwise(edges)):
        chosen = (p >= low) & (p < high)
        found, predicted = calibration_curve(y[chosen], p[chosen], n_bins=1)
        assert (line.x[i], line.y[i]) == pytest.approx((predicted[0], found[0]))
        assert line.errors[i] == pytest.approx(y[chosen].std() / np.sqrt(chosen.sum()))


def test_gains_are_recall_by_the_rows_that_are_taken(rows: tuple[Any, Any, Figures]) -> None:
    t, y, figures = rows
    _, line = charts.gains({"m": figures}).curves
    false, true, _ = roc_curve(y, t, drop_intermediate=False)
    taken = (true * y.sum() + false * (1 - y).sum()) / len(y)
    np.testing.assert_allclose(np.interp(line.x, taken, true), line.y, atol=1e-12)


def test_the_bars_of_scores_are_histograms_of_each_label(rows: tuple[Any, Any, Figures]) -> None:
    t, y, figures = rows
    p = 1 / (1 + np.exp(-t))
    chart = charts.scores(figures)
    for label, line in enumerate(chart.curves):
        edges = np.array([*line.x[::2], line.x[-1]])
        density, _ = np.histogram(p[y == label], edges, density=True)
        np.testing.assert_allclose(line.y[::2], density, atol=1e-9)
        assert (np.diff(edges) >= 1 / 25 - 1e-9).all() and max(line.y) <= chart.top


def test_lines_stay_inside_of_their_chart(rows: tuple[Any, Any, Figures]) -> None:
    _, _, figures = rows
    one = {"m": figures}
    for chart in (charts.roc(one), charts.calibration(one), charts.gains(one)):
        for line in chart.curves:
            numbers = chart.path(line).lstrip("M").replace("L", " ").split()
            assert all(chart.left <= float(x) <= chart.right for x in numbers[::2])
            assert all(chart.upper <= float(y) <= chart.lower for y in numbers[1::2])
