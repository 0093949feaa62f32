"""A run with private labels trains and counts what its plaintext reference does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.local.run import run_local
from party.agreement.job import Job
from party.models.registry import model_of
from party.table import LabelKey, Table, by_training_rows, read_table, with_private_labels
from party.table.private_labels import by_place
from tests.harness import plaintext
from tests.harness.plans import MADE, cached

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]

ROWS = 600
BATCHES = {"epochs": 2, "batch_size": 60, "learning_rate": 1.0}


@pytest.mark.parametrize(
    "protocol, more",
    [
        ("aby3", {"evaluation": {"held_out": 0.3}}),
        ("pond", {"training": BATCHES}),
        ("securenn", {"training": {"passes": 20}, "result": "both"}),
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
    np.savetxt(files["alice"], x[:, :2], "%.9g", ",", header="p,q", comments="")
    bobs = np.column_stack([labels, x[:, 2]])
    np.savetxt(files["bob"], bobs, "%.9g", ",", header="y,r", comments="")
    key, file = LabelKey.drawn(), tmp_path / "label.key"
    file.write_text(key.text())
    file.chmod(0o600)

    cached(job, MADE)
    models = run_local(job, files, tmp_path / "out", cache=MADE, label_key=file).models

    tables: dict[str, Table] = {}
    for party in job.holders:
        own = by_training_rows(read_table(files[party], job, party), job, party)
        tables[party] = with_private_labels(own, job, party, file if party == "bob" else None)
    features, debiased = plaintext.joined(job, tables)
    taken = ~job.held_out if job.evaluation else np.ones(ROWS, bool)
    weights = model_of(job.parameters).fit(job, features[taken], debiased[taken])
    clear = dict(zip(plaintext.columns(job), weights.tolist(), strict=True))
    for model in models.values():
        assert model.health is not None and model.health.epsilon == 1.5
        assert plaintext.distance(plaintext.received(model.as_json()), clear) < 2e-2
    if job.evaluation:
        assert models["alice"].evaluation is not None
        figures = models["alice"].evaluation.figures
        assert figures is not None and figures.noise is not None
        seen = labels ^ key.turned("y", by_place(ROWS), labels, job.label_privacy, "place")
        flip, out = job.label_privacy.flip, job.held_out
        expected = (seen[out].sum() - flip * out.sum()) / job.label_privacy.kept
        assert figures.positives == pytest.approx(expected)
        assert figures.noise.flip == flip
