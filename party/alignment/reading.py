"""From the text of a table to its identifiers, block by block, in the process that reads them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from party.agreement.job import Align, DateOfKey, Holder, Party
from party.alignment.forms import LIKE_A_DATE, Form, NotADateError, as_date, as_text
from party.alignment.identifiers import LENGTH_BYTES, Identifiers
from party.process.errors import InputError
from party.table.cells import WrongLineError, cells_of
from party.table.expected import Expected
from party.table.findings import MOST_LINES, Finding, Kind, UnfitTableError
from party.table.numbers import UnreadableLinesError, texts
from party.table.text import Block, Text, without_mark

_WHITE = " \t\n\x0b\x0c\r\x1c\x1d\x1e\x1f"
"""What ASCII has of what ``str.strip`` takes off."""


def read(
    path: Path, expected: Expected, align: Align, holder: Party, left: Holder | None
) -> Identifiers:
    """Reads a table's identifiers.

    Args:
        path: the table.
        expected: what its text must fit: its columns are those of the key.
        align: how they are read.
        holder: whose table it is.
        left: whose rows are all kept, each of which counts.

    Raises:
        UnfitTableError: with lines, and no value, for rows whose identifier is missing, repeated or
            no date where it should be one.
        InputError: the table cannot be read.
    """
    reading = _Reading(path, expected, align.dates_of(holder))
    reading.through()
    repeated = _repeated(reading.found)
    first_may_count = holder != left
    if findings := reading.findings(
        () if align.duplicates == "first" and first_may_count else repeated, first_may_count
    ):
        raise UnfitTableError(findings, path, reading.row)
    found = _identifiers(reading.found, repeated, reading.row)
    return replace(found, like_dates=reading.like_dates)


@dataclass
class _Found:
    """Identifiers as they come: of some rows each, and all the text behind each other."""

    text: io.BytesIO = field(default_factory=io.BytesIO)
    ends: list[NDArray[np.int64]] = field(default_factory=list)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    hashes: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, identifiers: Any, rows: NDArray[np.int64]) -> None:
        """Some identifiers, an array of binary, and their rows."""
        begin, lengths = self.text.tell(), _lengths(identifiers)
        self.ends.append(begin + np.cumsum(lengths, dtype=np.int64))
        self.rows.append(rows)
        each = identifiers.to_pylist()
        self.hashes.append(np.fromiter(map(hash, each), np.int64, len(each)))
        self.text.write(b"".join(each))

    @property
    def view(self) -> NDArray[np.uint8]:
        """All the text."""
        return np.frombuffer(self.text.getbuffer(), np.uint8)


class _Reading:
    def __init__(self, path: Path, expected: Expected, dates: tuple[DateOfKey | None, ...]) -> None:
        self._path, self._expected = path, expected
        self._forms = [as_text if one is None else as_date(one.format) for one in dates]
        self._dates = dates
        self.row = 0
        self.found = _Found()
        self._positions: tuple[int, ...] = ()
        self._missing: list[int] = []
        self._not_dates: list[list[int]] = [[] for _ in dates]
        self._like_dates = [one is None for one in dates]

    def through(self) -> None:
        """Reads the table."""
        width = 0
        for block in Text(self._path, self._expected):
            if not width:
                block, width = self._begin(block)
            if block.text:
                self._take(block.text, width)
        if not self.row:
            hint = "give a CSV file with a row for each individual"
            raise InputError("the table is empty", str(self._path), hint)

    @property
    def like_dates(self) -> tuple[str, ...]:
        """The columns of texts in which only dates stand."""
        pairs = zip(self._expected.columns, self._like_dates, strict=True)
        return tuple(name for name, like in pairs if like)

    def _begin(self, block: Block) -> tuple[Block, int]:
        """The rows behind the header, and how many cells it has."""
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
            kind: Kind = "repeated-column" if count else "missing-column"
            findings.append(Finding(kind, what, hint, name, lines=(1,), count=1))
        if findings:
            raise UnfitTableError(findings, self._path)
        self._positions = tuple(names.index(name) for name in self._expected.columns)
        return Block(2, text[end:]), len(names)

    def _take(self, text: bytes, width: int) -> None:
        rows, columns = _cells(text, width, self._positions)
        count = len(columns[0]) if rows is None else rows[1]
        at = np.arange(count) if rows is None else rows[0]
        forms, there = [], np.ones(len(at), np.bool_)
        for i, (column, form) in enumerate(zip(columns, self._forms, strict=True)):
            if self._like_dates[i]:
                self._like_dates[i] = bool(_all_match(column, LIKE_A_DATE))
            column, wrong = _in_form(column, form)
            self._not_dates[i] += (self.row + at[wrong]).tolist()
            there[wrong] = False
            empty = np.asarray(pc.equal(column, ""))
            empty[wrong] = False
            self._missing += (self.row + at[there & empty]).tolist()
            there &= ~empty
            forms.append(column)
        if not there.all():
            kept = pa.array(there)
            forms = [column.filter(kept) for column in forms]
        self.found.add(_together(forms), self.row + at[there])
        self.row += count

    def findings(self, repeated: Sequence[int] | NDArray[np.int64], first: bool) -> list[Finding]:
        """What does not fit.

        Args:
            repeated: the identifiers that an earlier one is equal to.
            first: whether the job may let the first one count.
        """
        found = []
        for name, position, wrong, date in zip(
            self._expected.columns, self._positions, self._not_dates, self._dates, strict=True
        ):
            if wrong:
                said = {None: "2026-01-31 or 31.1.2026", "dmy": "31/1/2026", "mdy": "1/31/2026"}
                hint = f"write days as {said[None if date is None else date.format]}"
                if date is not None and date.format is None:
                    hint += ", or agree on the column's format in align.key, dmy or mdy"
                hint += "; and times with a zone as days"
                what = "the cell is not a date"
                found.append(_finding("not-a-date", what, hint, name, position, wrong))
        name, position = self._expected.columns[0], self._positions[0]
        if self._missing:
            what = "the identifier is missing"
            hint = "give each row an identifier, or leave the row out"
            rows = sorted(self._missing)
            found.append(_finding("missing-identifier", what, hint, name, position, rows))
        if len(repeated):
            what = "the identifier stands in an earlier row, too"
            hint = "keep one row of each" + ", or say align.duplicates: first" * first
            rows = np.concatenate(self.found.rows)[repeated].tolist()
            found.append(_finding("repeated-identifier", what, hint, name, position, rows))
        return found


def _finding(
    kind: Kind, what: str, hint: str, column: str, position: int, rows: list[int]
) -> Finding:
    lines = tuple(row + 2 for row in rows[:MOST_LINES])
    return Finding(kind, what, hint, column, position + 1, len(rows), lines)


def _cells(
    text: bytes, width: int, positions: Sequence[int]
) -> tuple[tuple[NDArray[np.int64], int] | None, list[Any]]:
    """The identifier's cells in some lines, by columns; and where the table's reader will refuse
    some of the lines, which ones these are of, and how many there are."""
    try:
        return None, [column.combine_chunks() for column in texts(text, width, positions)]
    except UnreadableLinesError:
        pass
    known, cells = [], []
    lines = text.removesuffix(b"\n").split(b"\n")
    for i, line in enumerate(lines):
        try:
            found = cells_of(line)
        except WrongLineError:
            continue
        if len(found) == width:
            known.append(i)
            cells.append([found[position] for position in positions])
    columns = zip(*cells, strict=True) if cells else ((),) * len(positions)
    at = np.array(known, np.int64)
    return (at, len(lines)), [pa.array(column, pa.string()) for column in columns]


def _in_form(column: Any, form: Form) -> tuple[Any, NDArray[np.intp]]:
    """The forms of some cells, and which cells have none."""
    if form is as_text:
        return _texts_in_form(column), np.empty(0, np.intp)
    encoded = column.dictionary_encode()
    found: list[str | None] = []
    for cell in encoded.dictionary.to_pylist():
        try:
            found.append(form(cell))
        except NotADateError:
            found.append(None)
    forms = pa.array(found, pa.string()).take(encoded.indices)
    return forms.fill_null(""), np.flatnonzero(np.asarray(forms.is_null()))


def _all_match(column: Any, pattern: str) -> Any:
    return pc.all(pc.match_substring_regex(column, pattern)).as_py() is not False


def _texts_in_form(column: Any) -> Any:
    plain = pc.string_is_ascii(column)
    found = pc.ascii_trim(pc.ascii_lower(column), characters=_WHITE)
    if pc.all(plain).as_py() is False:
        other = pc.invert(plain)
        forms = pa.array(map(as_text, column.filter(other).to_pylist()), pa.string())
        found = pc.replace_with_mask(found, other, forms)
    return found


def _together(columns: Sequence[Any]) -> Any:
    """Cells that are one identifier, each behind its length."""
    parts: list[Any] = []
    for column in columns:
        cells = column.cast(pa.binary())
        lengths = _lengths(cells).astype("<u4")
        at = np.arange(len(cells) + 1, dtype=np.int32) * LENGTH_BYTES
        buffers = [None, pa.py_buffer(at), pa.py_buffer(lengths)]
        parts += [pa.Array.from_buffers(pa.binary(), len(cells), buffers), cells]
    return pc.binary_join_element_wise(*parts, b"")


def _lengths(cells: Any) -> NDArray[np.int32]:
    return np.asarray(pc.binary_length(cells), np.int32)


def _repeated(found: _Found) -> NDArray[np.int64]:
    """Which identifiers an earlier one is equal to, rising.

    Those of one hash are looked at, each beside the others: what differs has the same one by chance
    alone."""
    hashes = _joined(found.hashes)
    order = np.argsort(hashes, kind="stable")
    again = np.zeros(len(order) + 1, np.bool_)
    np.equal(hashes[order[1:]], hashes[order[:-1]], out=again[1:-1])
    if not again.any():
        return np.empty(0, np.int64)
    ends, text = np.concatenate(found.ends), found.text.getbuffer()
    repeated: list[int] = []
    seen: set[bytes] = set()
    for at in np.flatnonzero(again[1:] | again[:-1]):
        if not again[at]:
            seen.clear()
        place = int(order[at])
        identifier = bytes(text[ends[place - 1] if place else 0 : ends[place]])
        if identifier in seen:
            repeated.append(place)
        seen.add(identifier)
    return np.sort(np.array(repeated, np.int64))


def _identifiers(found: _Found, repeated: NDArray[np.int64], table_rows: int) -> Identifiers:
    """All but the repeated ones."""
    ends, rows, text = _joined(found.ends), _joined(found.rows), found.view
    if len(repeated):
        kept = np.ones(len(ends), np.bool_)
        kept[repeated] = False
        lengths = np.diff(ends, prepend=0)
        text = text[np.repeat(kept, lengths)]
        ends, rows = np.cumsum(lengths[kept]), rows[kept]
    return Identifiers(text, ends, rows, table_rows)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """They behind each other; what they were is let go."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole
