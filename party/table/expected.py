"""What a job expects of one party's table: all that reading one needs to know of the job."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the process that reads a table starts sooner without them
    from party.agreement.job import Job, Party


@dataclass(frozen=True)
class Expected:
    """A table that fits the job.

    Attributes:
        job: the job's name.
        party: "alice" or "bob", whose table it is.
        rows: as many as the job says.
        columns: names in order: the features, or the label alone.
        reach_limit: the largest squared length of a standardised row, or None for any.
    """

    job: str
    party: str
    rows: int
    columns: tuple[str, ...]
    reach_limit: float | None

    @classmethod
    def of(cls, job: Job, party: Party) -> Expected:
        """What a job expects of a party. The third server has no table."""
        from party.models.logistic_regression.reference import reach_limit

        if party == "alice":
            return cls(job.name, party, job.rows, job.features, reach_limit(job))
        if party == "bob":
            return cls(job.name, party, job.rows, (job.label,), None)
        raise ValueError("only alice and bob have a table")

    @property
    def labels(self) -> bool:
        """Whether the table holds labels, and not features."""
        return self.party == "bob"

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix: features have the intercept's column of ones beside them."""
        return self.rows, len(self.columns) + (0 if self.labels else 1)

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
        return cls(**value | {"columns": tuple(value["columns"])})
