"""What each party does at home, without the protocol: many more cases in the same time.

Tables are read and refused by the product, and models are written, judged and used by it. Weights
are those of the plaintext reference, which takes the same steps as the parties do on shares.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from party.agreement.job import HOLDERS, AlignedJob, Holder, Job, Sizes, parse_job, rounded_up
from party.agreement.parties import other_of
from party.alignment import Identifiers
from party.alignment.identifiers import load_identified
from party.models.joint_scores.model import OPENED_BITS, SUM_BITS, SUMS, JointScores
from party.models.linear_predictor import weights_of
from party.models.registry import model_of
from party.process.errors import InputError, JobError, KitError
from party.reporting.documents import LinearDocument
from party.reporting.result import doubts, lines_below, write_columns, write_model
from party.scoring.former import start_of
from party.scoring.joint import load_identified as load_to_score
from party.scoring.joint import write_scores
from party.table import Table, by_training_rows, read_table, with_private_labels
from tests.combinations import opened, plainly
from tests.combinations.draws import Case, FindingError
from tests.combinations.runs import (
    Compared,
    Outcome,
    in_clear,
    see_to_end,
    see_to_failure,
    see_to_scores,
    with_training,
    write_key,
)
from tests.harness.left_joins import joined
from tests.harness.tables import read_here

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
    clear, why = in_clear(case, files)
    said = ""
    try:
        with read_here():
            if case.scores:
                assert former is not None
                _scored(case, files, former, directory)
            else:
                said = _job_done(case, files, former, directory, clear)
    except KitError as error:
        if not error.hint or (not error.where and isinstance(error, InputError)):
            raise FindingError(f"it does not say where and what to do: {error}") from None
        code = 2 if isinstance(error, InputError) else 1
        for file in directory.glob("*/model.json"):  # all three would have asked on shares before
            file.unlink()
        see_to_end(case, code, str(error))
        words = see_to_failure(code, f"error: {error}", directory, case, clear)
        return Outcome(code, time.monotonic() - began, words)
    if clear is None or case.ends:
        raise FindingError(f"it was to be refused or to fail: {case.ends or why}")
    if case.scores:
        assert former is not None
        words = see_to_scores(case, clear, former, directory)
    else:
        words = Compared(case, clear, directory, said, noisy=False).all(directory)
    return Outcome(0, time.monotonic() - began, words)


def _job_done(
    case: Case,
    files: Mapping[str, Path],
    former: Path | None,
    directory: Path,
    clear: plainly.Clear | None,
) -> str:
    """Write what comes of a training; what its owners are told."""
    job = _job_of(case)
    key = write_key(case, directory) if case.label_key else None
    read = {p: _read(job, files[p], p, former, key) for p in job.holders}
    tables = {p: table for p, (table, _) in read.items()}
    if job.align is not None:
        job = _aligned(job, case, {p: each for p, (_, each) in read.items() if each})
    if clear is not None:
        _same_rows(job, _in_common(tables, case.pairs), clear)
    return _trained(job, tables, case.pairs, directory)


def _job_of(case: Case) -> Job:
    return parse_job(yaml.safe_dump(case.job, allow_unicode=True), "job.yaml")


def _scored(case: Case, files: Mapping[str, Path], former: Path, directory: Path) -> None:
    """Write the scores of a job that scores."""
    holder = case.job["model"]["holder"]
    trained = json.loads((former / holder / "model.json").read_text())
    job = _job_of(with_training(case, trained["job"]))
    model = model_of(job.parameters)
    assert isinstance(model, JointScores)
    parts = {p: former / p / ("model.json" if p == holder else "columns.json") for p in HOLDERS}
    read = {p: load_to_score(files[p], parts[p], job, p) for p in HOLDERS}
    rows, order = job.rows, None
    rings = {p: table.ring for p, (table, _) in read.items() if table.ring is not None}
    if job.align is not None:
        identified = {p: (table, whose) for p, (table, whose) in read.items() if whose is not None}
        rings, order = joined(job, identified)
        rows = rounded_up(len(order))
    sums, weights = np.split(rings[holder], [rows])
    t = (sums + rings[other_of(holder)] @ weights) >> SUM_BITS - OPENED_BITS
    for party in job.receivers:
        (directory / party).mkdir()
        write_scores(directory / party, job, {SUMS: t / 2.0**OPENED_BITS}, order)


def _read(
    job: Job, path: Path, party: Holder, former: Path | None, key: Path | None
) -> tuple[Table, Identifiers | None]:
    if job.align is None:
        table, identifiers = read_table(path, job, party), None
    else:
        table, identifiers = load_identified(path, job, party)
    table = by_training_rows(table, job, party)
    named = None if identifiers is None else identifiers.by_row
    table = with_private_labels(table, job, party, key if job.label_of(party) else None, named)
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
    counted = np.full(len(clear.y), job.labels_serve_both) | clear.held_out
    labels = np.where(counted, clear.counted, clear.y)
    if np.abs(tables[job.label_holder].matrix[:, -1] - labels).max() > 1e-5:
        raise FindingError("labels are read otherwise")


def _longer(job: Job) -> Job:
    """The job with so many passes that nearly all settle."""
    if job.descent is None:
        return job
    training = job.descent.model_copy(update={"passes": _MORE_PASSES})
    return job.model_copy(update={"training": training})


def _trained(
    job: Job, tables: Mapping[Holder, Table], pairs: NDArray[np.int64] | None, directory: Path
) -> str:
    """Write each receiver's model; what its owner is told."""
    together = _in_common(tables, pairs)
    x = _rows(job, together)[1]
    y, model = together[job.label_holder].matrix[:, -1:], model_of(job.parameters)
    seen = (y[:, 0] > 0.5).astype(float)
    if job.label_privacy is not None and job.labels_serve_both:
        y = np.where(y > 0.5, *job.label_privacy.debiased[::-1]).astype(np.float32)
    settled: bool | None = None
    rows = ~job.held_out
    starts = [one for p in job.holders if (one := tables[p].start) is not None]
    start = np.concatenate(starts) if starts else None
    weights = model.fit(job, x[rows], y[rows], start)
    if job.descent is not None and job.descent.tolerance:
        more = model.fit(_longer(job), x[rows], y[rows], start)
        settled = bool((more == weights).all())
    own, first = {}, 0
    for index, party in enumerate(job.holders):
        count = len(job.derived_of(party)) + (party == job.intercept_holder)
        if job.features_of(party):
            own[weights_of(index)] = weights[first : first + count, np.newaxis]
            first += count
    more_opened = opened.counts(_longer(job), model, x, y, seen, weights)
    more_opened |= opened.statistics(job, x[rows].astype(np.float64), y[rows, 0], weights)
    said = []
    for party in job.holders:
        (directory / party).mkdir()
        if job.features_of(party):
            write_columns(directory / party, job, party, tables[party])
    for party in job.receivers:
        given = own
        if job.result == "own":
            name = weights_of(job.holders.index(party))
            given = {name: own[name]}
        written = write_model(
            *(directory / party, job, party, given | more_opened, tables[party], "0" * 64, {}),
            settled=settled,
        )
        found = LinearDocument.read(written.parent)
        assert found is not None
        said += lines_below(found)
    return "\n".join(said)
