"""A training in clear in the place of three parties, for what is said of the estimator alone."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from party.agreement.job import Job
from party.models.health import Health
from party.reporting.documents import LinearDocument
from party.table import read_table
from tests.harness import plaintext
from tests.harness.optimum import logistic_optimum
from tfe_kit import trial


def in_clear(job: Job, paths: dict[str, Path], output: Path, cache: Path | None) -> Any:
    """What a run leaves, from the tables that the parties would read, and checked as they would
    be; each receiver knows the mean and scale of its own columns."""
    tables: Any = {party: read_table(paths[party], job, party) for party in job.holders}
    x, y = plaintext.joined(job, tables)
    names = plaintext.columns(job)
    ones = names.index("intercept")
    assert job.descent is not None
    best = logistic_optimum(x, y[:, 0], job.descent.C, ones, job.descent.class_weight).tolist()
    intercept = best.pop(ones)
    owners = [holder for holder in job.holders for _ in job.features_of(holder)]
    health = Health(rows=len(x), rows_never_used=0, steps=16, settled=True, largest_weight=1.0)
    models = {}
    for receiver in job.receivers:
        scales: dict[str, list[Any]] = {"mean": [], "scale": []}
        for holder in job.holders:
            for i in range(len(job.features_of(holder))):
                for key, known in scales.items():
                    own = getattr(tables[holder], key)
                    known.append(float(own[i]) if holder == receiver else None)
        models[receiver] = LinearDocument.model_validate(
            {
                "model": "logistic-regression",
                "job": job.digest,
                "plan": "0" * 64,
                "protocol": job.protocol,
                "versions": {},
                "health": health,
                "features": [name for name in names if name != "intercept"],
                "holders": owners,
                "weights": best,
                "intercept": intercept,
            }
            | scales
        )
    return SimpleNamespace(models=models, report=SimpleNamespace(steps=16))


@pytest.fixture
def clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training in clear; with TFE_KIT_CHECKS=parties all of it is done by three parties."""
    if os.environ.get("TFE_KIT_CHECKS") != "parties":
        monkeypatch.setattr(trial, "train", in_clear)
