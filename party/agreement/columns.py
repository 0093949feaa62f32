"""How a job reads a column that is not a plain number: its kind, and what becomes of it.

A column of the table becomes one or more columns of the model, its derived columns. Their names and
their number follow from the job alone, so that all parties know them; what is fitted to the
column's values (a median, the bounds of a clip) stays with its holder.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    TypeAdapter,
    model_validator,
)

from party.process.schema import Strict

PRINTABLE = "^[^\\x00-\\x1f\\x7f-\\x9f\ufdd0-\ufdef\ufffe\uffff]+$"
"""No control characters, and none that YAML cannot hold."""

Type = Literal["number", "category", "boolean", "date"]
"""The kinds of columns."""


def _trimmed(value: str) -> str:
    if value != value.strip(" \t"):
        raise ValueError(f"{value!r} begins or ends with a space, which no cell does")
    return value


def in_one_form(text: str) -> str:
    """A word as words are compared: in Unicode's compatibility form (NFKC), so that an accent is
    the same however it was typed, and without white space around it. Case counts."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFKC", text).strip()


def _is_date(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a day of the calendar") from None
    return value


Cell = Annotated[
    str, Field(min_length=1, max_length=128, pattern=PRINTABLE), AfterValidator(_trimmed)
]
Spellings = Annotated[tuple[Cell, ...], Field(min_length=1, max_length=64)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_is_date)]
Share = Annotated[float, Field(ge=0, le=1)]

_MISSING = "what stands for an empty cell; without this key there may be none"
_INDICATOR = "whether a further column says where a cell was empty"
_CLIP = "two quantiles of the column, 0.01 and 0.99 say, between which its values are held"
_SCALE = (
    "standardised by mean and standard deviation, or robust: by median and interquartile range; or "
    "a mapping: by numbers that the job says, so that nothing is learnt from the column"
)


class _Column(Strict):
    @property
    def takes_gaps(self) -> bool:
        """Whether a cell may be empty."""
        return getattr(self, "missing", None) is not None

    @property
    def learns(self) -> bool:
        """Whether its holder learns from the whole column how to read it."""
        return (
            getattr(self, "missing", None) in ("mean", "median")
            or getattr(self, "clip", None) is not None
            or getattr(self, "scale", "standard") == "robust"
        )

    @model_validator(mode="after")
    def _indicator_has_gaps(self) -> _Column:
        if getattr(self, "indicator", False) and not self.takes_gaps:
            raise ValueError("indicator: it needs the key missing, without which no cell is empty")
        return self

    def derived(self, name: str) -> tuple[str, ...]:
        """The names of the derived columns of a column of this name."""
        return (name, f"{name}:missing") if getattr(self, "indicator", False) else (name,)


class PublicScale(Strict):
    """What a column is standardised by, where all parties know it."""

    mean: float = Field(description="what is taken off each value")
    deviation: float = Field(gt=0, description="by what the difference is divided")


def _scale_form(value: Any) -> str:
    return "(long)" if isinstance(value, dict | BaseModel) else "(short)"


class _Measured(_Column):
    """A quantity, of which quantiles, a mean and a spread can be told."""

    clip: tuple[Share, Share] | None = Field(default=None, description=_CLIP)
    scale: Annotated[
        Annotated[Literal["standard", "robust"], Tag("(short)")]
        | Annotated[PublicScale, Tag("(long)")],
        Discriminator(_scale_form),
    ] = Field(default="standard", description=_SCALE)

    @property
    def public(self) -> PublicScale | None:
        """What it is standardised by, where the job says it."""
        return self.scale if isinstance(self.scale, PublicScale) else None

    @model_validator(mode="after")
    def _quantiles_in_order(self) -> _Measured:
        if self.clip is not None and not self.clip[0] < 0.5 < self.clip[1]:
            raise ValueError("clip: the first quantile is below 0.5, and the second one above")
        return self


class NumberColumn(_Measured):
    """A number. What happens to it, in this order: gaps are filled, log1p, clip, scale."""

    type: Literal["number"] = Field(default="number", description="number")
    missing: Literal["mean", "median"] | float | None = Field(default=None, description=_MISSING)
    indicator: bool = Field(default=False, description=_INDICATOR)
    log1p: bool = Field(default=False, description="whether log(1 + value) is taken")

    @model_validator(mode="after")
    def _has_logarithm(self) -> NumberColumn:
        if self.log1p and isinstance(self.missing, float) and self.missing <= -1:
            raise ValueError(f"missing: {self.missing:g} has no log1p; write a number above -1")
        return self


class DateColumn(_Measured):
    """A day of the calendar, ISO 8601: 2001-12-31. A time of day behind it is left out."""

    type: Literal["date"] = Field(description="date")
    origin: Day = Field(default="1970-01-01", description="the day from which it is counted")
    unit: Literal["days", "years"] = Field(
        default="days", description="what is counted; a year has 365.2425 days"
    )
    missing: Literal["mean", "median"] | Day | None = Field(default=None, description=_MISSING)
    indicator: bool = Field(default=False, description=_INDICATOR)


class BooleanColumn(_Column):
    """One of two things: 1 where the cell is positive, 0 where it is negative."""

    type: Literal["boolean"] = Field(description="boolean")
    positive: Spellings = Field(
        default=("true", "yes", "t", "y", "1"), description="how 1 is spelt, in any case"
    )
    negative: Spellings = Field(
        default=("false", "no", "f", "n", "0"), description="how 0 is spelt, in any case"
    )
    missing: Literal["positive", "negative"] | None = Field(default=None, description=_MISSING)
    indicator: bool = Field(default=False, description=_INDICATOR)

    @model_validator(mode="after")
    def _apart(self) -> BooleanColumn:
        both = set(in_any_case(self.positive)) & set(in_any_case(self.negative))
        if both:
            raise ValueError(f"negative: {min(both)!r} is a spelling of positive, too")
        return self


class CategoryColumn(_Column):
    """One of the values that the job names, or another.

    One level has no column of its own, and is the baseline that the others are compared with: the
    other values, or the first one named where those have a column or are refused.
    """

    type: Literal["category"] = Field(description="category")
    values: Annotated[tuple[Cell, ...], Field(min_length=1, max_length=1024)] = Field(
        description="the values that are told apart"
    )
    other: Literal["baseline", "column", "refused"] = Field(
        default="baseline", description="what a value is that is not among them"
    )
    missing: Literal["other", "column"] | None = Field(default=None, description=_MISSING)

    @model_validator(mode="after")
    def _levels(self) -> CategoryColumn:
        same = Counter(map(in_one_form, self.values))
        repeated = {value for value in self.values if same[in_one_form(value)] > 1}
        if repeated:
            raise ValueError(f"values: {min(repeated)!r} stands more than once")
        if self.other == "refused" and self.missing == "other":
            raise ValueError("missing: other values are refused, and so no cell can be one")
        if not self.derived(""):
            raise ValueError("values: one value alone tells nothing where others are refused")
        return self

    @property
    def levels(self) -> tuple[str, ...]:
        """The named values that have a column."""
        return self.values if self.other == "baseline" else self.values[1:]

    def derived(self, name: str) -> tuple[str, ...]:
        """``city=Paris`` for each of its levels, then ``city:other`` and ``city:missing``."""
        return (
            *(f"{name}={value}" for value in self.levels),
            *([f"{name}:other"] if self.other == "column" else []),
            *([f"{name}:missing"] if self.missing == "column" else []),
        )


ColumnSchema = NumberColumn | CategoryColumn | BooleanColumn | DateColumn


def in_any_case(spellings: tuple[str, ...]) -> tuple[str, ...]:
    """Some words as they stand there, in small letters, in capitals, and with one."""
    return tuple(
        dict.fromkeys(
            form
            for word in spellings
            for form in (word, word.lower(), word.upper(), word.capitalize())
        )
    )


def _tag(value: Any) -> str:
    """Which kind's keys these are. Pydantic drops what such a function raises."""
    if isinstance(value, str):
        return "(short)"
    kind = value.get("type", "number") if isinstance(value, dict) else getattr(value, "type", None)
    return f"({kind})"


_WRONG_TYPE = "a column's type is number, category, boolean or date"

ColumnChoice = SerializeAsAny[
    Annotated[
        Annotated[Literal["number", "boolean", "date"], Tag("(short)")]
        | Annotated[NumberColumn, Tag("(number)")]
        | Annotated[CategoryColumn, Tag("(category)")]
        | Annotated[BooleanColumn, Tag("(boolean)")]
        | Annotated[DateColumn, Tag("(date)")],
        Discriminator(_tag, custom_error_type="column_type", custom_error_message=_WRONG_TYPE),
    ]
]
"""A column's schema in a job: its type alone, or a mapping."""

ADAPTER: TypeAdapter[ColumnSchema] = TypeAdapter(
    Annotated[ColumnSchema, Field(discriminator="type")], config=ConfigDict(defer_build=True)
)
"""Reads a schema that was written down as plain data, with its type."""


def schema_of(choice: str | ColumnSchema) -> ColumnSchema:
    """A column's schema, where it may be given by its type alone."""
    return from_plain({"type": choice}) if isinstance(choice, str) else choice


def from_plain(value: dict[str, Any]) -> ColumnSchema:
    """The schema in plain data, as JSON has it: lists stand for tuples."""
    import json

    return ADAPTER.validate_json(json.dumps(value))
