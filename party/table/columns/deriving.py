"""From the codes of columns to the derived columns that the model reads. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from party.agreement.columns import (
    BooleanColumn,
    CategoryColumn,
    ColumnSchema,
    DateColumn,
    NumberColumn,
)
from party.table.columns.decoding import DAYS_OF_A_YEAR

Codes = NDArray[np.float64]
"""Some rows of some columns: [columns, rows]."""


@dataclass(frozen=True)
class Fitted:
    """What was learnt from a column at its holder.

    Attributes:
        fill: the code that stands for a gap; None where there may be none.
        low, high: the bounds that values are held between, after log1p; None without a clip.
        center, spread: median and interquartile range of the derived column, or what the job says
            in their place; None where mean and standard deviation take it.
    """

    fill: float | None = None
    low: float | None = None
    high: float | None = None
    center: float | None = None
    spread: float | None = None

    @property
    def applied(self) -> dict[str, float]:
        """What a cell is derived with; center and spread are what it is standardised with."""
        own = {"fill": self.fill, "low": self.low, "high": self.high}
        return {name: value for name, value in own.items() if value is not None}


def constant_fill(schema: ColumnSchema) -> float | None:
    """The code that stands for a gap, where the job alone says it."""
    match schema:
        case NumberColumn(missing=float() as value):
            return value
        case DateColumn(missing=str() as day) if day not in ("mean", "median"):
            days = (date.fromisoformat(day) - date.fromisoformat(schema.origin)).days
            return days / DAYS_OF_A_YEAR if schema.unit == "years" else float(days)
        case BooleanColumn(missing="positive"):
            return 1.0
        case BooleanColumn(missing="negative"):
            return 0.0
        case CategoryColumn(missing="other"):
            return float(len(schema.values))
    return None


def filled(codes: NDArray[np.float64], schema: ColumnSchema, fill: float | None) -> Codes:
    """One column's codes with its gaps filled, and its logarithm taken."""
    if fill is not None:
        codes = np.where(np.isnan(codes), fill, codes)
    if isinstance(schema, NumberColumn) and schema.log1p:
        with np.errstate(invalid="ignore", divide="ignore"):  # of what diagnosis has found wrong
            codes = np.log1p(codes)
    return codes


def derive(codes: Codes, schemas: Sequence[ColumnSchema | None], fitted: Sequence[Fitted]) -> Codes:
    """The derived columns of some rows, not standardised yet: [derived, rows].

    Args:
        codes: the codes of the columns, [columns, rows].
        schemas: theirs; None for a plain number, which stays as it is.
        fitted: what was learnt from each.
    """
    found: list[NDArray[np.float64]] = []
    for column, schema, learnt in zip(codes, schemas, fitted, strict=True):
        if schema is None:
            found.append(column)
            continue
        gaps = np.isnan(column)
        values = filled(column, schema, learnt.fill)
        if isinstance(schema, CategoryColumn):
            first = len(schema.values) - len(schema.levels)
            wanted = [float(first + level) for level in range(len(schema.levels))]
            wanted += [float(len(schema.values))] * (schema.other == "column")
            found += [(values == level).astype(np.float64) for level in wanted]
            if schema.missing == "column":
                found.append(gaps.astype(np.float64))
            continue
        if learnt.low is not None and learnt.high is not None:
            values = np.clip(values, learnt.low, learnt.high)
        found.append(values)
        if schema.indicator:
            found.append(gaps.astype(np.float64))
    return np.stack(found) if found else np.empty((0, codes.shape[1]))


def standard(
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    schemas: Sequence[ColumnSchema | None],
    fitted: Sequence[Fitted],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is taken off each derived column and by what it is divided: mean and standard deviation,
    which are given; or median and interquartile range, or what the job says."""
    mean, scale = mean.copy(), scale.copy()
    at = 0
    for schema, learnt in zip(schemas, fitted, strict=True):
        if learnt.center is not None and learnt.spread is not None:
            mean[at], scale[at] = learnt.center, learnt.spread
        at += 1 if schema is None else len(schema.derived(""))
    return mean, scale


@dataclass(frozen=True)
class Counts:
    """What a holder is told of a column with a schema: in how many rows there is a gap, and in how
    many a value that the job does not name."""

    gaps: int = 0
    other: int = 0


def count(
    codes: Codes, schemas: Sequence[ColumnSchema | None], before: Sequence[Counts]
) -> tuple[Counts, ...]:
    """The counts by column, with those of some rows more."""
    found = []
    for i, (column, schema) in enumerate(zip(codes, schemas, strict=True)):
        one = before[i] if before else Counts()
        gaps = 0 if schema is None else int(np.isnan(column).sum())
        other = 0
        if isinstance(schema, CategoryColumn):
            other = int((column == len(schema.values)).sum())
        found.append(Counts(one.gaps + gaps, one.other + other))
    return tuple(found)


def sources(schemas: Sequence[ColumnSchema | None]) -> list[int]:
    """For each derived column, which column it comes of."""
    widths = [1 if schema is None else len(schema.derived("")) for schema in schemas]
    return [i for i, width in enumerate(widths) for _ in range(width)]
