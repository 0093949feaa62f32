"""A table as it stands there, in any form that ``party.table`` reads, without a job: cells by name.

What describes a table reads it so, and what scores one with a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from party.process.errors import InputError
from party.table.cells import WrongLineError, cells_of, is_number
from party.table.expected import Expected
from party.table.numbers import UnreadableLinesError, texts, trimmed
from party.table.text import Block, Text, without_mark

_NAMES = "put a row with the columns' names before it, each once"


@dataclass(frozen=True)
class RawBlock:
    """Some rows of a table.

    Attributes:
        row: the number of the first one, from 1.
        names: of all columns, as in the table's first row.
        cells: by columns, arrays of texts in Arrow's memory without spaces around them.
    """

    row: int
    names: tuple[str, ...]
    cells: tuple[Any, ...]


def raw_blocks(
    path: Path, bare: Sequence[str] = (), packed: Expected | None = None
) -> Iterator[RawBlock]:
    """The rows of a table with names in its first row, at least one, in bounded memory.

    Args:
        path: the table.
        bare: the names of a table whose first row is one of as many numbers; none: it is refused.
        packed: whose table it must be, where it is a directory of parts.

    Raises, while it is iterated, InputError for what cannot be read, has no such names, or no rows.
    """
    names: tuple[str, ...] = ()
    row = 1
    for block in Text(path, packed):
        if not names:
            names, block = _named(without_mark(block), path, tuple(bare))
        if not block.text:
            continue
        try:
            cells = texts(block.text, len(names), range(len(names)))
        except UnreadableLinesError:
            raise _unreadable(block, len(names), path) from None
        yield RawBlock(row, names, tuple(map(trimmed, cells)))
        row += len(cells[0])
    if row == 1:
        raise InputError("the table has no rows", str(path), "give one with names and rows")


def _named(block: Block, path: Path, bare: tuple[str, ...]) -> tuple[tuple[str, ...], Block]:
    end = block.text.find(b"\n") + 1 or len(block.text)
    where = f"{path}, line 1"
    try:
        names = tuple(cell.strip(" \t") for cell in cells_of(block.text[:end]))
    except WrongLineError as error:
        raise InputError(error.what, where, error.hint) from None
    if len(names) == len(bare) and all(is_number(name) for name in names):
        return bare, block
    if any(is_number(name) or not name for name in names) or len(set(names)) < len(names):
        raise InputError("the first row is not one of names", where, _NAMES)
    return names, Block(2, block.text[end:])


def _unreadable(block: Block, width: int, path: Path) -> InputError:
    """What is wrong with the first line of a block that is no row."""
    for i, line in enumerate(block.text.removesuffix(b"\n").split(b"\n")):
        where = f"{path}, line {block.line + i}"
        try:
            cells = cells_of(line)
        except WrongLineError as error:
            return InputError(error.what, where, error.hint)
        if len(cells) != width:
            what = f"the row has {len(cells)} cells, and the first row {width} names"
            hint = "every row has a cell for each name, between commas"
            return InputError(what, where, f"{hint}; docs/tables.md has other separators")
    return InputError("the table cannot be read", str(path), "save it as CSV in UTF-8")
