"""What each party does at home, without the protocol: many more cases in the same time.

Tables are read and refused by the product, and models are written, judged and used by it. Weights
are those of the plaintext reference, which takes the same steps as the parties do on shares.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import yaml
from numpy.typing import NDArray

from party.agreement.job import Holder, Job, parse_job
from party.models.linear_predictor import LinearPredictor, weights_of
from party.models.registry import model_of
from party.process.errors import InputError, KitError
from party.reporting.documents import LinearDocument
from party.reporting.result import doubts, lines_below, write_model
from party.table import Table, by_training_rows, read_table
from tests.combinations import plainly
from tests.combinations.draws import Case
from tests.combinations.runs import Compared, FindingError, Outcome, in_clear, see_to_failure
from tests.harness.tables import ASKING, ask_here

_MORE_PASSES = 3_000


def run(case: Case, directory: Path) -> Outcome:
    """See to a case at home in a directory of its own; FindingError where something is wrong."""
    directory.mkdir(parents=True)
    began = time.monotonic()
    files = case.write(directory)
    clear, why = in_clear(case)
    try:
        with ExitStack() as here:
            for asking in ASKING:
                here.enter_context(patch(asking, ask_here))
            job = parse_job(yaml.safe_dump(case.job, allow_unicode=True), "job.yaml")
            tables = {p: _read(job, files[p], p) for p in job.holders}
            if clear is not None:
                _same_rows(job, tables, clear)
            said = _trained(job, tables, directory)
    except KitError as error:
        if not error.hint or (not error.where and isinstance(error, InputError)):
            raise FindingError(f"it does not say where and what to do: {error}") from None
        code = 2 if isinstance(error, InputError) else 1
        words = see_to_failure(code, f"error: {error}", directory, case, clear)
        return Outcome(code, time.monotonic() - began, words)
    if clear is None:
        raise FindingError(f"it was to be refused: {why}")
    if "statistics" in case.job and (job.informed or job.told_residuals):
        case = replace(case, job={k: v for k, v in case.job.items() if k != "statistics"})
    words = Compared(case, clear, directory, said, counted=False).all(directory)
    return Outcome(0, time.monotonic() - began, words)


def _read(job: Job, path: Path, party: Any) -> Table:
    table = by_training_rows(read_table(path, job, party), job, party)
    doubts(job, party, table)
    return table


def _rows(job: Job, tables: Mapping[Holder, Table]) -> tuple[list[str], NDArray[np.float32]]:
    """The columns of the model with the ones, in the parties' order."""
    names: list[str] = []
    parts = []
    for party in job.holders:
        if job.features_of(party):
            own = [*job.derived_of(party), *["intercept"] * (party == job.intercept_holder)]
            parts.append(tables[party].matrix[:, : len(own)])
            names += own
    return names, np.hstack(parts)


def _same_rows(job: Job, tables: Mapping[Holder, Table], clear: plainly.Clear) -> None:
    """That columns are read as the docs say."""
    names, x = _rows(job, tables)
    for i, name in enumerate((*clear.names, "intercept")):
        off = np.abs(x[:, names.index(name)] - clear.x[:, i]) / (1 + np.abs(clear.x[:, i]))
        if off.max() > 1e-4:
            raise FindingError(f"{name} is read otherwise: off by {off.max():.3g}")
    if np.abs(tables[job.label_holder].matrix[:, -1] - clear.y).max() > 1e-5:
        raise FindingError("labels are read otherwise")


def _trained(job: Job, tables: Mapping[Holder, Table], directory: Path) -> str:
    """Write each receiver's model; what its owner is told."""
    x = _rows(job, tables)[1]
    y, model = tables[job.label_holder].matrix[:, -1:], model_of(job.parameters)
    settled: bool | None = None
    rows = ~job.held_out
    weights = model.fit(job, x[rows], y[rows])
    if job.descent is not None and job.descent.tolerance:
        longer = job.descent.model_copy(update={"passes": _MORE_PASSES})
        more = model.fit(job.model_copy(update={"training": longer}), x[rows], y[rows])
        settled = bool((more == weights).all())
    own, first = {}, 0
    for index, party in enumerate(job.holders):
        count = len(job.derived_of(party)) + (party == job.intercept_holder)
        if job.features_of(party):
            own[weights_of(index)] = weights[first : first + count, np.newaxis]
            first += count
    if "statistics" in job.model_fields_set and (job.informed or job.told_residuals):
        job = job.model_copy(update={"statistics": None})
    said = []
    for party in job.receivers:
        (directory / party).mkdir()
        opened = own
        if job.result == "own":
            name = weights_of(job.holders.index(party))
            opened = {name: own[name]}
        with patch.object(LinearPredictor, "evaluated", return_value=None):
            written = write_model(
                *(directory / party, job, party, opened, tables[party], "0" * 64, {}),
                settled=settled,
            )
        found = LinearDocument.read(written.parent)
        assert found is not None
        said += lines_below(found)
    return "\n".join(said)
