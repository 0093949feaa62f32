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

from party.agreement.job import HOLDERS, AlignedJob, Holder, Job, Sizes, parse_job
from party.alignment import Identifiers
from party.alignment.identifiers import load_identified
from party.models.linear_predictor import LinearPredictor, weights_of
from party.models.registry import model_of
from party.process.errors import InputError, JobError, KitError
from party.reporting.documents import LinearDocument
from party.reporting.result import doubts, lines_below, write_model
from party.scoring.former import start_of
from party.table import Table, by_training_rows, read_table
from tests.combinations import plainly
from tests.combinations.draws import Case
from tests.combinations.runs import (
    Compared,
    FindingError,
    Outcome,
    in_clear,
    see_to_end,
    see_to_failure,
)
from tests.harness.tables import ASKING, ask_here

_MORE_PASSES = 3_000


def run(case: Case, directory: Path) -> Outcome:
    """See to a case at home in a directory of its own; FindingError where something is wrong."""
    directory.mkdir(parents=True)
    began = time.monotonic()
    former: Path | None = None
    if case.before is not None:
        former = directory / "former"
        outcome = run(case.before, former)
        if outcome.code:
            return outcome
    files = case.write(directory)
    clear, why = in_clear(case)
    try:
        with ExitStack() as here:
            for asking in ASKING:
                here.enter_context(patch(asking, ask_here))
            job = parse_job(yaml.safe_dump(case.job, allow_unicode=True), "job.yaml")
            read = {p: _read(job, files[p], p, former) for p in job.holders}
            tables = {p: table for p, (table, _) in read.items()}
            if job.align is not None:
                job = _aligned(job, case, {p: each for p, (_, each) in read.items() if each})
            pairs = case.pairs
            if clear is not None:
                _same_rows(job, _in_common(tables, pairs), clear)
            said = _trained(job, tables, pairs, directory)
    except KitError as error:
        if not error.hint or (not error.where and isinstance(error, InputError)):
            raise FindingError(f"it does not say where and what to do: {error}") from None
        code = 2 if isinstance(error, InputError) else 1
        see_to_end(case, code, str(error))
        words = see_to_failure(code, f"error: {error}", directory, case, clear)
        return Outcome(code, time.monotonic() - began, words)
    if clear is None or case.ends:
        raise FindingError(f"it was to be refused or to fail: {case.ends or why}")
    if "statistics" in case.job and (job.informed or job.told_residuals):
        case = replace(case, job={k: v for k, v in case.job.items() if k != "statistics"})
    words = Compared(case, clear, directory, said, counted=False).all(directory)
    return Outcome(0, time.monotonic() - began, words)


def _read(
    job: Job, path: Path, party: Any, former: Path | None
) -> tuple[Table, Identifiers | None]:
    if job.align is None:
        table, identifiers = read_table(path, job, party), None
    else:
        table, identifiers = load_identified(path, job, party)
    table = by_training_rows(table, job, party)
    if former is not None and job.features_of(party):
        model = former / party / LinearDocument.NAME
        if not model.exists():
            raise InputError(f"{party} received no model", "--start", "train with result own")
        table = replace(table, start=start_of(model, job, party, table))
    doubts(job, party, table)
    return table, identifiers


def _aligned(job: Job, case: Case, identifiers: Mapping[Holder, Identifiers]) -> Job:
    """The job with the rows that have the same identifiers, which are those that they must be."""
    assert job.align is not None
    alice, bob = ({v: k for k, v in identifiers[p].by_row().items()} for p in HOLDERS)
    if job.compares_order:
        if alice != bob:
            raise JobError("other rows, or the same in another order", hint="put them in order")
        return job
    assert case.pairs is not None
    found = {(row, bob[of]) for of, row in alice.items() if of in bob}
    if found != set(map(tuple, case.pairs.tolist())):
        raise FindingError("other rows are matched")
    if len(found) < job.align.minimum:
        what = f"fewer than {job.align.minimum} rows are in common"
        raise JobError(what, hint="ask whether the keys mean the same")
    return AlignedJob.of(job, Sizes(alice=len(alice), bob=len(bob), common=len(found)))


def _in_common(
    tables: Mapping[Holder, Table], pairs: NDArray[np.int64] | None
) -> dict[Holder, Table]:
    """The rows that belong together in the same places."""
    if pairs is None:
        return dict(tables)
    places = dict(zip(HOLDERS, pairs.T, strict=True))
    return {p: replace(table, matrix=table.matrix[places[p]]) for p, table in tables.items()}


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


def _trained(
    job: Job, tables: Mapping[Holder, Table], pairs: NDArray[np.int64] | None, directory: Path
) -> str:
    """Write each receiver's model; what its owner is told."""
    together = _in_common(tables, pairs)
    x = _rows(job, together)[1]
    y, model = together[job.label_holder].matrix[:, -1:], model_of(job.parameters)
    settled: bool | None = None
    rows = ~job.held_out
    starts = [one for p in job.holders if (one := tables[p].start) is not None]
    start = np.concatenate(starts) if starts else None
    weights = model.fit(job, x[rows], y[rows], start)
    if job.descent is not None and job.descent.tolerance:
        longer = job.descent.model_copy(update={"passes": _MORE_PASSES})
        again = job.model_copy(update={"training": longer})
        more = model.fit(again, x[rows], y[rows], start)
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
