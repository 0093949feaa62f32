"""What a run says of held-out rows is what scikit-learn says of these rows, in clear."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from deployer.local.run import run_local
from party.agreement.job import Descent, Evaluation, Job, load_job
from party.models.evaluation.figures import Figures, Threshold
from party.table import Table, by_training_rows, read_table
from tests.harness import datasets, plaintext
from tests.harness.optimum import logistic_optimum
from tests.harness.plans import cached

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STEP = 1 / 16  # of the grid of scores

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]


@dataclass(frozen=True)
class Evaluated:
    """What receivers were told, and the held-out rows as no one of the parties has them."""

    job: Job
    models: dict[str, Any]
    t: Any
    y: Any
    weights: Any
    best: Any

    @property
    def figures(self) -> Figures:
        (found,) = {model.evaluation for model in self.models.values() if model.evaluation}
        return found.figures

    @property
    def p(self) -> Any:
        return 1 / (1 + np.exp(-self.t))

    @property
    def auc(self) -> float:
        return float(roc_auc_score(self.y, self.t))


def evaluated(job: Job, files: dict[str, Path], output: Path, cache: Path) -> Evaluated:
    cached(job, cache)
    models = run_local(job, files, output, cache=cache).models
    received = plaintext.received(*(model.as_json() for model in models.values()))
    tables: dict[str, Table] = {
        p: by_training_rows(read_table(files[p], job, p), job, p) for p in job.holders
    }
    x, y = plaintext.joined(job, tables)
    names, out = plaintext.columns(job), job.held_out
    weights = np.array([received[name] for name in names])
    assert job.descent is not None
    ones = names.index("intercept")
    best = logistic_optimum(x[~out], y[~out, 0], job.descent.C, ones)
    return Evaluated(job, models, x[out] @ weights, y[out, 0], weights, best)


def example(name: str, output: Path, cache: Path, **change: Any) -> Evaluated:
    job = load_job(EXAMPLES / name / "job.yaml")
    given = {"training": Descent(), "evaluation": Evaluation()} | change
    job = Job.model_validate(job.model_dump() | {k: _plain(v) for k, v in given.items()})
    files = {"alice": EXAMPLES / "fraud/alice.csv", "bob": EXAMPLES / name / "bob.csv"}
    return evaluated(job, files, output, cache)


def _plain(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else value


def assert_scikit_learns(run: Evaluated) -> None:
    """All figures, within what the width of a bin can make of them."""
    found = run.figures
    assert found.positives == run.y.sum()
    assert found.base_rate == run.y.mean()
    assert found.auc == pytest.approx(run.auc, abs=0.003)
    false, true, _ = roc_curve(run.y, run.t)
    assert found.ks == pytest.approx(np.abs(true - false).max(), abs=0.02)
    assert found.log_loss == pytest.approx(log_loss(run.y, run.p), abs=2e-3)
    assert found.brier == pytest.approx(brier_score_loss(run.y, run.p), abs=1e-3)
    for threshold in found.thresholds:
        assert_counted(run, threshold)
    assert sum(group.rows for group in found.groups) == len(run.y)
    assert all(group.rows >= 10 for group in found.groups)


def assert_counted(run: Evaluated, threshold: Threshold) -> None:
    """Rows are counted on the side of a threshold on which they are, but for those near to it."""
    if threshold.at_least == 0.0:
        return
    t, edge = run.t, np.log(threshold.at_least / (1 - threshold.at_least))
    wide = STEP if abs(edge) < 8 else 1.0
    chosen = threshold.true_positives + threshold.false_positives
    assert (t > edge + wide).sum() <= chosen <= (t > edge - wide).sum()
    hits = run.y[t > edge + wide].sum(), run.y[t > edge - wide].sum()
    assert hits[0] <= threshold.true_positives <= hits[1]


@pytest.mark.parametrize("protocol", ["pond", "securenn", "aby3"])
@pytest.mark.parametrize("name", ["fraud", "joint"])
def test_figures_are_scikit_learns(name: str, protocol: str, tmp_path: Path, cache: Path) -> None:
    run = example(name, tmp_path, cache, protocol=protocol)
    assert_scikit_learns(run)
    assert set(run.models) == set(run.job.receivers)
    # Trained on the other rows, and on these alone.
    assert np.linalg.norm(run.weights - run.best) <= 0.02 * np.linalg.norm(run.best) or (
        name == "joint"  # where both hold the same columns
    )


@pytest.mark.parametrize(
    "dataset", [datasets.rare_events, datasets.heavy_tails], ids=["rare events", "heavy tails"]
)
def test_so_they_are_of_rare_events_and_heavy_tails(
    dataset: Any, tmp_path: Path, cache: Path
) -> None:
    made = dataset()
    job = made.job(protocol="pond", evaluation={"held_out": 0.3})
    assert_scikit_learns(evaluated(job, made.write(tmp_path), tmp_path, cache))


def test_only_the_named_are_told(tmp_path: Path, cache: Path) -> None:
    run = example("joint", tmp_path, cache, evaluation={"to": ("bob",)})
    assert run.models["alice"].evaluation is None
    assert run.models["bob"].evaluation.figures == run.figures
    assert_scikit_learns(run)


@pytest.mark.parametrize("seed", [6, 7])
def test_where_no_score_says_anything_the_area_is_a_half(
    seed: int, tmp_path: Path, cache: Path
) -> None:
    """Labels that were tossed: 0.5, give or take three of its own standard errors."""
    draw = np.random.default_rng(seed)
    made = datasets.Dataset(
        draw.standard_normal((6_000, 6)), draw.integers(0, 2, 6_000).astype(np.float64), 3
    )
    job = made.job(protocol="pond", evaluation={"held_out": 0.5})
    run = evaluated(job, made.write(tmp_path), tmp_path, cache)
    figures = run.figures
    # Such scores hardly differ, so that a sixteenth is much: see docs/jobs.md.
    assert figures.auc == pytest.approx(run.auc, abs=3 * figures.auc_error)
    assert abs(figures.auc - 0.5) <= 3 * figures.auc_error
