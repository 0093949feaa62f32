"""A job without settings for its training arrives where scikit-learn arrives, on every table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.local.run import run_local
from party.agreement.job import Descent, Job, load_job, parse_job
from party.models.registry import model_of
from party.process.errors import InputError, JobError
from party.table import Table, read_table
from tests.harness import datasets, plaintext
from tests.harness.datasets import Dataset
from tests.harness.optimum import logistic_loss, logistic_optimum
from tests.harness.plans import cached
from tests.models.test_descent import SETTINGS, Setting, fitted, losses

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROTOCOLS = ("pond", "aby3")

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


@dataclass(frozen=True)
class Trained:
    """What came of a run, and the tables of both, as no one of the parties has them."""

    job: Job
    health: dict[str, Any]
    x: Any
    y: Any
    ones: int
    weights: Any

    @property
    def loss(self) -> float:
        return self._loss(self.weights)

    @property
    def best_loss(self) -> float:
        return self._loss(self.best)

    @property
    def best(self) -> Any:
        assert self.job.descent is not None
        training = self.job.descent
        return logistic_optimum(self.x, self.y, training.C, self.ones, training.class_weight)

    @property
    def distance(self) -> float:
        """Of the weights from scikit-learn's, relative to these."""
        return float(np.linalg.norm(self.weights - self.best) / np.linalg.norm(self.best))

    def _loss(self, weights: Any) -> float:
        assert self.job.descent is not None
        return logistic_loss(self.x, self.y, weights, self.job.descent.C, self.ones)


def trained(job: Job, files: dict[str, Path], output: Path, cache: Path) -> Trained:
    cached(job, cache)
    models = [m.as_json() for m in run_local(job, files, output, cache=cache).models.values()]
    received = plaintext.received(*models)
    tables: dict[str, Table] = {
        party: read_table(files[party], job, party) for party in job.holders
    }
    x, y = plaintext.joined(job, tables)
    names = plaintext.columns(job)
    return Trained(
        job,
        models[0]["health"],
        x,
        y[:, 0].astype(np.float64),
        names.index("intercept"),
        np.array([received[name] for name in names]),
    )


def example(name: str, output: Path, cache: Path, **change: Any) -> Trained:
    """One of the examples with default training."""
    job = load_job(EXAMPLES / name / "job.yaml")
    job = job.model_copy(update={"training": Descent()} | change)
    files = {"alice": EXAMPLES / "fraud/alice.csv", "bob": EXAMPLES / name / "bob.csv"}
    return trained(job, files, output, cache)


def made(dataset: Dataset, output: Path, cache: Path, **change: Any) -> Trained:
    return trained(dataset.job(**change), dataset.write(output), output, cache)


def test_no_setting_makes_it_overflow_or_leave_for_somewhere_worse_than_where_it_began() -> None:
    for seed in range(SETTINGS):
        setting = Setting.drawn(seed)
        weights = fitted(setting.job, setting.dataset)
        assert np.isfinite(weights).all(), seed
        reached, began = losses(setting.dataset, setting.C, weights, 0 * weights)
        assert reached <= began, seed


@pytest.mark.parametrize("seed", range(0, SETTINGS, 31))
def test_on_shares_no_setting_overflows_either(seed: int, tmp_path: Path, cache: Path) -> None:
    """Some of the tables and settings that are tried in clear, of every kind."""
    setting = Setting.drawn(seed)
    protocol = PROTOCOLS[seed % len(PROTOCOLS)]
    job = setting.job.model_copy(update={"protocol": protocol})
    run = trained(job, setting.dataset.write(tmp_path), tmp_path / "out", cache)
    in_clear = fitted(setting.job, setting.dataset)
    size = max(1.0, float(np.abs(in_clear).max()))
    # Where labels are rare, the wave's own error moves the intercept by some two in a thousand.
    assert np.abs(run.weights - in_clear).max() <= 5e-3 * size
    on_shares, expected = losses(setting.dataset, setting.C, run.weights, in_clear)
    assert on_shares == pytest.approx(expected, rel=1e-3)


NOT_SETTLED = "training.passes: the steps had not become small when all passes were done; raise it"


def assert_arrived(run: Trained, within: float) -> None:
    assert abs(run.loss - run.best_loss) <= 1e-4 * run.best_loss
    assert run.distance <= within


def assert_settled(run: Trained) -> None:
    assert run.health["settled"] is True
    assert run.health["warnings"] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_on_the_example_it_is_scikit_learns(protocol: str, tmp_path: Path, cache: Path) -> None:
    run = example("fraud", tmp_path, cache, protocol=protocol)
    assert_settled(run)
    assert_arrived(run, 0.01)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "dataset", [datasets.heavy_tails, datasets.rare_events], ids=["heavy tails", "rare events"]
)
def test_so_it_is_with_single_large_values_and_with_rare_labels(
    dataset: Any, protocol: str, tmp_path: Path, cache: Path
) -> None:
    run = made(dataset(), tmp_path, cache, protocol=protocol)
    assert_settled(run)
    assert_arrived(run, 0.01)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_so_it_is_where_columns_are_nearly_equal_and_weights_large(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    run = made(datasets.breast_cancer(), tmp_path, cache, protocol=protocol)
    assert_settled(run)
    assert_arrived(run, 0.01)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_so_it_is_where_they_are_all_at_one_and_the_momentum_turns_round_on_the_way(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    """After 72 passes the weights stand still for a moment, 2 % from where they belong."""
    at_alice = replace(datasets.breast_cancer(), at_alice=30)
    run = made(at_alice, tmp_path, cache, protocol=protocol)
    assert_settled(run)
    assert_arrived(run, 0.01)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_where_both_hold_the_same_columns_the_loss_is_scikit_learns(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    """Four columns of the one are four of the other's. Only the penalty says how a weight is split
    between two that are equal; there, the weights are not compared."""
    run = example("joint", tmp_path, cache, protocol=protocol)
    assert_settled(run)
    assert abs(run.loss - run.best_loss) <= 1e-4 * run.best_loss
    x = run.x.astype(np.float64)
    spread, directions = np.linalg.eigh(x.T @ x / len(x))
    seen = directions[:, spread > 1e-3]
    assert seen.shape[1] == x.shape[1] - 4
    off = seen.T @ (run.weights - run.best)
    assert np.linalg.norm(off) <= 0.01 * np.linalg.norm(run.best)


def test_a_training_that_ends_before_it_has_settled_says_so(tmp_path: Path, cache: Path) -> None:
    run = made(datasets.breast_cancer(), tmp_path, cache, training={"passes": 30})
    assert run.health["settled"] is False
    assert run.health["warnings"] == [NOT_SETTLED]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_with_weights_of_classes_it_is_scikit_learns(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    weights = {"class_weight": {"0": 1.0, "1": 7.5}}
    run = made(datasets.rare_events(), tmp_path, cache, protocol=protocol, training=weights)
    assert_settled(run)
    assert run.distance <= 0.01


def test_so_it_is_with_balanced_ones_that_the_labels_holder_alone_knows(
    tmp_path: Path, cache: Path
) -> None:
    weights = {"class_weight": "balanced", "rarest": 0.3}
    run = made(datasets.breast_cancer(), tmp_path, cache, training=weights)
    assert_settled(run)
    assert run.distance <= 0.01


def test_a_class_that_is_rarer_than_the_job_says_is_refused_by_its_holder() -> None:
    job = datasets.rare_events().job(training={"class_weight": "balanced", "rarest": 0.01})
    label = datasets.rare_events().y.astype(np.float32)
    model_of(job.parameters).check_label(job, "alice", label)
    with pytest.raises(InputError, match=r"training\.rarest: the rarer class has a smaller share"):
        model_of(job.parameters).check_label(job, "bob", label)


@pytest.mark.parametrize("result", ["own", "nobody"])
def test_a_model_that_nobody_can_see_through_is_not_opened_out_of_the_sigmoids_range(
    result: str, tmp_path: Path, cache: Path
) -> None:
    """In clear its largest |t| is more than a period."""
    training = {"C": 1e4, "passes": 40, "tolerance": 0.0}
    with pytest.raises(JobError, match="leave the range in which the sigmoid") as refused:
        made(datasets.far_off(), tmp_path, cache, result=result, training=training)
    assert refused.value.exit_code == 1 and refused.value.hint
    assert not {*tmp_path.rglob("model.json"), *tmp_path.rglob("shares.json")}


@pytest.mark.parametrize(("passes", "settled"), [(2, False), (8, True)])
def test_a_training_of_few_passes_says_whether_it_has_settled(
    passes: int, settled: bool, tmp_path: Path, cache: Path
) -> None:
    training = Descent(passes=passes)
    run = example("fraud", tmp_path, cache, training=training)
    assert run.health["settled"] is settled
    assert run.health["warnings"] == ([] if settled else [NOT_SETTLED])


def test_weights_of_classes_are_refused_where_there_are_none() -> None:
    text = "name: made\nrows: 100\nfeatures: [x]\nlabel: y\nmodel: linear-regression\n"
    weights = "training: {class_weight: {'0': 1.0, '1': 2.0}}\n"
    with pytest.raises(InputError, match=r"training\.class_weight: a linear-regression has no"):
        parse_job(text + weights, where="job.yaml")


def assert_least_squares(run: Trained) -> None:
    least = np.linalg.lstsq(run.x.astype(np.float64), run.y, rcond=None)[0]
    off, best = (np.square(run.x @ w - run.y).mean() for w in (run.weights, least))
    assert off == pytest.approx(best, rel=1e-4)
    assert np.linalg.norm(run.weights - least) <= 0.01 * np.linalg.norm(least)


def test_linear_regression_gives_least_squares(tmp_path: Path, cache: Path) -> None:
    run = example("linear", tmp_path, cache)
    assert_settled(run)
    assert_least_squares(run)


def test_without_a_tolerance_nobody_is_told_and_all_passes_are_done(
    tmp_path: Path, cache: Path
) -> None:
    training = Descent(passes=20, tolerance=0.0)
    run = example("linear", tmp_path, cache, protocol="aby3", training=training)
    assert run.health["settled"] is None
    assert run.health["steps"] == run.job.steps == 40, "a gradient and an update in each pass"
    assert run.health["warnings"] == []
    assert_least_squares(run)


@pytest.mark.parametrize(
    ("training", "key"),
    [
        ("{passes: 0}", "training.passes"),
        ("{class_weight: {'0': 1.0}}", "training.class_weight"),
        ("{class_weight: {'0': 1.0, '2': 1.0}}", "training.class_weight.2"),
        ("{class_weight: {'0': 1.0, '1': 0.0}}", "training.class_weight.1"),
        ("{passes: 1.5}", "training.passes"),
        ("{C: 0}", "training.C"),
        ("{C: -1.0}", "training.C"),
        ("{tolerance: 1.0}", "training.tolerance"),
        ("{tolerance: 9.9e-6}", "training.tolerance"),
        ("{passes: 100, epochs: 10, batch_size: 8, learning_rate: 0.1}", "training.passes"),
        ("{rate: 0.1}", "training.rate"),
        ("{learning_rate: 0.1}", "training.epochs"),
    ],
)
def test_settings_that_are_none_are_refused_by_their_key(training: str, key: str) -> None:
    text = f"name: made\nrows: 100\nfeatures: [x]\nlabel: y\ntraining: {training}\n"
    with pytest.raises(InputError) as refused:
        parse_job(text, where="job.yaml")
    assert refused.value.exit_code == 2
    assert f" {key}: " in str(refused.value)
