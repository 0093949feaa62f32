"""What does not fit in a table: all of it, by kind, column and row, and never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from party.process.errors import InputError

Kind = Literal[
    "missing-column",
    "repeated-column",
    "numeric-header",
    "rows",
    "encoding",
    "nul",
    "carriage-return",
    "empty-line",
    "quotes",
    "separator",
    "cells",
    "empty",
    "not-finite",
    "not-a-number",
    "no-logarithm",
    "not-a-date",
    "not-a-boolean",
    "not-a-value",
    "label",
    "one-label",
    "constant",
    "too-large",
    "outlier",
    "far-row",
    "missing-identifier",
    "repeated-identifier",
]

_TITLES: Mapping[Kind, str] = {
    "missing-column": "columns that the header does not have",
    "repeated-column": "columns that the header has more than once",
    "encoding": "lines that are not UTF-8",
    "nul": "lines with a NUL byte",
    "carriage-return": "lines with a carriage return inside",
    "empty-line": "empty lines",
    "quotes": "lines in which the quotes do not match",
    "separator": "lines whose cells are not separated by commas",
    "cells": "rows with too few or too many cells",
    "empty": "empty cells",
    "not-finite": "cells that are not finite",
    "not-a-number": "cells that are not numbers",
    "no-logarithm": "values that have no log1p",
    "not-a-date": "cells that are not dates",
    "not-a-boolean": "cells that are no spelling of a boolean",
    "not-a-value": "cells that are none of their column's values",
    "label": "labels that the model cannot take",
    "constant": "constant columns, which cannot be standardised",
    "too-large": "columns with values too large to standardise",
    "outlier": "values too far from their column's mean",
    "far-row": "rows too far from the others for the steps of this job",
    "missing-identifier": "rows without an identifier",
    "repeated-identifier": "rows with an identifier of an earlier row",
}
"""What several findings of a kind are called together. Of the others there is one at most."""

MOST_LINES = 5
"""Lines that a finding names; the others it counts."""

_MOST_PLACES = 12
"""Columns, or lines, of one kind that the text for people names."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in one column or with whole lines.

    Attributes:
        kind: what it is, for programs.
        what, hint: what it is and what to do about it, for people.
        column: its name in the job; None where it is no single column's.
        position: where the column stands in the table, from 1.
        count: of the lines in which it is so; 0 where it is no single lines'.
        lines: the first of them, from 1, as an editor counts.
        unit: what ``lines`` counts: lines of a text, or rows of a table that is none.
    """

    kind: Kind
    what: str
    hint: str
    column: str | None = None
    position: int | None = None
    count: int = 0
    lines: tuple[int, ...] = ()
    unit: Literal["line", "row"] = "line"

    def in_rows(self) -> Finding:
        """The same for a table of rows, whose text begins with a line of their columns' names."""
        return replace(self, unit="row", lines=tuple(line - 1 for line in self.lines if line > 1))

    def where(self) -> str:
        """The lines and the column: "line 3, column 2 ('age')"; empty for the whole table."""
        parts = []
        if self.lines:
            named = ", ".join(map(str, self.lines))
            more = f" and {self.count - len(self.lines)} more" * (self.count > len(self.lines))
            parts.append(f"{self.unit}{'s' * (self.count > 1)} {named}{more}")
        if self.position is not None:
            name = "" if self.column is None else f" ({self.column!r})"
            parts.append(f"column {self.position}{name}")
        elif self.column is not None:
            parts.append(repr(self.column))
        return ", ".join(parts)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        return cls(**{**value, "lines": tuple(value["lines"])})


class UnfitTableError(InputError):
    """A table that does not fit the job, with everything that was found."""

    def __init__(self, findings: Sequence[Finding], path: Path, rows: int = 0) -> None:
        super().__init__(*_text(findings, path))
        self.findings = tuple(findings)
        self.path = path
        self.rows = rows  # of the table, where whoever found this has counted them

    def to_json(self) -> dict[str, Any]:
        """For the process that asked for the table."""
        findings = [asdict(one) for one in self.findings]
        return {"findings": findings, "path": str(self.path), "rows": self.rows}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> UnfitTableError:
        findings = [Finding.from_json(one) for one in value["findings"]]
        return cls(findings, Path(value["path"]), value["rows"])


def _text(findings: Sequence[Finding], path: Path) -> tuple[str, str, str]:
    if len(findings) == 1:
        (one,) = findings
        where = one.where()
        # A column that is missing has no place but the header's line; its name is in the text.
        if one.kind == "missing-column":
            where = f"line {one.lines[0]}" if one.lines else ""
        return one.what, f"{path}, {where}" if where else str(path), one.hint
    kinds = list(dict.fromkeys(one.kind for one in findings))
    lines, hints = [], []
    for kind in kinds:
        alike = [one for one in findings if one.kind == kind]
        places = [place for one in alike[:_MOST_PLACES] if (place := one.where())]
        title = _TITLES.get(kind, alike[0].what) if places else alike[0].what
        more = len(alike) - _MOST_PLACES
        text = "; ".join(places) + f"; and {more} more columns" * (more > 0)
        lines.append(f"  {title}: {text}" if text else f"  {title}")
        hints += [one.hint for one in alike]
    what = "the table does not fit the job:\n" + "\n".join(lines)
    return what, str(path), "\n".join(dict.fromkeys(hints))
