"""What a table holds, for its holder's own eyes, and what a job might say of its columns.

Nobody has agreed on a job yet: the table has names in its first row, and every column is looked at.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from pydantic import TypeAdapter

from party.agreement.columns import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    in_any_case,
    in_one_form,
)
from party.agreement.job import ColumnName
from party.table.numbers import NUMBER_CELL, decode
from party.table.raw import raw_blocks

Kind = Literal["number", "boolean", "date", "category", "text", "empty"]

MOST_DISTINCT = 1000
"""Different values of a column that are counted; beyond, there are more."""

MOST_VALUES = 50
"""Values of a column that may be a category."""

FEWEST_ROWS = 10
"""Rows in which a value must stand to be proposed for a job: a rarer one may tell who it is."""

NAME: TypeAdapter[str] = TypeAdapter(ColumnName)
_DATES = DateColumn(type="date", missing="median")
_BOOLEANS = BooleanColumn(type="boolean")
_SPELT = set(in_any_case(_BOOLEANS.positive + _BOOLEANS.negative))


@dataclass
class Column:
    """What a column holds.

    Attributes:
        name: in the table's first row.
        position: where it stands, from 1.
        rows, gaps: cells, and empty ones among them.
        counts: in how many rows each value stands; None beyond ``MOST_DISTINCT`` values.
        low, high: of its numbers or dates.
    """

    name: str
    position: int
    rows: int = 0
    gaps: int = 0
    counts: Counter[str] | None = field(default_factory=Counter)
    low: str | None = None
    high: str | None = None
    numbers: bool = True
    dates: bool = True

    @property
    def distinct(self) -> int | None:
        """How many different values there are; None beyond ``MOST_DISTINCT``."""
        return None if self.counts is None else len(self.counts)

    @property
    def kind(self) -> Kind:
        """What it seems to be."""
        if self.gaps == self.rows:
            return "empty"
        if self.numbers:
            return "number"
        if self.dates:
            return "date"
        if self.counts is not None and set(self.counts) <= _SPELT:
            return "boolean"
        return "category" if self.values else "text"

    @property
    def values(self) -> tuple[str, ...]:
        """The values of a category that may be named in a job, the most frequent ones first."""
        if self.counts is None or len(self.counts) > MOST_VALUES:
            return ()
        frequent = [(-n, value) for value, n in self.counts.items() if n >= FEWEST_ROWS]
        return tuple(value for _, value in sorted(frequent))

    @property
    def proposal(self) -> dict[str, Any] | str | None:
        """Its schema for a job; None where it is a plain number.

        Raises ValueError where it can be no feature.
        """
        kind, gaps = self.kind, self.gaps > 0
        NAME.validate_python(self.name)
        if kind in ("text", "empty") or (self.distinct == 1 and not gaps):
            raise ValueError(kind)
        if kind == "number":
            return {"missing": "median", "indicator": True} if gaps else None
        if kind == "date":
            return {"type": "date", "missing": "median"} if gaps else "date"
        if kind == "boolean":
            boolean = {"type": "boolean", "missing": "negative", "indicator": True}
            return boolean if gaps else "boolean"
        values = self.values
        if not gaps and self.counts is not None and len(values) == len(self.counts):
            values = values[1:]  # or their columns would always add up to one
        category = {"type": "category", "values": list(values)}
        CategoryColumn.model_validate_json(json.dumps(category))
        return category | ({"missing": "other"} if gaps else {})


@dataclass(frozen=True)
class Description:
    """What a table holds."""

    rows: int
    columns: tuple[Column, ...]

    def public_part(self) -> dict[str, Any]:
        """The keys of a job that follow from it: rows, features and columns."""
        features, columns = [], {}
        for column in self.columns:
            try:
                proposal = column.proposal
            except ValueError:
                continue
            features.append(column.name)
            if proposal is not None:
                columns[column.name] = proposal
        own: dict[str, Any] = {"rows": self.rows, "features": features}
        return own | ({"columns": columns} if columns else {})


def describe(path: Path) -> Description:
    """What a table holds, in one pass and in bounded memory.

    Raises InputError for what cannot be read, or has no names in its first row.
    """
    columns: list[Column] = []
    for block in raw_blocks(path):
        columns = columns or [Column(name, i + 1) for i, name in enumerate(block.names)]
        for column, cells in zip(columns, block.cells, strict=True):
            _look(column, cells)
    return Description(columns[0].rows, tuple(columns))


def _look(column: Column, cells: Any) -> None:
    column.rows += len(cells)
    there = cells.filter(pc.not_equal(cells, ""))
    column.gaps += len(cells) - len(there)
    if not len(there):
        return
    if column.numbers:
        column.numbers = pc.all(pc.match_substring_regex(there, NUMBER_CELL)).as_py()
        if column.numbers:
            numbers = np.array(pc.cast(there, "float64"))
            _range(column, f"{numbers.min():g}", f"{numbers.max():g}", float)
    if column.dates and not column.numbers:
        _, wrong = decode(there, _DATES)
        column.dates = not wrong
        if column.dates:
            days = pc.utf8_slice_codeunits(there, 0, 10)
            _range(column, pc.min(days).as_py(), pc.max(days).as_py(), str)
    if column.counts is not None:
        found = pc.value_counts(there)
        if len(found) > MOST_DISTINCT:
            column.counts = None
        else:
            for one in found.to_pylist():
                column.counts[in_one_form(one["values"])] += one["counts"]
            column.gaps += column.counts.pop("", 0)
            if len(column.counts) > MOST_DISTINCT:
                column.counts = None


def _range(column: Column, low: str, high: str, key: Any) -> None:
    column.low = low if column.low is None else min(column.low, low, key=key)
    column.high = high if column.high is None else max(column.high, high, key=key)
