"""A model as the sum of what each column of the table adds to it, whatever the column's kind.

The model is linear in the derived columns. So a number adds its weight times what becomes of it,
and a word adds what stands for it in a list: all that becomes of a category or a boolean, one-hot
columns and gaps included, is one entry of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from party.agreement.columns import (
    BooleanColumn,
    CategoryColumn,
    ColumnSchema,
    DateColumn,
    NumberColumn,
    in_any_case,
)
from party.process.errors import InputError
from party.scoring.scorer import Matrix, Scorer
from party.table.columns.deriving import Fitted, derive

_NAMED = 12


@dataclass(frozen=True)
class Number:
    """A column of numbers: a gap is filled, the logarithm taken, and what lies beyond is clipped.

    Attributes:
        weight: of what becomes of a number.
        gap: what a gap adds beside that; 0 without an indicator.
        fill: what stands for a gap; None where there may be none.
        log1p: whether the logarithm of one more is taken.
        low, high: None without a clip.
    """

    weight: float
    gap: float = 0.0
    fill: float | None = None
    log1p: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Words:
    """A column of words.

    Attributes:
        adds: what each text adds; an empty one is a gap, and NaN where there may be none.
        other: what every other text adds; None where it is refused.
    """

    adds: dict[str, float]
    other: float | None


@dataclass(frozen=True)
class Sums:
    """The whole model before its sigmoid or unit: all that is added up.

    Attributes:
        numbers, words: the table's columns by name, in the model's order.
        intercept: of columns that are not standardised.
    """

    numbers: dict[str, Number]
    words: dict[str, Words]
    intercept: float

    @classmethod
    def of(cls, scorer: Scorer) -> Sums:
        """A model's. Raises InputError for a column of dates, which other tools do not read."""
        dates = [n for n, schema in scorer.schemas.items() if isinstance(schema, DateColumn)]
        if dates:
            more = f" and {len(dates) - _NAMED} more" * (len(dates) > _NAMED)
            named = ", ".join(map(repr, dates[:_NAMED])) + more
            what = f"the model has columns of dates, {named}: no form can read a date from a cell"
            raise InputError(what, None, "score with deployer score or party score")
        weights = scorer.weights / scorer.scale
        numbers: dict[str, Number] = {}
        words: dict[str, Words] = {}
        at = 0
        for (name, schema), fitted in zip(scorer.schemas.items(), scorer.fitted, strict=True):
            width = 1 if schema is None else len(schema.derived(name))
            own = weights[at : at + width]
            at += width
            if isinstance(schema, CategoryColumn | BooleanColumn):
                words[name] = _words(schema, fitted, own)
            else:
                numbers[name] = _number(schema, fitted, own)
        return cls(numbers, words, float(scorer.intercept - scorer.mean @ weights))


def _number(schema: ColumnSchema | None, fitted: Fitted, weights: Matrix) -> Number:
    if not isinstance(schema, NumberColumn):
        return Number(float(weights[0]))
    return Number(
        weight=float(weights[0]),
        gap=float(weights[1]) if schema.indicator else 0.0,
        fill=fitted.fill,
        log1p=schema.log1p,
        low=fitted.low,
        high=fitted.high,
    )


def _words(schema: CategoryColumn | BooleanColumn, fitted: Fitted, weights: Matrix) -> Words:
    if isinstance(schema, CategoryColumn):
        codes = {value: float(i) for i, value in enumerate(schema.values)}
    else:
        codes = dict.fromkeys(in_any_case(schema.positive), 1.0)
        codes |= dict.fromkeys(in_any_case(schema.negative), 0.0)
    kept = [*codes.values(), nan]
    others = isinstance(schema, CategoryColumn) and schema.other != "refused"
    if isinstance(schema, CategoryColumn) and others:
        kept.append(float(len(schema.values)))
    adds = (weights @ derive(np.array([kept]), [schema], [fitted])).tolist()
    texts = dict(zip(codes, adds, strict=False))
    texts[""] = adds[len(codes)] if schema.takes_gaps else nan
    return Words(texts, adds[-1] if others else None)
