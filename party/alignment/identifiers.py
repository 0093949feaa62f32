"""A holder's identifiers: read from its table, in one form, and hashed with a key.

**The form.** An identifier is text, whatever it looks like: each cell in Unicode's compatibility
form (NFKC), with case folded and white space at both ends removed. Nothing else is changed: dates,
leading zeros and signs count as they stand. The cells of several columns are one identifier
together, each told from the next by its length.

Rows without an identifier, or with one that another row has, are refused by their lines and never
by their values.
"""

from __future__ import annotations

import fcntl
import hmac
import io
import json
import mmap
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256 as hash_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.process.errors import InputError
from party.table.apart import answer, ask
from party.table.cells import WrongLineError, cells_of
from party.table.expected import Expected
from party.table.findings import MOST_LINES, Finding, UnfitTableError
from party.table.loading import load
from party.table.text import Block, Text, without_mark

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.table.table import Table

TAG_BYTES = 16
"""Of the hash that stands for an identifier: of 10 million in two tables, two that differ have the
same one with probability 2**-80."""

_LONG = 64
"""Bytes of an identifier of which no copy is kept to know it again, but a hash."""

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, eq=False, repr=False)
class Identifiers:
    """The identifiers of a table's rows.

    Attributes:
        text: all of them, one behind the other, uint8.
        ends: where each ends.
        rows: whose they are: places in the table, from 0, rising.
        table_rows: rows of the table, those included that an earlier one stands for.
    """

    text: NDArray[np.uint8]
    ends: NDArray[np.int64]
    rows: NDArray[np.int64]
    table_rows: int

    def __len__(self) -> int:
        return len(self.ends)

    def __repr__(self) -> str:
        return f"<Identifiers of {len(self)} rows>"

    def by_row(self) -> dict[int, bytes]:
        """The identifiers by the place of their row in the table."""
        text, begin, found = self.text.tobytes(), 0, {}
        for row, end in zip(self.rows.tolist(), self.ends.tolist(), strict=True):
            found[row], begin = text[begin:end], end
        return found

    def tags(self, key: bytes, which: NDArray[np.intp]) -> bytes:
        """The tags of some of them, one behind the other: HMAC-SHA256, cut to ``TAG_BYTES``."""
        text = self.text.data
        ends = self.ends[which].tolist()
        begins = np.where(which > 0, self.ends[which - 1], 0).tolist()
        digest = hmac.digest
        return b"".join(
            [
                digest(key, text[begin:end], "sha256")[:TAG_BYTES]
                for begin, end in zip(begins, ends, strict=True)
            ]
        )


def canonical(cells: Sequence[str]) -> bytes | None:
    """The form of one identifier; None where a cell is empty."""
    found = []
    for cell in cells:
        if cell.isascii():
            text = cell.lower().strip()
        else:
            # What case folding makes of a composed letter may be decomposed again.
            text = unicodedata.normalize("NFKC", cell)
            text = unicodedata.normalize("NFKC", text.casefold()).strip()
        if not text:
            return None
        encoded = text.encode()
        found.append(len(encoded).to_bytes(4, "little") + encoded)
    return b"".join(found)


def read_identifiers(path: Path, job: Job, party: Party) -> Identifiers:
    """Reads a table's identifiers, in this process. See ``load_identifiers`` for one of its own.

    Raises:
        UnfitTableError: with lines, and no value, for rows whose identifier is missing or repeated.
        InputError: the table cannot be read.
    """
    assert job.align is not None
    expected = replace(Expected.of(job, party), columns=job.align.of(party), label=None)
    # Each row of the left is scored, and none is left out.
    first_counts = job.align.duplicates == "first" and party != job.left
    reading = _Reading(path, expected, first_counts, first_may_count=party != job.left)
    return reading.done()


class _Reading:
    def __init__(
        self, path: Path, expected: Expected, first_counts: bool, first_may_count: bool
    ) -> None:
        self._path, self._expected, self._first_counts = path, expected, first_counts
        self._first_may_count = first_may_count
        self._seen: set[bytes] = set()
        self._text = io.BytesIO()
        self._ends: list[int] = []
        self._rows: list[int] = []
        self._row = 0
        self._missing: list[int] = []
        self._repeated: list[int] = []

    def done(self) -> Identifiers:
        layout: _Layout | None = None
        for block in Text(self._path, self._expected):
            if layout is None:
                block, layout = self._begin(block)
            self._take(_cells(block, layout))
        if layout is None or not self._row:
            hint = "give a CSV file with a row for each individual"
            raise InputError("the table is empty", str(self._path), hint)
        if findings := self._findings(layout):
            raise UnfitTableError(findings, self._path, self._row)
        text = np.frombuffer(self._text.getbuffer(), np.uint8)
        ends, rows = np.array(self._ends, np.int64), np.array(self._rows, np.int64)
        return Identifiers(text, ends, rows, self._row)

    def _begin(self, block: Block) -> tuple[Block, _Layout]:
        text = without_mark(block).text
        end = text.find(b"\n") + 1 or len(text)
        try:
            names = [cell.strip(" \t") for cell in cells_of(text[:end])]
        except WrongLineError:
            names = []
        findings = []
        for name in self._expected.columns:
            count = names.count(name)
            if count == 1:
                continue
            what = f"the header does not have {name!r}, by which the tables are aligned"
            hint = "with align the first row has the names of all columns"
            if count:
                what, hint = f"the header has {name!r} more than once", "keep one of these columns"
            kind = "repeated-column" if count else "missing-column"
            findings.append(Finding(kind, what, hint, name, lines=(1,), count=1))  # type: ignore[arg-type]
        if findings:
            raise UnfitTableError(findings, self._path)
        positions = tuple(names.index(name) for name in self._expected.columns)
        return Block(2, text[end:]), _Layout(len(names), positions)

    def _take(self, rows: Iterable[Sequence[str] | None]) -> None:
        """Some rows; None for one that the table's reader will refuse."""
        seen, row, end = self._seen, self._row - 1, self._text.tell()
        for row, cells in enumerate(rows, self._row):
            identifier = None if cells is None else canonical(cells)
            if identifier is None:
                if cells is not None:
                    self._missing.append(row)
                continue
            before = len(seen)
            seen.add(hash_of(identifier).digest() if len(identifier) > _LONG else identifier)
            if len(seen) > before:
                end += self._text.write(identifier)
                self._ends.append(end)
                self._rows.append(row)
            elif not self._first_counts:
                self._repeated.append(row)
        self._row = row + 1

    def _findings(self, layout: _Layout) -> list[Finding]:
        column, position = self._expected.columns[0], layout.positions[0] + 1
        found = []
        if self._missing:
            what = "the identifier is missing"
            hint = "give each row an identifier, or leave the row out"
            found.append(
                _finding("missing-identifier", what, hint, column, position, self._missing)
            )
        if self._repeated:
            what = "the identifier stands in an earlier row, too"
            hint = "keep one row of each" + ", or say align.duplicates: first" * (
                self._first_may_count
            )
            found.append(
                _finding("repeated-identifier", what, hint, column, position, self._repeated)
            )
        return found


def _finding(
    kind: Any, what: str, hint: str, column: str, position: int, rows: list[int]
) -> Finding:
    lines = tuple(row + 2 for row in rows[:MOST_LINES])
    return Finding(kind, what, hint, column, position, len(rows), lines)


@dataclass(frozen=True)
class _Layout:
    """Cells of each line, and the positions of those that make the identifier."""

    width: int
    positions: tuple[int, ...]


def _cells(block: Block, layout: _Layout) -> Iterator[Sequence[str] | None]:
    """The identifier's cells of each line; None for a line that the table's reader will refuse."""
    if not block.text:
        return
    if (quick := _quickly(block.text, layout)) is not None:
        yield from zip(*quick, strict=True)
        return
    for line in block.text.removesuffix(b"\n").split(b"\n"):
        try:
            cells = cells_of(line)
        except WrongLineError:
            cells = []
        known = len(cells) == layout.width
        yield [cells[position] for position in layout.positions] if known else None


def _quickly(text: bytes, layout: _Layout) -> list[list[str]] | None:
    """The same by columns, where the lines are as plain as most are; None for others."""
    import pyarrow as pa
    from pyarrow import csv

    if b'"' in text or b"\0" in text or text.count(b"\r") != text.count(b"\r\n"):
        return None
    names = [str(column) for column in range(layout.width)]
    wanted = [names[position] for position in layout.positions]
    try:
        text.decode()
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            csv.ParseOptions(ignore_empty_lines=False, quote_char=False),
            csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                null_values=[],
                strings_can_be_null=False,
            ),
            memory_pool=pa.system_memory_pool(),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    return [column.to_pylist() for column in table.columns]


# -- in a process of its own, whose memory goes when they are read


def load_identifiers(path: Path, job: Job, party: Party) -> Identifiers:
    """As ``read_identifiers``, in a child process.

    Raises:
        JobError: the child died, for want of memory perhaps.
    """
    memory = os.memfd_create("identifiers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        asked = {"job": job.model_dump(mode="json"), "party": party}
        counts = ask("party.alignment", "the identifiers", path, memory, **asked)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
        mapped = mmap.mmap(memory, 0, prot=mmap.PROT_READ)
    finally:
        os.close(memory)
    count = counts["count"]
    numbers = np.frombuffer(mapped, np.int64, 2 * count)
    text = np.frombuffer(mapped, np.uint8, offset=numbers.nbytes)
    return Identifiers(text, numbers[:count], numbers[count:], counts["table_rows"])


def load_for(path: Path, job: Job, party: Party) -> tuple[Table, Identifiers | None]:
    """A table as the job needs it, with identifiers where tables are aligned. Raises as ``load``
    and ``load_identified`` do."""
    if job.align is None:
        return load(path, job, party), None
    return load_identified(path, job, party)


def load_identified(path: Path, job: Job, party: Party) -> tuple[Table, Identifiers]:
    """A table that is to be aligned, of as many rows as it has, and its identifiers.

    Raises:
        UnfitTableError: with all that does not fit.
        InputError: the table cannot be read, or changes meanwhile.
    """
    findings: tuple[Finding, ...] = ()
    try:
        identifiers = load_identifiers(path, job, party)
        rows = identifiers.table_rows
    except UnfitTableError as error:
        findings, rows = error.findings, error.rows
        if not rows:
            raise
    try:
        own = job.model_copy(update={"rows": rows}) if job.matches else job
        table = load(path, own, party)
    except UnfitTableError as error:
        raise UnfitTableError([*findings, *error.findings], path) from None
    if findings:
        raise UnfitTableError(findings, path)
    return table, identifiers


def child() -> None:
    """The child's side."""
    answer("the identifiers", _answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    from party.agreement.job import Job

    job = Job.model_validate_json(json.dumps(question["job"]))
    found = read_identifiers(Path(question["path"]), job, question["party"])
    with os.fdopen(question["memory"], "wb", closefd=False) as memory:
        memory.write(found.ends.data)
        memory.write(found.rows.data)
        memory.write(found.text.data)
    return {"count": len(found), "table_rows": found.table_rows}
