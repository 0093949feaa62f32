"""One cell of a column with a schema -> its code; the same for training, diagnosis and scoring."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

from party.agreement.columns import (
    BooleanColumn,
    CategoryColumn,
    ColumnSchema,
    DateColumn,
    NumberColumn,
    in_any_case,
    in_one_form,
)
from party.process.errors import InputError
from party.table.cells import DECIMAL_COMMA, NOT_FINITE, NUMBER
from party.table.findings import Kind

DAYS_OF_A_YEAR = 365.2425

_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})([T ][0-9:.,+\-Z ]*)?", re.ASCII)
_GAP = "fill it in, or agree in the job on what stands for it: the column's key missing"

Decoder = Callable[[str], float]
"""From a cell to its code; NaN for a gap. Raises WrongCellError."""


class WrongCellError(InputError):
    """A cell that its column cannot take; ``kind`` is as in ``Finding``."""

    def __init__(self, kind: Kind, what: str, hint: str) -> None:
        super().__init__(what, None, hint)
        self.kind = kind


def decoder(schema: ColumnSchema) -> Decoder:
    """What decodes the cells of a column."""
    match schema:
        case NumberColumn():
            inner: Decoder = partial(_number, schema)
        case DateColumn():
            inner = partial(_date, date.fromisoformat(schema.origin), schema.unit)
        case BooleanColumn():
            spelt = dict.fromkeys(map(in_one_form, in_any_case(schema.positive)), 1.0)
            other = dict.fromkeys(map(in_one_form, in_any_case(schema.negative)), 0.0)
            inner = partial(_word, spelt | other, _BOOLEAN)
        case CategoryColumn():
            known = {in_one_form(value): float(i) for i, value in enumerate(schema.values)}
            refused = schema.other == "refused"
            inner = partial(_word, known, _CATEGORY if refused else float(len(known)))
    return partial(_decoded, inner, schema.takes_gaps)


def decoded(cells: Iterable[str], schema: ColumnSchema) -> NDArray[np.float64]:
    """The codes of some cells. Raises WrongCellError for the first that is wrong."""
    return np.fromiter(map(decoder(schema), cells), np.float64)


def _decoded(inner: Decoder, takes_gaps: bool, cell: str) -> float:
    cell = cell.strip()
    if cell:
        return inner(cell)
    if takes_gaps:
        return nan
    raise WrongCellError("empty", "the cell is empty", _GAP)


def _number(schema: NumberColumn, cell: str) -> float:
    value = float(cell) if NUMBER.fullmatch(cell) else nan
    if NOT_FINITE.fullmatch(cell) or (value == value and not isfinite(value)):
        hint = "leave the cell empty, as the gaps that the job fills" if schema.takes_gaps else _GAP
        raise WrongCellError("not-finite", "the cell is not a finite number", hint)
    if not isfinite(value):
        hint = "write numbers as 1234.5 or 1.2345e3, without units or separators of thousands"
        if DECIMAL_COMMA.fullmatch(cell):
            hint = "write decimals with a point, 0.5, and not with a comma"
        raise WrongCellError("not-a-number", "the cell is not a number", hint)
    if schema.log1p and value <= -1:
        hint = "look whether it is an error; otherwise agree on a column without log1p"
        raise WrongCellError("no-logarithm", "the value is -1 or less, and has no log1p", hint)
    return value


def _date(origin: date, unit: str, cell: str) -> float:
    found = _DAY.fullmatch(cell)
    try:
        if found is None:
            raise ValueError
        days = (date.fromisoformat(found[1]) - origin).days
    except ValueError:
        hint = "write days of the calendar as 2001-12-31 (ISO 8601)"
        raise WrongCellError("not-a-date", "the cell is not a date", hint) from None
    return days / DAYS_OF_A_YEAR if unit == "years" else float(days)


_BOOLEAN: tuple[Kind, str, str] = (
    "not-a-boolean",
    "the cell is neither a positive nor a negative spelling",
    "write it as one of those that the job names, or true and false where it names none",
)
_CATEGORY: tuple[Kind, str, str] = (
    "not-a-value",
    "the cell is none of the column's values, and the job refuses others",
    "look whether it is an error; otherwise agree on more values, or on another key other",
)


def _word(known: dict[str, float], otherwise: float | tuple[Kind, str, str], cell: str) -> float:
    code = known.get(in_one_form(cell))
    if code is not None:
        return code
    if isinstance(otherwise, float):
        return otherwise
    raise WrongCellError(*otherwise)
