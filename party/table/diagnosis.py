"""What is wrong with a table, and where: the slow, exact look that a failed fast one asks for.

The CSV library says quickly that a block does not parse, but its messages hold the value that it
stumbled over. Here the same lines are taken again one by one, and the error says the place alone.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from party.process.errors import InputError
from party.table.expected import Expected
from party.table.text import Block

NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
"""A number as the CSV library reads it."""

_NOT_FINITE = re.compile(r"(?ai)[ \t]*[+-]?(nan(\(\w*\))?|inf|infinity)[ \t]*")

_COMPLETE = "every row needs a number in every column: fill it in, or all parties leave the row out"
_DECIMAL = "write numbers as 1234.5 or 1.2345e3, without units or separators of thousands"


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, be it NaN or infinite: a header's cell does not."""
    return bool(NUMBER.fullmatch(cell) or _NOT_FINITE.fullmatch(cell))


def cells_of(line: bytes, place: str) -> list[str]:
    """The cells of one line, taken out of their quotes.

    Raises InputError for what cannot stand in a line; ``place`` says where.
    """
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise InputError("the line is empty", place, "take it out; empty lines at the end too")
    if b"\0" in line:
        hint = "save the table as CSV in UTF-8"
        raise InputError("the line holds a NUL byte: this is not CSV text", place, hint)
    if b"\r" in line:
        hint = "end lines in LF or CRLF"
        raise InputError("there is a carriage return inside of the line", place, hint)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("the line is not UTF-8", place, "save the table as CSV in UTF-8") from None
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error:
        hint = 'a quoted cell ends in its line, and nothing but a comma follows its last "'
        raise InputError("the quotes in the line do not match", place, hint) from None


def check_count(cells: list[str], expected: Expected, place: str) -> None:
    """Raises InputError unless a line has a cell for each column."""
    count, wanted = len(cells), len(expected.columns)
    if count == wanted:
        return
    hint = "the table holds the columns that the job names, and no other"
    if count == 1 and re.search(r"[;\t]", cells[0]):
        hint = "separate cells by commas"
    elif count == wanted + 1 and not cells[0]:
        hint = "the first column has no name: is it an index? " + hint
    raise InputError(f"the row has {count} cells, and the job {wanted} columns", place, hint)


def diagnosed(block: Block, expected: Expected, path: Path) -> InputError:
    """The first thing that is wrong in a block which the CSV library did not read."""
    try:
        for line, text in enumerate(block.text.removesuffix(b"\n").split(b"\n"), block.line):
            place = expected.place(path, line)
            cells = cells_of(text, place)
            check_count(cells, expected, place)
            for column, cell in enumerate(cells):
                place = expected.place(path, line, column)
                if not cell.strip(" \t"):
                    raise InputError("the cell is empty", place, _COMPLETE)
                if _NOT_FINITE.fullmatch(cell):
                    raise not_finite(place)
                if not NUMBER.fullmatch(cell):
                    raise InputError("the cell is not a number", place, _DECIMAL)
    except InputError as error:
        return error
    last = block.line + block.text.count(b"\n")
    what, hint = f"the lines up to {last} are not CSV", "write numbers alone, without quotes"
    return InputError(what, expected.place(path, block.line), hint)


def not_finite(place: str) -> InputError:
    """For NaN, infinity and what is too large for a float64."""
    return InputError("the cell is not a finite number", place, _COMPLETE)
