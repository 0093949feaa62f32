"""What the job takes of a table: its own columns in its own order, and nothing else.

This is the one place where a table becomes the text that the reader reads, that the digest is of
and that is cut into parts. Where a header has further columns, or another order, each line is
written again with the job's cells alone, each as it stood; the others stay where they are. Any
other table is taken as it is, byte for byte.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from party.process.errors import InputError
from party.table.cells import NUMBER, WrongLineError, cells_of
from party.table.expected import Expected
from party.table.header import Layout, layout_of
from party.table.numbers import UnreadableLinesError, pick
from party.table.text import Block, Text, without_mark

ROWS = "give a CSV file with a row for each individual"


@dataclass(frozen=True)
class Rows:
    """Some lines of a table, and where the job's cells stand in them."""

    text: bytes
    layout: Layout
    expected: Expected

    @property
    def width(self) -> int:
        """Cells of a line."""
        return self.layout.width

    @property
    def positions(self) -> tuple[int, ...]:
        """Of the job's columns, from 0."""
        return self.layout.whole

    def alone(self) -> bytes:
        """The lines with just the job's cells, each as it stood."""
        return _picked(self.text, self.layout, (), self.expected)


class Taken:
    """One pass over what the job takes of a table. Memory does not grow with the table.

    Args:
        path: the table.
        expected: what it must fit.
        again: whether it was read before, so that what was taken need not be written once more.

    Raises, while it is iterated, InputError as ``Text`` does, and for a table without rows; and
    UnreadableLinesError for what the job cannot take.
    """

    def __init__(self, path: Path, expected: Expected, again: bool = False) -> None:
        self._path = path
        self._expected = expected
        self._again = again
        self._text = Text(path, expected)
        self._sha256 = hashlib.sha256()
        self._layout: Layout | None = None

    @property
    def layout(self) -> Layout:
        """Where the columns were found; known from the first block on."""
        assert self._layout is not None
        return self._layout

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of what was taken, header and all, as far as it was read."""
        assert not self._again
        return self._text.digest if self.layout.plain else self._sha256.hexdigest()

    @property
    def digest_of_text(self) -> str:
        """SHA-256, in hex, of the table's own text, as far as it was read."""
        return self._text.digest

    def rows(self) -> Iterator[Rows]:
        """The rows, some lines of the table at a time."""
        return (rows for _, rows in self._blocks() if rows.text)

    def pieces(self) -> Iterator[bytes]:
        """All of it: the text that the digest is of."""
        return (piece for piece, _ in self._blocks())

    def _blocks(self) -> Iterator[tuple[bytes, Rows]]:
        """What is taken, the header before the first block; and the lines that it is of."""
        for raw, layout in laid_out(self._path, self._expected, self._text):
            first, self._layout = self._layout is None, layout
            if layout.findings:
                raise UnreadableLinesError
            rows = Rows(rows_of(raw, layout).text, layout, self._expected)
            piece = raw.text
            if not layout.plain and not self._again:
                names = self._expected.columns
                piece = _line((*self._expected.key, *names)) if first else b""
                piece += _picked(rows.text, layout, layout.key, self._expected)
                self._sha256.update(piece)
            yield piece, rows


def laid_out(path: Path, expected: Expected, text: Text) -> Iterator[tuple[Block, Layout]]:
    """The blocks of a text as they are, and the layout that the first one gives to all.

    Raises InputError for a text without any row.
    """
    layout = None
    for block in text:
        if layout is None:
            start = without_mark(block)
            if not start.text.strip():
                break
            layout = layout_of(start, expected)
        yield block, layout
    if layout is None:
        raise InputError("the table is empty", str(path), ROWS)


def rows_of(block: Block, layout: Layout) -> Block:
    """A block without the byte order mark and the header, if it is the first."""
    if block.line > 1:
        return block
    text = without_mark(block).text
    return Block(1 + bool(layout.header), text[len(layout.header) :])


def _picked(text: bytes, layout: Layout, key: tuple[int, ...], expected: Expected) -> bytes:
    """The job's cells, those of the key first."""
    if not text:
        return b""
    try:
        return pick(text, layout.width, (*key, *layout.whole))
    except UnreadableLinesError:
        # Quotes inside of other columns' texts: right, and beyond the quick look.
        lines = text.removesuffix(b"\n").split(b"\n")
        return b"".join(_exactly(line, layout, key, expected) for line in lines)


def _exactly(line: bytes, layout: Layout, key: tuple[int, ...], expected: Expected) -> bytes:
    try:
        cells = cells_of(line)
    except WrongLineError:
        raise UnreadableLinesError from None
    if len(cells) != layout.width:
        raise UnreadableLinesError
    own = [cells[position] for position in layout.whole]
    # Where columns are more than numbers, what stands in the cells is looked at later.
    if not expected.schemas and not all(NUMBER.fullmatch(cell) for cell in own):
        raise UnreadableLinesError
    return _line([*(cells[position] for position in key), *own])


def _line(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
