"""What a job trains, trained in clear by who sees all tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import Job
from party.models.registry import model_of
from party.table import Table, read_table

Array = NDArray[np.float64]


def read_all(job: Job, directory: Path) -> dict[str, Table]:
    """Each holder's table, from the CSV file of its name."""
    return {party: read_table(directory / f"{party}.csv", job, party) for party in job.holders}


def joined(job: Job, tables: dict[str, Table]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """All features with the column of ones, and the labels."""
    parts = []
    for party in job.holders:
        columns = len(job.features_of(party)) + (party == job.intercept_holder)
        if job.features_of(party):
            parts.append(tables[party].matrix[:, :columns])
    return np.hstack(parts), tables[job.label_holder].matrix[:, -1:]


def fit(job: Job, tables: dict[str, Table]) -> dict[str, float]:
    """The plaintext reference's weights by the column's name; the intercept's is its own."""
    weights = model_of(job.parameters).fit(job, *joined(job, tables))
    return dict(zip(columns(job), weights.tolist(), strict=True))


def columns(job: Job) -> list[str]:
    """The names of the columns of ``joined``, in their order."""
    return [
        name
        for party in job.holders
        for name in (*job.features_of(party), *(["intercept"] * (party == job.intercept_holder)))
        if job.features_of(party)
    ]


def received(*models: dict[str, Any]) -> dict[str, float]:
    """The weights in some result documents, by the column's name."""
    found: dict[str, float] = {}
    for model in models:
        found |= dict(zip(model["features"], model["weights"], strict=True))
        if model["intercept"] is not None:
            found["intercept"] = model["intercept"]
    return found


def distance(secure: dict[str, float], clear: dict[str, float]) -> float:
    """How far apart two sets of weights are, relative to the second one's length."""
    assert secure.keys() == clear.keys()
    off = np.array([secure[name] - clear[name] for name in clear])
    return float(np.linalg.norm(off) / np.linalg.norm(list(clear.values())))
