"""What is made of counts: figures that scikit-learn finds on rows, and groups of enough rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from party.agreement.job import AlignedJob, Job, Sizes
from party.models.evaluation import program
from party.models.evaluation.bins import GRID, RANGE, ends
from party.models.evaluation.metrics import area, evaluation_of
from party.models.registry import model_of
from tests.harness.alignments import aligned_job

CENTRES = GRID.centres


def told(t: Any, y: Any, minimum: int, beyond: int = 0) -> tuple[Any, Any]:
    """What is opened of scores that lie in the middle of bins."""
    at = np.searchsorted(CENTRES, t)
    rows, positives = (np.bincount(at, w, GRID.bins).astype(np.int64) for w in (t * 0 + 1, y))
    return np.append(rows, beyond), np.cumsum(positives) * ends(rows, minimum)


def made(seed: int, size: int = 1500, shift: float = 0.0, wide: float = 1.0) -> tuple[Any, Any]:
    """Scores in the middle of bins, and labels that follow them."""
    draw = np.random.default_rng(seed)
    t = draw.normal(shift, wide, size)
    y = (draw.random(size) < 1 / (1 + np.exp(-t))).astype(np.float64)
    y[:2] = 0, 1
    return CENTRES[np.abs(CENTRES - t[:, None]).argmin(axis=1)], y


def test_bins_are_one_behind_the_other_and_cover_a_period() -> None:
    assert [low for low, _, _ in GRID.pieces[1:]] == [high for _, high, _ in GRID.pieces[:-1]]
    assert (GRID.pieces[0][0], GRID.pieces[-1][1]) == (0, GRID.points)
    assert (np.diff(CENTRES) > 0).all() and len(CENTRES) == GRID.bins
    assert 0.0 in CENTRES, "a row of zeros is in the middle of a bin"
    assert CENTRES[0] > -128 and CENTRES[-1] < 128 and RANGE < 128


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(2, 40))
def test_a_group_has_the_fewest_rows_that_it_may_at_least(rows: list[int], minimum: int) -> None:
    last = ends(np.array(rows), minimum)
    assert last[-1]
    groups = np.diff(np.cumsum(rows)[last], prepend=0)
    assert groups.sum() == sum(rows)
    assert len(groups) == 1 or groups.min() >= minimum


@pytest.mark.parametrize("shift, wide", [(0.0, 1.0), (0.0, 3.0), (-3.0, 1.0)])
def test_figures_are_scikit_learns_where_no_bins_are_joined(shift: float, wide: float) -> None:
    """With groups of one row at least all ties are true ties, and nothing is rounded."""
    t, y = made(3, 1500, shift, wide)
    found = evaluation_of(*told(t, y, 1), 1).figures
    assert found is not None
    p = 1 / (1 + np.exp(-t))
    assert found.positives == y.sum() and found.base_rate == y.mean()
    assert found.auc == pytest.approx(roc_auc_score(y, t))
    false, true, _ = roc_curve(y, t)
    assert found.ks == pytest.approx(np.abs(true - false).max())
    assert found.log_loss == pytest.approx(log_loss(y, p))
    assert found.brier == pytest.approx(brier_score_loss(y, p))
    for one in found.thresholds[1::5]:
        chosen = p >= one.at_least
        matrix = confusion_matrix(y, chosen).reshape(-1).tolist()
        assert matrix == [
            one.true_negatives,
            one.false_positives,
            one.false_negatives,
            one.true_positives,
        ]
        assert one.precision == pytest.approx(precision_score(y, chosen))
        assert one.recall == pytest.approx(recall_score(y, chosen))
        assert one.f1 == pytest.approx(f1_score(y, chosen))
    assert found.best.f1 == max(one.f1 for one in found.thresholds)
    assert abs(found.half.at_least - 0.5) == min(
        abs(one.at_least - 0.5) for one in found.thresholds
    )


@pytest.mark.parametrize("minimum", [5, 10, 30])
@pytest.mark.parametrize("shift", [0.0, -4.0])
def test_joined_bins_cost_little(shift: float, minimum: int) -> None:
    t, y = made(4, 6000, shift)
    figures = evaluation_of(*told(t, y, minimum), minimum).figures
    assert figures is not None
    assert figures.auc == pytest.approx(roc_auc_score(y, t), abs=0.003)
    assert figures.log_loss == pytest.approx(log_loss(y, 1 / (1 + np.exp(-t))), abs=1e-3)
    assert all(group.rows >= minimum for group in figures.groups)


def test_tables_add_up() -> None:
    t, y = made(5)
    figures = evaluation_of(*told(t, y, 10), 10).figures
    assert figures is not None
    for groups in (figures.groups, figures.calibration):
        assert sum(group.rows for group in groups) == len(y)
        assert sum(group.positives for group in groups) == y.sum()
    assert 5 <= len(figures.calibration) <= 10
    assert figures.gains[-1].rows == figures.gains[-1].positives == 1.0
    mean = sum(group.rows * group.predicted for group in figures.calibration) / len(y)
    assert mean == pytest.approx((1 / (1 + np.exp(-t))).mean())


def test_the_standard_error_is_that_of_many_samples() -> None:
    """And where labels are tossed the area is a half, and as far from it as the error says."""
    areas, errors, away = [], [], []
    for seed in range(300):
        t, y = made(seed, 400)
        figures = evaluation_of(*told(t, y, 10), 10).figures
        assert figures is not None
        areas.append(figures.auc)
        errors.append(figures.auc_error)
        tossed = np.random.default_rng(1000 + seed).integers(0, 2, 400)
        nothing = evaluation_of(*told(t, tossed, 10), 10).figures
        assert nothing is not None
        away.append((nothing.auc - 0.5) / nothing.auc_error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)
    assert abs(np.mean(away)) < 4 / np.sqrt(300) and 0.85 < np.std(away) < 1.15


def test_labels_that_were_tossed_are_told_as_that_over_many_seeds() -> None:
    """A half on average, scattered as the area's own standard error says; on the rows that were
    trained on the same models find something."""
    rows, seeds = 600, 40
    agreed = {"name": "t", "rows": rows, "features": [f"x{i}" for i in range(6)], "label": "y"}
    agreed |= {"training": {"passes": 60}, "evaluation": {"held_out": 0.4, "minimum": 5}}
    job = Job.model_validate_json(json.dumps(agreed))
    out, model = job.held_out, model_of(job.parameters)
    away, own = [], []
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        x = np.column_stack([draw.normal(size=(rows, 6)), np.ones(rows)]).astype(np.float32)
        y = draw.integers(0, 2, rows).astype(np.float32)
        t = x @ model.fit(job, x[~out], y[~out, None])
        found = evaluation_of(*told(np.round(t[out] * 16) / 16, y[out], 5), 5).figures
        assert found is not None
        away.append((found.auc - 0.5) / found.auc_error)
        own.append(roc_auc_score(y[~out], t[~out]))
    assert abs(np.mean(away)) < 4 / seeds**0.5
    assert 0.6 < np.std(away) < 1.5
    assert np.mean(own) > 0.55, "or the test could not tell"


def test_an_area_that_nothing_mars_is_one_without_error() -> None:
    assert area(np.array([5, 5, 0]), np.array([0, 0, 7])) == (1.0, 0.0)
    assert area(np.array([5]), np.array([7])) == (0.5, 0.0)


def test_where_a_row_lies_outside_there_are_no_figures() -> None:
    t, y = made(6)
    found = evaluation_of(*told(t, y, 10, beyond=1), 10)
    assert found.figures is None and found.beyond == 1
    assert "too far out" in str(found)


def test_counts_of_labels_turned_round_that_come_to_one_class_are_no_fault_of_anybodys() -> None:
    t = np.zeros(40)
    counts = told(t, np.zeros(40), 10)  # fewer ones than the half that are turned round at least
    found = evaluation_of(*counts, 10, flip=0.3)
    assert found.figures is None and "turned round" in str(found)
    with pytest.raises(ValueError, match="one class"):
        evaluation_of(*counts, 10)


@pytest.mark.parametrize("wanted", [{"held_out": 0.4}, {"folds": 2}])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_matched_rows_that_are_held_out_may_be_of_one_class(
    wanted: dict[str, Any], label: float
) -> None:
    """Nobody knows which they are, and so nobody could look beforehand."""
    job = AlignedJob.of(aligned_job(evaluation=wanted), Sizes(alice=100, bob=100, common=100))
    rows = 100 if "folds" in wanted else job.held_out_rows
    sizes = program.layout_of(job, 0)
    assert sizes is not None
    t = np.concatenate([np.ones(rows), np.zeros(sizes.filled(job.rows))])
    counts = told(t, np.full(len(t), label), 10)
    given = dict(zip((program.SCORES, program.JOINED), counts, strict=True))
    given = {name: value * 2.0**program.LIFT_BITS / 2.0**20 for name, value in given.items()}
    found = program.found(job, "alice", given, 20)
    assert found is not None and found.figures is None
    assert f"all of {rows} " in str(found) and "of one class" in str(found)


@pytest.mark.parametrize("wrong", ["more than rows", "falls", "elsewhere", "one class", "negative"])
def test_counts_that_do_not_fit_together_are_no_evaluation(wrong: str) -> None:
    t, y = made(7)
    rows, up_to = told(t, y, 10)
    last = np.flatnonzero(up_to)
    if wrong == "more than rows":
        up_to[last[-1]] += len(t)
    elif wrong == "falls":
        up_to[last[-1]] = up_to[last[-2]] - 1
    elif wrong == "elsewhere":
        up_to[last[0] - 1] = 1
    elif wrong == "one class":
        up_to[:] = 0
    else:
        rows[last[0]] = -1
    with pytest.raises(ValueError, match=r"do not fit|one class"):
        evaluation_of(rows, up_to, 10)


@pytest.mark.parametrize("flip", [0.05, 0.27])
def test_figures_of_labels_that_were_turned_round_are_right_on_average(flip: float) -> None:
    """And as far off as their standard errors say."""
    t, y = made(3, 2000, -1.0, 1.2)
    exact = evaluation_of(*told(t, y, 10), 10).figures
    assert exact is not None and exact.noise is None
    found = []
    for seed in range(100):
        turned = np.random.default_rng(seed).random(len(y)) < flip
        some = evaluation_of(*told(t, np.where(turned, 1 - y, y), 10), 10, flip).figures
        assert some is not None and some.noise is not None
        assert sum(one.positives for one in some.groups) == pytest.approx(some.positives)
        found.append(some)
    for name in ("auc", "log_loss", "brier", "positives", "base_rate"):
        values = np.array([getattr(one, name) for one in found])
        off = values.mean() - getattr(exact, name)
        assert abs(off) < 4 * values.std() / len(found) ** 0.5, name
    for name in ("log_loss", "brier", "positives"):
        spread = np.std([getattr(one, name) for one in found])
        told_of = np.mean([getattr(one.noise, name) for one in found])
        assert spread == pytest.approx(told_of, rel=0.3), name
    # The area's is of other rows, too: so far as labels alone go, it is what is left.
    spread = np.std([one.auc for one in found])
    whole = np.mean([one.auc_error for one in found])
    assert spread == pytest.approx((whole**2 - exact.auc_error**2) ** 0.5, rel=0.3)
    recall = np.mean([one.half.recall for one in found])
    assert recall == pytest.approx(exact.half.recall, abs=0.03)
    assert "estimates" in str(evaluation_of(*told(t, y, 10), 10, flip))
