"""What debiased labels train is right on average, and costs what the documentation says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from party.agreement.job import Job, load_job
from party.agreement.privacy import LabelPrivacy
from party.models.registry import model_of
from party.table import LabelKey, by_training_rows
from party.table.private_labels import by_place
from tests.harness.plaintext import read_all

ROOT = Path(__file__).resolve().parents[2]
SOLVERS = {"descent": {}, "batches": {"epochs": 4, "batch_size": 100, "learning_rate": 1.0}}


def seen_of(key: int, labels: Any, privacy: LabelPrivacy) -> Any:
    """What comes of labels by one of many keys."""
    made = LabelKey(key.to_bytes(32, "little"))
    return labels ^ made.turned("y", by_place(len(labels)), labels, privacy, "place")


@pytest.mark.parametrize("solver", SOLVERS)
def test_over_many_keys_the_weights_are_those_of_the_true_labels(solver: str) -> None:
    rows, keys, privacy = 1500, 30, LabelPrivacy(epsilon=2.0)
    agreed = {"name": "a", "rows": rows, "features": ["p", "q"], "label": "y"}
    job = Job.model_validate_json(json.dumps(agreed | {"training": SOLVERS[solver]}))
    draw = np.random.default_rng(1)
    x = np.hstack([draw.normal(size=(rows, 2)), np.ones((rows, 1))]).astype(np.float32)
    labels = draw.random(rows) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, -0.7])))

    def weights(y: Any) -> Any:
        return model_of(job.parameters).fit(job, x, y[:, None].astype(np.float32))

    exact, seen = weights(labels), [seen_of(key, labels, privacy) for key in range(keys)]
    debiased = np.array([weights(np.where(one, *privacy.debiased[::-1])) for one in seen])
    error = debiased.std(axis=0) / keys**0.5
    assert (np.abs(debiased.mean(axis=0) - exact) < 4 * error).all()
    raw = np.array([weights(one) for one in seen]).mean(axis=0)
    assert (np.abs(raw - exact)[:2] > 4 * error[:2]).all(), "labels as they are seen are not"


@pytest.mark.slow
def test_the_documented_price_is_what_the_walk_throughs_tables_show() -> None:
    """Areas of rows that are held out, by their true labels; each the mean over a few keys."""
    page = (ROOT / "docs/privacy.md").read_text(encoding="utf-8").partition("## Private weights")[0]
    told = {
        float(epsilon): float(area)
        for epsilon, area in re.findall(r"^\| ([\d.]+) \|.*\| (0\.\d{3}) \|$", page, re.MULTILINE)
    }
    (exact,) = re.findall(r"^\| exact \|.*\| (0\.\d{3}) \|$", page, re.MULTILINE)
    folder = ROOT / "examples/fraud"
    agreed = load_job(folder / "job.yaml").model_dump(mode="json")
    more = {"training": {}, "evaluation": {"held_out": 0.3}}
    job = Job.model_validate_json(json.dumps(agreed | more))
    tables = {p: by_training_rows(t, job, p) for p, t in read_all(job, folder).items()}  # type: ignore[arg-type]
    x, labels, out = tables["alice"].matrix, tables["bob"].matrix[:, -1] > 0.5, job.held_out

    def area(y: Any) -> float:
        weights = model_of(job.parameters).fit(job, x[~out], y[~out, None].astype(np.float32))
        return float(roc_auc_score(labels[out], x[out] @ weights))

    assert area(labels) == pytest.approx(float(exact), abs=5e-4)
    assert set(told) == {1.0, 2.0, 3.0}
    for epsilon, mean in told.items():
        privacy = LabelPrivacy(epsilon=epsilon)
        seen = (seen_of(key, labels, privacy) for key in range(8))
        found = [area(np.where(one, *privacy.debiased[::-1])) for one in seen]
        assert np.mean(found) == pytest.approx(mean, abs=2e-3), epsilon
