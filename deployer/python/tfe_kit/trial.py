"""A run of three parties on this machine for rows that are in memory: a trial, in one process's
hands what three organisations would hold apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from deployer.local.run import Result, run_local
from party.agreement.job import HOLDERS, Holder, Job, parse_job
from party.agreement.yaml12 import write_yaml
from party.process import files
from party.process.errors import InputError
from party.reporting.documents import LinearDocument, RunReport

_WHERE = "the estimator's parameters"

Columns = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Trial:
    """What came of it: the whole model, passes over the rows, and what the run took."""

    model: LinearDocument
    passes: int
    report: RunReport


def run(
    tables: Mapping[Holder, Columns],
    labels: NDArray[np.intp],
    label_at: Holder,
    training: Mapping[str, Any],
    protocol: str,
    evaluation: Mapping[str, Any],
    output: Path,
    cache: Path | None,
) -> Trial:
    """Train on columns by holder and on labels of 0 and 1, [rows].

    Args:
        evaluation: the job's; empty for none.

    Raises InputError or JobError as ``run_local`` does.
    """
    names = {holder: list(own) for holder, own in tables.items() if own}
    label = _unused("label", [name for own in names.values() for name in own])
    agreed: dict[str, Any] = {
        "name": "trial",
        "protocol": protocol,
        "rows": len(labels),
        "features": names,
        "label": {label_at: label},
        "training": dict(training),
        "result": "both" if len(names) == len(HOLDERS) else next(iter(names)),
    }
    if evaluation:
        agreed["evaluation"] = dict(evaluation)
    job = parse_job(write_yaml(agreed), _WHERE)
    with TemporaryDirectory(prefix="tfe-kit-tables-") as room:
        paths: dict[str, Path] = {}
        for holder in job.holders:
            columns: dict[str, Any] = dict(tables.get(holder, {}))
            if holder == label_at:
                columns[label] = labels.astype(np.int64)
            paths[holder] = Path(room, f"{holder}.parquet")
            parquet.write_table(pa.table(columns), paths[holder])
        done = train(job, paths, output, cache)
    passes = -(-done.report.steps // job.steps_per_epoch)
    return Trial(_whole(list(done.models.values())), passes, done.report)


def train(job: Job, tables: dict[str, Path], output: Path, cache: Path | None) -> Result:
    """The run itself."""
    return run_local(job, tables, output, cache=cache)


def write(model: LinearDocument, path: Path) -> Path:
    """Write a model for its owner alone; a directory gets a ``model.json``."""
    path = path / LinearDocument.NAME if path.is_dir() else path
    files.replace_json(path, model.as_json())
    return path


def check_logistic(kind: str, path: Path) -> None:
    """Raises InputError for another kind of model."""
    if kind != "logistic-regression":
        hint = "use deployer score, or deployer export --to skops"
        raise InputError(f"the model is a {kind}, and no logistic regression", str(path), hint)


def _whole(documents: list[LinearDocument]) -> LinearDocument:
    """The model with what each receiver alone knows of its own columns: here one has them all."""
    whole = reduce(LinearDocument.with_scales_of, documents)
    if whole.health is None:
        return whole
    health = whole.health.model_copy(update={"all_columns": True})
    return whole.model_copy(update={"health": health})


def _unused(name: str, names: list[str]) -> str:
    while name in names:
        name += "_"
    return name
