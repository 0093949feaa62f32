"""What a job expects of one party's table: all that reading one needs to know of the job."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from party.models.label import LabelRule

if TYPE_CHECKING:  # the process that reads a table starts sooner without them
    from party.agreement.columns import ColumnSchema
    from party.agreement.job import Align, Job, Party


@dataclass(frozen=True)
class Expected:
    """A table that fits the job.

    Attributes:
        job: the name that the table is packed under: the job's trust domain.
        party: whose table it is.
        rows: as many as the job says.
        columns: names in the table's order: the label, if the party holds it, then the features.
        schemas: of each of these, where it is not a plain number; empty where all are.
        label: what the label must be; None where another party holds it.
        intercept: whether a column of ones follows the features in the matrix.
        row_limit: the largest squared length of a standardised row, or None for any.
        key: names of the columns that identify a row, which are text and no part of the matrix.
        undated: of these, the columns of which a date has no form that the job says.
        norm: the length to which a standardised row is cut, where nothing is learnt from columns;
            None where they are standardised by what they hold, and nothing is cut.
    """

    job: str
    party: str
    rows: int
    columns: tuple[str, ...]
    label: LabelRule | None
    intercept: bool
    row_limit: float | None
    schemas: tuple[ColumnSchema | None, ...] = ()
    key: tuple[str, ...] = ()
    undated: tuple[str, ...] = ()
    norm: float | None = None

    @classmethod
    def of(cls, job: Job, party: Party) -> Expected:
        """What a job expects of a party that holds columns."""
        from party.models.private_weights import norm_of
        from party.models.registry import model_of

        if party not in job.holders:
            raise ValueError(f"{party} has no table")
        model, label = model_of(job.parameters), job.label_of(party)
        limit = model.row_limit(job)
        if limit is not None:
            # A row's length is that of all holders' parts of it, and each sees its own part alone.
            limit /= sum(bool(job.features_of(holder)) for holder in job.holders)
        columns = (*(() if label is None else (label,)), *job.features_of(party))
        schemas = tuple(job.schema_of(name) for name in columns)
        return cls(
            job=job.domain,
            party=party,
            rows=job.rows,
            columns=columns,
            label=None if label is None else model.label_rule,
            intercept=party == job.intercept_holder,
            row_limit=limit,
            schemas=schemas if any(schemas) else (),
            key=() if job.align is None else job.align.of(party),
            undated=() if job.align is None else _texts(job.align, party),
            norm=None if job.weight_privacy is None else norm_of(job, party),
        )

    @property
    def first_feature(self) -> int:
        """Where the features begin among the columns: behind the label."""
        return int(self.label is not None)

    @property
    def feature_schemas(self) -> tuple[ColumnSchema | None, ...]:
        """The schemas of the features; empty where all are plain numbers."""
        return self.schemas[self.first_feature :]

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """For each column of the model that is the party's: the column that it comes of."""
        own = range(self.first_feature, len(self.columns))
        if not self.schemas:
            return tuple(own)
        from party.table.columns.deriving import sources

        return tuple(own[source] for source in sources(self.feature_schemas))

    def is_number(self, column: int) -> bool:
        """Whether numbers stand in a column."""
        if self.columns[column] in self.key:
            return False
        schema = self.schemas[column] if self.schemas else None
        return schema is None or schema.type == "number"

    @property
    def features(self) -> int:
        """How many columns of the model are the party's."""
        return len(self.sources)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix: the features, the ones if the intercept is here, the label if it is."""
        return self.rows, self.features + self.first_feature + self.intercept

    def place(self, path: Path, line: int | None = None, column: int | None = None) -> str:
        """A place for an error: file, line from 1, column from 0 (said from 1, with its name)."""
        place = str(path)
        if line is not None:
            place += f", line {line}"
        if column is not None:
            place += f", column {column + 1} ({self.columns[column]!r})"
        return place

    def to_json(self) -> str:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["label"] = None if self.label is None else asdict(self.label)
        plain["schemas"] = [one if one is None else one.model_dump() for one in self.schemas]
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> Expected:
        value = json.loads(text)
        if (label := value["label"]) is not None:
            classes = None if label["classes"] is None else tuple(label["classes"])
            value["label"] = LabelRule(classes, label["unit"], label["most"])
        names = {key: tuple(value[key]) for key in ("columns", "key", "undated", "schemas")}
        if value["schemas"]:
            from party.agreement.columns import from_plain

            names["schemas"] = tuple(one and from_plain(one) for one in value["schemas"])
        return cls(**value | names)


def _texts(align: Align, party: Party) -> tuple[str, ...]:
    """The columns of the key that are text."""
    pairs = zip(align.of(party), align.dates_of(party), strict=True)
    return tuple(name for name, date in pairs if date is None)
