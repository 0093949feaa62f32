"""A table's first row, where it is a header."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from party.process.errors import InputError
from party.table.diagnosis import cells_of, check_count, is_number
from party.table.expected import Expected
from party.table.text import Block


def without_header(block: Block, expected: Expected, path: Path) -> Block:
    """The first block of a table, without the header if it begins with one.

    A header is a row in which no cell is a number, or one that just holds the job's columns. What
    stands in the first row may be data all the same, so that messages show the job's names alone.

    Raises:
        InputError: the header is not the job's columns in the job's order.
    """
    end = block.text.find(b"\n") + 1 or len(block.text)
    place = expected.place(path, block.line)
    cells = [cell.strip(" \t") for cell in cells_of(block.text[:end], place)]
    if cells != list(expected.columns):
        if any(is_number(cell) for cell in cells) or not any(cells):
            return block
        missing = [name for name in expected.columns if name not in cells]
        if len(cells) < len(expected.columns) and len(missing) < len(expected.columns):
            what = f"the header does not have {missing[0]!r}"
            raise InputError(what, place, "the table holds every column that the job names")
        check_count(cells, expected, place)
        _check_names(cells, expected, path, block.line)
    return Block(block.line + 1, block.text[end:])


def _check_names(cells: list[str], expected: Expected, path: Path, line: int) -> None:
    for column, (cell, name) in enumerate(zip(cells, expected.columns, strict=True)):
        if cell == name:
            continue
        place = f"{path}, line {line}, column {column + 1}"
        if cell in expected.columns:
            what = f"the header has {cell!r} where the job has {name!r}"
            raise InputError(what, place, "put the columns into the job's order")
        near = get_close_matches(cell, expected.columns, n=1)
        what = f"the header does not have {name!r} here, nor another column of the job"
        hint = f"the nearest name in the job is {near[0]!r}; " if near else ""
        hint += "rename the column here or in the job; a table without header begins with numbers"
        raise InputError(what, place, hint)
