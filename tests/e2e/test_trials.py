"""Settings that once gave a wrong model with exit code 0 give a right one, or none, on shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from party.models.batches import FEATURE_BITS
from party.protocols.sines import _FACTOR_BITS, NARROW
from tests.harness.plans import cached
from tests.trials import PROTOCOLS, TRIALS, Outcome, Trial, run

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]

DOCS = Path(__file__).resolve().parents[2] / "docs/jobs.md"


def tried(trial: Trial, protocol: str, directory: Path, cache: Path) -> Outcome:
    if trial.expected != "refused":
        cached(trial.job(protocol), cache)
    return run(trial, protocol, directory, cache)


def of(expected: str) -> list[Trial]:
    return [one for one in TRIALS if one.expected == expected]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("trial", [*of("no model"), *of("refused")], ids=lambda one: one.name)
def test_what_cannot_train_leaves_no_model(
    trial: Trial, protocol: str, tmp_path: Path, cache: Path
) -> None:
    outcome = tried(trial, protocol, tmp_path, cache)
    assert outcome.kind == trial.expected and outcome.code == (2 if trial in of("refused") else 1)
    assert any(line.startswith("error: ") for line in outcome.told)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("trial", of("a model"), ids=lambda one: one.name)
def test_what_trains_is_as_good_as_in_clear(
    trial: Trial, protocol: str, tmp_path: Path, cache: Path
) -> None:
    """By the bound of fixed point. A row's features are off by less than their last bit each, and
    its t by that times the weights; a loss changes by no more than t does, a probability by a
    quarter. The sum of sines is off by half of the last bit of each coefficient: so is the mean
    probability, and the loss by that times t, along which its gradient is not quite 0."""
    outcome = tried(trial, protocol, tmp_path, cache)
    assert outcome.weights is not None
    clear = trial.in_clear()
    off = 2.0**-FEATURE_BITS * float(np.abs(clear).sum())
    wave = 0.5 * NARROW.terms * 2.0**-_FACTOR_BITS
    t = float(np.abs(trial.rows @ clear).mean())
    (loss, mean), (best, expected) = trial.scores(outcome.weights), trial.scores(clear)
    assert abs(loss - best) <= off + wave * t and abs(mean - expected) <= off / 4 + wave
    assert trial.tells in " ".join(outcome.told)


def test_the_table_of_the_documentation_has_every_trial_and_its_outcome() -> None:
    """``python -m tests.trials`` prints it."""
    text = DOCS.read_text(encoding="utf-8")
    lines = text.partition("<!-- trials: begin -->")[2].partition("<!-- trials: end -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in lines.split("\n")[3:-1]]
    assert [(name, came.partition(" (")[0]) for name, came in rows] == [
        (one.name, one.expected) for one in TRIALS
    ]
