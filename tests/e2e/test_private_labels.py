"""A run with private labels trains and counts what its plaintext reference does."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.local.run import run_local
from party.agreement.job import Job
from party.alignment import load_for
from party.models.registry import model_of
from party.table import LabelKey, Table, by_training_rows, with_private_labels
from tests.harness import plaintext
from tests.harness.plans import MADE, cached

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]

ROWS = 600
BATCHES = {"epochs": 2, "batch_size": 60, "learning_rate": 1.0}
MATCHED = {"align": {"key": "id"}, "rows": 0, "training": {"passes": 40}}
FEW_TURNED = {"privacy": {"labels": {"epsilon": 3}}}
KEY = LabelKey(bytes(range(32)))
"""Always the same, so that always the same labels are turned round."""


@pytest.mark.parametrize(
    "protocol, more",
    [
        ("aby3", {"evaluation": {"held_out": 0.3}}),
        ("pond", {"training": BATCHES}),
        ("securenn", {"training": {"passes": 20}, "result": "both"}),
        ("aby3", {"training": {"passes": 40}, "evaluation": {"folds": 3}}),
        ("pond", {**MATCHED, "evaluation": {"folds": 3}}),
        ("aby3", {**MATCHED, **FEW_TURNED, "evaluation": {"held_out": 0.3}}),
    ],
)
def test_model_and_counts_are_those_of_labels_that_were_turned_round(
    protocol: str, more: dict[str, Any], tmp_path: Path
) -> None:
    agreed: dict[str, Any] = {"name": "a", "rows": ROWS, "protocol": protocol, "label": "y"}
    agreed |= {"features": {"alice": ["p", "q"], "bob": ["r"]}}
    agreed |= {"privacy": {"labels": {"epsilon": 1.5}}}
    job = Job.model_validate_json(json.dumps(agreed | more))
    assert job.label_privacy is not None
    draw = np.random.default_rng(1)
    x = draw.normal(size=(ROWS, 3))
    labels = draw.random(ROWS) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, 0.7])))
    files = {"alice": tmp_path / "alice.csv", "bob": tmp_path / "bob.csv"}
    ids = np.arange(ROWS)
    alices, bobs = np.column_stack([ids, x[:, :2]]), np.column_stack([ids, labels, x[:, 2]])
    np.savetxt(files["alice"], alices, "%.9g", ",", header="id,p,q", comments="")
    np.savetxt(files["bob"], bobs, "%.9g", ",", header="id,y,r", comments="")
    file = tmp_path / "label.key"
    file.write_text(KEY.text())
    file.chmod(0o600)

    if not job.matches:
        cached(job, MADE)
    models = run_local(job, files, tmp_path / "out", cache=MADE, label_key=file).models

    seen, debiased, features = _in_clear(job, files, file)
    assert 0 < (seen != labels).mean() < 0.35
    taken = ~job.held_out if job.rows and job.evaluation else np.ones(ROWS, bool)
    weights = model_of(job.parameters).fit(_of(job, taken), features[taken], debiased[taken])
    clear = dict(zip(plaintext.columns(job), weights.tolist(), strict=True))
    # Which of the matched rows are held out, nobody knows. Weights of any 70 % of them are off by
    # 0.085 at most in a direction (one standard error, of a length of 1), and by a half less than
    # once in a million runs; weights of zeros are by 1.
    near = 2e-2 if job.rows or job.folds else 0.5
    for model in models.values():
        assert model.health is not None and model.health.epsilon == job.label_privacy.epsilon
        assert plaintext.distance(plaintext.received(model.as_json()), clear) < near
    if job.evaluation:
        assert models["alice"].evaluation is not None
        figures = models["alice"].evaluation.figures
        assert figures is not None and figures.noise is not None
        flip, kept = job.label_privacy.flip, job.label_privacy.kept
        assert figures.noise.flip == flip
        if job.rows or job.folds:
            out = np.ones(ROWS, bool) if job.folds else job.held_out
            expected = (seen[out].sum() - flip * out.sum()) / kept
            assert figures.positives == pytest.approx(expected)
        # Six standard errors of the rows that are held out: by chance alone, where nobody knows
        # which ones they are, one run in some hundred million is farther off.
        rows = figures.positives / figures.base_rate
        drawn = math.sqrt(rows * 0.25 + figures.noise.positives**2) / rows
        assert abs(figures.base_rate - labels.mean()) < 6 * drawn < 0.5
        assert abs(figures.auc - 0.75) < 6 * figures.auc_error < 0.6


def _in_clear(job: Job, files: dict[str, Path], key: Path) -> tuple[Any, Any, Any]:
    """Labels as they are seen, what stands for them in the training, and standardised columns."""
    tables: dict[str, Table] = {}
    for party in job.holders:
        own, identifiers = load_for(files[party], job, party)
        own = by_training_rows(own, job, party)
        named = None if identifiers is None else identifiers.by_row
        tables[party] = with_private_labels(own, job, party, key if party == "bob" else None, named)
    features, given = plaintext.joined(job, tables)
    assert job.label_privacy is not None
    seen = given[:, 0] > 0.5
    debiased = np.where(seen, *job.label_privacy.debiased[::-1])[:, None].astype(np.float32)
    if job.labels_serve_both:
        assert set(np.unique(given)) == {0.0, 1.0}
    elif job.evaluation is None:
        assert given == pytest.approx(debiased)
    return seen, debiased, features


def _of(job: Job, taken: Any) -> Job:
    """The job of a training on some rows, in order, that holds none out."""
    change = {"rows": int(taken.sum()), "evaluation": None, "align": None}
    return Job.model_validate(job.model_dump() | change)
