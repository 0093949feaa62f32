"""A party's private table: a file, CSV for instance -> a validated, locally standardised matrix.

What a table may look like:

- **Text**: UTF-8, with or without byte order mark; lines end in LF or CRLF; no empty lines; cells
  are separated by commas, and may stand in double quotes. Plain or gzip, told by its first bytes.
- **Header**: a first row in which no cell is a number, or that has all of the job's names in it. It
  has each of them once, in any order; further columns are ignored, and do not leave the machine
  that the table is on (``party.table.taken``). A first row of 0, 1, 2, … is refused: it may be a
  header of numbers or a row.
- **No header**: the job's columns in the job's order, after the label if the party holds it.
- **Numbers**: decimal, with or without exponent. Every cell of every column of the job is one, and
  there is no missing value, unless the job has a schema for the column (``party.table.columns``).
- **Rows**: as many as the job says, in the order that the parties agreed on.

Instead of a file, the table may be a directory of parts (``party.table.parts``), as it reaches a
pod. Parquet, Arrow, other dialects of CSV and queries are read as the text that they would be
(``party.table.forms``).

Anything else is refused: all of it at once (``party.table.findings``), with the places, and without
the values that stand there: they are private, and the message ends up in logs. Nothing leaves the
party before its table was read to the end.

Standardisation is local: ``(value - mean) / scale`` with the column's own mean and population
standard deviation, or its median and interquartile range where the job says so. Since the mean
square of each column is then about one, the fixed-point numbers of the
protocols are, all in all, small ones; single outliers are held to ``party.agreement.limits.LIMIT``
and to what the job's steps can bear (``party.models.Model.row_limit``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from party.table.findings import Finding, UnfitTableError
    from party.table.held_out import by_training_rows
    from party.table.loading import load
    from party.table.noise import with_noise
    from party.table.private_labels import LabelKey, with_private_labels
    from party.table.table import Table, read_table

__all__ = [
    "Finding",
    "LabelKey",
    "Table",
    "UnfitTableError",
    "by_training_rows",
    "load",
    "read_table",
    "with_noise",
    "with_private_labels",
]

_WHERE = {
    "Finding": "findings",
    "UnfitTableError": "findings",
    "by_training_rows": "held_out",
    "load": "loading",
    "with_noise": "noise",
    "LabelKey": "private_labels",
    "with_private_labels": "private_labels",
    "Table": "table",
    "read_table": "table",
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: whoever handles a table's parts alone needs no arrays."""
    if name not in _WHERE:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
