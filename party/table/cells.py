"""One line of a table, looked at exactly."""

from __future__ import annotations

import csv
import re

from party.process.errors import InputError
from party.table.findings import Kind

NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
"""A number as the CSV library reads it."""

NOT_FINITE = re.compile(r"(?ai)[ \t]*[+-]?(nan(\(\w*\))?|inf|infinity)[ \t]*")

DECIMAL_COMMA = re.compile(r"[ \t]*[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+[ \t]*", re.ASCII)

_SEPARATORS = {b";": "semicolons", b"\t": "tabs", b"|": "vertical bars"}


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, be it NaN or infinite: a header's cell does not."""
    return bool(NUMBER.fullmatch(cell) or NOT_FINITE.fullmatch(cell))


class WrongLineError(InputError):
    """A line that cannot be taken apart into cells; ``kind`` is as in ``Finding``."""

    def __init__(self, kind: Kind, what: str, hint: str) -> None:
        super().__init__(what, None, hint)
        self.kind = kind


def cells_of(line: bytes) -> list[str]:
    """The cells of one line, taken out of their quotes.

    Raises WrongLineError for what cannot stand in a line.
    """
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        hint = "take it out; empty lines at the end too"
        raise WrongLineError("empty-line", "the line is empty", hint)
    if b"\0" in line:
        hint = "save the table as CSV in UTF-8"
        raise WrongLineError("nul", "the line holds a NUL byte: this is not CSV text", hint)
    if b"\r" in line:
        what, hint = "there is a carriage return inside of the line", "end lines in LF or CRLF"
        raise WrongLineError("carriage-return", what, hint)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        hint = "save the table as CSV in UTF-8"
        raise WrongLineError("encoding", "the line is not UTF-8", hint) from None
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error:
        hint = 'a quoted cell ends in its line, and nothing but a comma follows its last "'
        raise WrongLineError("quotes", "the quotes in the line do not match", hint) from None


def separator(line: bytes) -> tuple[str, bool] | None:
    """What separates the cells of a line that is not as it should be, if it is not commas; and
    whether the commas in it are those of decimals."""
    line = line.rstrip(b"\r\n")
    commas = line.count(b",")
    for sign, name in _SEPARATORS.items():
        parts = line.split(sign)
        if len(parts) == 1:
            continue
        decimal = any(DECIMAL_COMMA.fullmatch(part.decode(errors="replace")) for part in parts)
        if not commas or (decimal and commas <= len(parts)):
            return name, decimal
    return None
