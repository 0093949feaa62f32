"""Rows to score, in batches of codes and kept cells: a table in any form that the kit reads.

Columns are found by their names, in any order; others are ignored, or kept beside the score where
that is asked for. A first row of numbers is no header: then the columns stand as in the model.
What a column cannot take is refused with its rows, never its value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from party.agreement.columns import ColumnSchema
from party.process.errors import InputError, printable
from party.table.cells import separator
from party.table.expected import Expected
from party.table.numbers import decode, numbers
from party.table.raw import RawBlock, raw_blocks

Codes = NDArray[np.float64]

_MOST_ROWS = 5
_MOST_NAMES = 12


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes:
        codes: float64, [rows, columns]; see ``party.table.columns.decoding``.
        kept: texts of the columns to keep, one list for each.
    """

    codes: Codes
    kept: list[list[str]]


def batches(
    path: Path,
    schemas: Mapping[str, ColumnSchema | None],
    keep: Sequence[str] = (),
    packed: Expected | None = None,
) -> Iterator[Batch]:
    """The rows of a table, in its order.

    Args:
        path: the table.
        schemas: of the columns to read, by name; None for a plain number.
        keep: names of those whose texts are wanted as they are.
        packed: whose table it must be, where it is a directory of parts.

    Raises InputError, while it is iterated, for what cannot be read; for a header without a name;
    and, at the end, for all columns with cells that they cannot take.
    """
    wrong = _Wrong()
    for block in raw_blocks(path, [*schemas, *keep], packed):
        _check_names(block, [*schemas, *keep], path)
        columns = dict(zip(block.names, block.cells, strict=True))
        codes = np.empty((len(block.cells[0]), len(schemas)))
        for i, (name, schema) in enumerate(schemas.items()):
            if schema is None:
                codes[:, i] = numbers(columns[name])
                bad = np.flatnonzero(~np.isfinite(codes[:, i]))
                wrong.add(name, _NO_NUMBER, block.row + bad)
                continue
            codes[:, i], errors = decode(columns[name], schema)
            for row, error in errors.items():
                wrong.add(name, (error.what, error.hint or ""), [block.row + row])
        if not wrong.places:
            yield Batch(codes, [columns[name].to_pylist() for name in keep])
    if wrong.places:
        raise InputError(str(wrong), str(path), "\n".join(wrong.hints))


_NO_NUMBER = "the cell is no finite number", "give a number in each of these cells"


class _Wrong:
    """What is wrong with which cells."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, str], tuple[int, list[int]]] = {}
        self.hints: dict[str, None] = {}

    def add(self, column: str, error: tuple[str, str], rows: Iterable[int]) -> None:
        """Some rows more, counted from 1, of which the first few are told."""
        what, hint = error
        for row in rows:
            self.hints[hint] = None
            count, named = self.places.setdefault((column, what), (0, []))
            if count < _MOST_ROWS:
                named.append(int(row))
            self.places[column, what] = count + 1, named

    def __str__(self) -> str:
        lines = ["cells that the model cannot take (rows from 1, behind the header):"]
        for (column, what), (count, rows) in self.places.items():
            more = count - len(rows)
            named = ", ".join(map(str, rows)) + f" and {more} more" * (more > 0)
            lines.append(f"  column {column!r}: row{'s' * (count > 1)} {named}: {what}")
        return "\n".join(lines)


def _check_names(block: RawBlock, names: Sequence[str], path: Path) -> None:
    missing = [name for name in names if name not in block.names]
    if missing:
        named = ", ".join(repr(printable(name)) for name in missing[:_MOST_NAMES])
        more = f" and {len(missing) - _MOST_NAMES} more" * (len(missing) > _MOST_NAMES)
        hint = "the first row is a header with the names that the model has"
        if len(block.names) == 1 and (found := separator(block.names[0].encode())) is not None:
            more += f"; its cells are separated by {found[0]}, not by commas"
            hint = "separate cells by commas, or say how it is in a settings file: docs/tables.md"
        raise InputError(f"the table has no column {named}{more}", str(path), hint)
