"""Rows that two parties score together: what each makes of its own, and the scores in the end.

The model's holder has ``model.json``. How the other's columns were standardised is no part of that:
it is in the other's own ``columns.json``, which its training left, and never leaves it. Each reads
its rows by the code that scores alone (``party.scoring.rows``, ``scorer``).
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.columns import BooleanColumn, CategoryColumn, ColumnSchema
from party.agreement.job import HOLDERS, Holder, Job, Party, job_from_json
from party.agreement.limits import LIMIT
from party.alignment import Identifiers, load_for, load_identifiers
from party.models.interface import Opened
from party.models.joint_scores.model import SUMS, JointScores
from party.models.registry import model_of
from party.process import files
from party.process.errors import InputError, printable
from party.reporting.documents import SCORES, ColumnsDocument, LinearDocument
from party.scoring.rows import batches
from party.scoring.scorer import Matrix, sources, standardised
from party.table import Table
from party.table.apart import answer, ask
from party.table.columns.deriving import Fitted
from party.table.expected import Expected

SCORE = "score"
"""The name of the column of scores."""

_MOST_ROWS = 5
_SAME_COLUMNS = "name the columns of each holder, and how to read them, as the training's job does"


@dataclass(frozen=True, eq=False)
class _Own:
    """A party's columns, as they were read for the training."""

    schemas: Mapping[str, ColumnSchema | None]
    fitted: tuple[Fitted, ...]
    mean: Matrix
    scale: Matrix


def load(path: Path, part: Path | None, job: Job, party: Party) -> Table:
    """As ``read``, in a child process, as tables are read.

    Raises:
        InputError: as ``read``.
        JobError: the child died, for want of memory perhaps.
    """
    question = {"part": None if part is None else str(part), "party": party}
    memory = os.memfd_create("rows", os.MFD_CLOEXEC)
    try:
        plain = job.model_dump(mode="json")
        found = ask("party.scoring.joint", "the rows", path, memory, job=plain, **question)
        ring = np.frombuffer(mmap.mmap(memory, 0), np.int64).reshape(found["shape"])
    finally:
        os.close(memory)
    absent = None if found["absent"] is None else np.array(found["absent"], np.int64)
    return _table(ring, found["digest"], absent)


def load_identified(
    path: Path, part: Path | None, job: Job, party: Party
) -> tuple[Table, Identifiers | None]:
    """As ``load``, with the rows' identifiers where tables are joined; the digest is of both.

    Raises:
        UnfitTableError: with the lines of rows whose identifier is missing or repeated.
    """
    if job.align is None:
        return load(path, part, job, party), None
    identifiers, table = load_identifiers(path, job, party), load(path, part, job, party)
    if rows_of(table, job, party) != identifiers.table_rows:
        raise _changed(path)
    digest = hashlib.sha256(table.digest.encode())
    for one in (identifiers.ends, identifiers.rows, identifiers.text):
        digest.update(one.data)
    return replace(table, digest=digest.hexdigest()), identifiers


def see_to_rows(path: Path, job: Job, party: Party) -> None:
    """That rows fit a job which scores them, as far as it can be seen without the model that is yet
    to be trained: all that ``load_identified`` looks at, but how far the values lie from those of
    the training. Nothing is kept of the table.

    Raises as ``load_identified``.
    """
    identified = None
    if job.align is not None:
        identified = load_identifiers(path, job, party).table_rows
    asked = {"job": job.model_dump(mode="json"), "party": party, "without_model": True}
    rows = ask("party.scoring.joint", "the rows", path, None, **asked)["rows"]
    if identified not in (None, rows):
        raise _changed(path)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    """The child's side."""
    path, job = Path(question["path"]), job_from_json(question["job"])
    if question.get("without_model"):
        return {"rows": count(path, job, question["party"])}
    part = None if question["part"] is None else Path(question["part"])
    table = read(path, part, job, question["party"])
    assert table.ring is not None
    os.ftruncate(question["memory"], table.ring.nbytes)
    np.frombuffer(mmap.mmap(question["memory"], 0), np.int64)[:] = table.ring.reshape(-1)
    absent = None if table.absent is None else table.absent.tolist()
    return {"shape": table.ring.shape, "digest": table.digest, "absent": absent}


def read(path: Path, part: Path | None, job: Job, party: Party) -> Table:
    """What a party's programs read: its rows, as the model reads them.

    Args:
        path: the rows, in any form of a table, or the directory of its parts.
        part: the party's part of the training: ``model.json`` at the model's holder,
            ``columns.json`` at the other.
        job: a job that scores.
        party: one with columns.

    Raises InputError for whatever does not fit: the part is of another training or of other
    columns, a cell cannot be read, a value lies too far from those of the training, or there are
    more or fewer rows than the job says.
    """
    wanted, model = job.scores, model_of(job.parameters)
    assert wanted is not None and isinstance(model, JointScores)
    holds = party == wanted.holder
    name = "model.json" if holds else ColumnsDocument.NAME
    if part is None:
        what = f"{party} gives no {name} of the training"
        raise InputError(what, "--model", f"name the {name} that the training left at {party}")
    if not holds:
        own = _columns_of(part, job, party)
        rows = np.concatenate(list(_rows(path, own, job, party)))
        lacks = None if party == job.left or job.left is None else _absent(own, path)
        return _of(
            model.others_table(rows), None if lacks is None else model.others_table(lacks)[0]
        )
    document = _model_of(part, job, wanted.holder)
    own = _own(part, job, wanted.holder, document)
    weights = {
        holder: np.array(
            [w for w, h in zip(document.weights, document.holders, strict=True) if h == holder]
        )
        for holder in HOLDERS
    }
    assert document.intercept is not None
    sums = np.concatenate([some @ weights[wanted.holder] for some in _rows(path, own, job, party)])
    if job.left == wanted.other:
        sums = np.append(sums, _absent(own, path) @ weights[wanted.holder])
    sums += document.intercept
    ring = model.holders_table(sums, weights[wanted.other], str(part))
    if job.left != wanted.other:
        return _of(ring)
    last = len(sums) - 1
    return _of(np.delete(ring, last, axis=0), ring[last])


def count(path: Path, job: Job, party: Party) -> int:
    """How many rows there are to score, all of which can be read. Memory does not grow with them.

    Raises InputError as ``read``, but for what follows from the party's part of the training."""
    schemas = {name: job.schema_of(name) for name in job.features_of(party)}
    packed = Expected.of(job, party) if path.is_dir() else None
    found = sum(len(batch.codes) for batch in batches(path, schemas, packed=packed))
    _see_to_count(found, job, path)
    return found


def digest_of_rows(path: Path, part: Path | None, job: Job, party: Party) -> str:
    """Of what a party takes part with: its table, or the rows that it scores by its part of the
    training. Raises as ``load`` or ``load_for`` does."""
    if job.scores is not None:
        return load_identified(path, part, job, party)[0].digest
    return load_for(path, job, party)[0].digest


def rows_of(table: Table, job: Job, party: Party) -> int:
    """How many rows a table has that was read here."""
    model = model_of(job.parameters)
    assert isinstance(model, JointScores) and table.ring is not None
    return len(model.joined_columns(job, party, table.ring))


def read_as_gaps(job: Job, party: Party) -> list[str]:
    """The features in which a gap stands for a row that the party lacks; in the others their means
    do."""
    schemas = ((name, job.schema_of(name)) for name in job.features_of(party))
    return [name for name, schema in schemas if schema is not None and schema.takes_gaps]


def write_scores(
    output: Path, job: Job, opened: Opened, order: NDArray[np.int64] | None = None
) -> Path:
    """Write ``scores.csv``: as ``deployer score`` does, a line for each row, in their order.

    ``order``: after a join, which row of the table each sum is of."""
    model = model_of(job.parameters)
    assert isinstance(model, JointScores)
    sums = opened[SUMS].reshape(-1)
    if order is not None:
        joined, sums = sums, np.empty(len(order))
        sums[order] = joined[: len(order)]
    lines = [SCORE, *(repr(float(one)) for one in model.scores(sums))]
    path = output / SCORES
    files.replace(path, "".join(f"{line}\n" for line in lines).encode())
    return path


def _of(ring: NDArray[np.int64], absent: NDArray[np.int64] | None = None) -> Table:
    own = np.ascontiguousarray(ring)
    digest = hashlib.sha256(repr(own.shape).encode() + own.tobytes())
    digest.update(b"" if absent is None else absent.tobytes())
    return _table(own, digest.hexdigest(), absent)


def _table(ring: NDArray[np.int64], digest: str, absent: NDArray[np.int64] | None) -> Table:
    return Table(np.zeros((0, 0), np.float32), None, None, digest, ring=ring, absent=absent)


def _absent(own: _Own, path: Path) -> Matrix:
    """What stands for a row that a holder lacks, standardised, [1, columns]: a row of gaps. A
    column that takes no gaps has the training's mean there."""
    codes = np.full((1, len(own.schemas)), np.nan)
    derived = standardised(codes, own.schemas, own.fitted, own.mean, own.scale)
    columns = [
        (name, schema)
        for name, schema in own.schemas.items()
        for _ in ((name,) if schema is None else schema.derived(name))
    ]
    takes = [schema is not None and schema.takes_gaps for _, schema in columns]
    for (name, schema), gaps, mean, scale in zip(columns, takes, own.mean, own.scale, strict=True):
        words = isinstance(schema, BooleanColumn | CategoryColumn)
        if words and not gaps and (mean, scale) == (0.0, 1.0):
            raise InputError(
                f"nothing was taken off {printable(name)!r} in the training, whose weights are "
                "private, so that there is no middle to stand in rows that this party lacks",
                str(path),
                f"train with missing for {printable(name)!r}",
            )
    found = np.where(takes, derived, 0.0)
    if not (np.abs(found) <= LIMIT).all():
        what = (
            "a gap, which stands in each column of a row that this party lacks, lies more than "
            f"{LIMIT:g} deviations from the training's mean"
        )
        hint = "train with another missing for columns that hardly ever have a gap"
        raise InputError(what, str(path), hint)
    return found


def _model_of(path: Path, job: Job, holder: Holder) -> LinearDocument:
    """The holder's document, which has all weights."""
    wanted, document = job.scores, LinearDocument.load(path)
    assert wanted is not None
    _check_training(document.job, job, path)
    if (document.model, document.unit) != (wanted.predicts, wanted.unit):
        what = f"the model is a {document.model} of unit {document.unit:g}"
        said = f"{wanted.predicts} of unit {wanted.unit:g}"
        raise InputError(f"{what}, and the job says {said}", str(path), "see model in the job")
    names = [(name, party) for party in HOLDERS for name in job.derived_of(party)]
    found = list(zip(document.features, document.holders, strict=True))
    if found != names:
        raise InputError("the model is of other columns than the job's", str(path), _SAME_COLUMNS)
    if document.intercept is None or not np.isfinite([*document.weights, document.intercept]).all():
        raise _damaged(path)
    return document


def _columns_of(path: Path, job: Job, party: Party) -> _Own:
    """How the columns of the party that has no model were read."""
    document = ColumnsDocument.load(path)
    _check_training(document.job, job, path)
    if document.party != party:
        what = f"the file is of {document.party}'s columns"
        raise InputError(what, str(path), f"name the {ColumnsDocument.NAME} of {party}'s training")
    if document.features != job.derived_of(party):
        raise _of_others(path)
    return _own(path, job, document.party, document)


def _own(path: Path, job: Job, party: Holder, document: LinearDocument | ColumnsDocument) -> _Own:
    """The party's columns in a document."""
    names = job.derived_of(party)
    of = dict(zip(document.features, zip(document.mean, document.scale, strict=True), strict=True))
    try:
        numbers = np.array([of[name] for name in names], np.float64)
        taken = {
            name: column for name, column in document.columns.items() if column["holder"] == party
        }
    except (KeyError, TypeError, ValueError):
        raise _of_others(path) from None
    schemas, fitted = sources(names, taken, path)
    if {**schemas} != {name: job.schema_of(name) for name in job.features_of(party)}:
        raise _of_others(path)
    mean, scale = numbers.T
    if not (np.isfinite(numbers).all() and (scale > 0).all()):
        raise _damaged(path)
    return _Own(schemas, fitted, mean, scale)


def _rows(path: Path, own: _Own, job: Job, party: Party) -> Iterator[Matrix]:
    """The rows of a table, standardised, some at a time; as many as the job says."""
    count, far = 0, 0
    packed = Expected.of(job, party) if path.is_dir() else None
    named: list[int] = []
    for batch in batches(path, own.schemas, packed=packed):
        with np.errstate(over="ignore", invalid="ignore"):
            some = standardised(batch.codes, own.schemas, own.fitted, own.mean, own.scale)
        wrong = np.flatnonzero(~(np.abs(some) <= LIMIT).all(axis=1))
        named += [int(row) + count + 1 for row in wrong[: _MOST_ROWS - len(named)]]
        far, count = far + len(wrong), count + len(some)
        yield some
    if far:
        rows = ", ".join(map(str, named)) + f" and {far - len(named)} more" * (far > len(named))
        what = (
            f"a value lies more than {LIMIT:g} deviations from the training's mean: in row {rows}"
        )
        raise InputError(f"{what} (from 1, behind the header)", str(path), "correct these rows")
    _see_to_count(count, job, path)


def _see_to_count(rows: int, job: Job, path: Path) -> None:
    if not rows:
        raise InputError("the table is empty", str(path), "give a table with rows to score")
    if not job.matches and rows != job.rows:
        what = f"the table has {rows} rows, and the job says {job.rows}"
        hint = "agree on the number; the rows are the same in the same order at both holders"
        raise InputError(what, str(path), hint)


def _check_training(digest: str, job: Job, path: Path) -> None:
    assert job.scores is not None
    if digest != job.scores.trained_by:
        what = f"the file is of the training {digest[:16]}, not {job.scores.trained_by[:16]}"
        hint = "give the file of that training, or agree on model.trained_by"
        raise InputError(what, str(path), hint)


def _changed(path: Path) -> InputError:
    return InputError("the table changed while it was read", str(path), "start again")


def _of_others(path: Path) -> InputError:
    return InputError("the file is of other columns than the job's", str(path), _SAME_COLUMNS)


def _damaged(path: Path) -> InputError:
    return InputError("the file is damaged", str(path), "give the one that the training left")


if __name__ == "__main__":
    answer("the rows", _answer)
