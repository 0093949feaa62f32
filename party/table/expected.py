"""What a job expects of one party's table: all that reading one needs to know of the job."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from party.models.label import LabelRule

if TYPE_CHECKING:  # the process that reads a table starts sooner without them
    from party.agreement.job import Job, Party


@dataclass(frozen=True)
class Expected:
    """A table that fits the job.

    Attributes:
        job: the job's name.
        party: whose table it is.
        rows: as many as the job says.
        columns: names in the table's order: the label, if the party holds it, then the features.
        label: what the label must be; None where another party holds it.
        intercept: whether a column of ones follows the features in the matrix.
        row_limit: the largest squared length of a standardised row, or None for any.
        key: names of the columns that identify a row, which are text and no part of the matrix.
    """

    job: str
    party: str
    rows: int
    columns: tuple[str, ...]
    label: LabelRule | None
    intercept: bool
    row_limit: float | None
    key: tuple[str, ...] = ()

    @classmethod
    def of(cls, job: Job, party: Party) -> Expected:
        """What a job expects of a party that holds columns."""
        from party.models.registry import model_of

        if party not in job.holders:
            raise ValueError(f"{party} has no table")
        model, label = model_of(job.parameters), job.label_of(party)
        limit = model.row_limit(job)
        if limit is not None:
            # A row's length is that of all holders' parts of it, and each sees its own part alone.
            limit /= sum(bool(job.features_of(holder)) for holder in job.holders)
        return cls(
            job=job.name,
            party=party,
            rows=job.rows,
            columns=(*(() if label is None else (label,)), *job.features_of(party)),
            label=None if label is None else model.label_rule,
            intercept=party == job.intercept_holder,
            row_limit=limit,
            key=() if job.align is None else job.align.of(party),
        )

    @property
    def features(self) -> int:
        """How many of the columns are features."""
        return len(self.columns) - (self.label is not None)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix: the features, the ones if the intercept is here, the label if it is."""
        return self.rows, len(self.columns) + self.intercept

    def place(self, path: Path, line: int | None = None, column: int | None = None) -> str:
        """A place for an error: file, line from 1, column from 0 (said from 1, with its name)."""
        place = str(path)
        if line is not None:
            place += f", line {line}"
        if column is not None:
            place += f", column {column + 1} ({self.columns[column]!r})"
        return place

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Expected:
        value = json.loads(text)
        if (label := value["label"]) is not None:
            classes = None if label["classes"] is None else tuple(label["classes"])
            value["label"] = LabelRule(classes, label["unit"], label["most"])
        names = {name: tuple(value[name]) for name in ("columns", "key")}
        return cls(**value | names)
