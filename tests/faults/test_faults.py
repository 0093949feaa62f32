"""Connections are cut and parties killed, at random: every run ends well, with the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import load_job
from tests.faults.runs import ROUNDING, TRAINING, Ended, faulty
from tests.harness import plaintext
from tests.harness.processes import Processes

pytestmark = pytest.mark.slow

SEEDS = (1, 2, 3, 4)
"""Some in which connections are cut, and some in which parties are killed. ``python -m
tests.faults`` tries as many as it is told."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Ended:
    """A run without faults."""
    with faulty(tmp_path_factory.mktemp("undisturbed") / "0", cache, 0, None) as run:
        return run.end()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_with_faults_ends_well_and_gives_the_same_model(
    tmp_path: Path, cache: Path, undisturbed: Ended, seed: int
) -> None:
    with faulty(tmp_path / "run", cache, seed, undisturbed.weights, 12, 0.15) as run:
        ended = run.end()
    assert ended.faults


def test_a_step_that_is_left_out_or_done_twice_would_be_seen(tmp_path: Path, cache: Path) -> None:
    """In clear, any one of them moves the weights by more than is allowed for rounding."""
    processes = Processes(tmp_path, cache, training=TRAINING)
    processes.close()
    job = load_job(tmp_path / "job.yaml")
    features, label = plaintext.joined(job, plaintext.read_all(job, tmp_path))
    x, y, width = features.astype(float), label[:, 0].astype(float), job.step_width.value
    batches = [batch for epoch in range(job.epochs) for batch in job.batches(epoch)]

    def fitted(course: list[np.ndarray]) -> np.ndarray:
        weights = np.zeros(x.shape[1])
        for batch in course:
            rows = x[batch]
            weights -= width * (rows.T @ (1 / (1 + np.exp(-rows @ weights)) - y[batch]))
        return weights

    right = fitted(batches)
    for k in range(0, len(batches), 23):
        for changed in (batches[:k] + batches[k + 1 :], batches[: k + 1] + batches[k:]):
            assert np.linalg.norm(fitted(changed) - right) > 2 * ROUNDING * np.linalg.norm(right)
