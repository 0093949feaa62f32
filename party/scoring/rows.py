"""Rows to score: a CSV, plain or gzip, or a Parquet file, in batches of numbers and kept cells.

Columns are found by their names, in any order; others are ignored, or kept beside the score where
that is asked for. A first row of numbers is no header: then the columns stand as in the model.
What is no finite number is refused with its rows, never its value.
"""

from __future__ import annotations

import csv as csv_text
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from party.process.errors import InputError, printable
from party.process.files import unreadable
from party.table.cells import is_number
from party.table.packing import HEAD_BYTES, other_form

_BLOCK_BYTES = 1024 * 1024
_NUMBER = r"^[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"
_MOST_ROWS = 5
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes:
        x: float64, [rows, columns].
        kept: texts of the columns to keep, one list for each.
    """

    x: NDArray[np.float64]
    kept: list[list[str]]


def batches(path: Path, columns: Sequence[str], keep: Sequence[str] = ()) -> Iterator[Batch]:
    """The rows of a table, in its order.

    Args:
        path: the table.
        columns: names of those that are numbers.
        keep: names of those whose texts are wanted as they are.

    Raises InputError, while it is iterated, for what cannot be read; for a header without a name
    or with one twice; and, at the end, for all columns with cells that are no finite numbers.
    """
    wrong: dict[str, list[int]] = {}
    counts: dict[str, int] = {}
    row = 0
    for block in _blocks(path, [*columns, *keep]):
        x = np.empty((len(block), len(columns)))
        for i, name in enumerate(columns):
            numbers = _numbers(block.column(name))
            x[:, i] = numbers
            bad = np.flatnonzero(~np.isfinite(numbers))
            if len(bad):
                counts[name] = counts.get(name, 0) + len(bad)
                found = wrong.setdefault(name, [])
                found += [row + int(one) + 1 for one in bad[: _MOST_ROWS - len(found)]]
        row += len(block)
        if not wrong:
            texts = [_texts(block.column(name)) for name in keep]
            yield Batch(x, texts)
    if wrong:
        raise InputError(_told(wrong, counts), str(path), "give a number in each of these cells")
    if not row:
        raise InputError("the table has no rows", str(path), "give a row for each score")


def _told(wrong: dict[str, list[int]], counts: dict[str, int]) -> str:
    lines = []
    for name, rows in wrong.items():
        more = counts[name] - len(rows)
        named = ", ".join(map(str, rows)) + f" and {more} more" * (more > 0)
        lines.append(f"  column {name!r}: row{'s' * (counts[name] > 1)} {named}")
    return "cells that are no finite numbers (rows from 1, behind the header):\n" + "\n".join(lines)


def _numbers(column: Any) -> NDArray[np.float64]:
    """A column's numbers, NaN for what is none."""
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = pc.cast(column, pa.float64(), safe=False)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        right = pc.match_substring_regex(column, _NUMBER)
        text = pc.utf8_trim(pc.if_else(right, column, "nan"), characters=" \t")
        numbers = pc.cast(text, pa.float64())
    else:
        return np.full(len(column), np.nan)
    return np.asarray(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False))


def _texts(column: Any) -> list[str]:
    import pyarrow.compute as pc

    texts = pc.cast(column, pa.string())
    return ["" if text is None else text for text in texts.to_pylist()]


def _blocks(path: Path, names: Sequence[str]) -> Iterator[Any]:
    """The table's batches, the named columns alone."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(error, "the table", path) from None
    if head.startswith(_PARQUET):
        yield from _parquet(path, names)
        return
    if not head.strip():
        raise InputError("the table is empty", str(path), "give a header and a row for each score")
    if other := other_form(head):
        name, hint = other
        raise InputError(f"the table is {name}, neither CSV nor Parquet", str(path), hint)
    yield from _csv(path, names, packed=head.startswith(_GZIP))


def _csv(path: Path, names: Sequence[str], packed: bool) -> Iterator[Any]:
    from pyarrow import csv

    wanted = list(dict.fromkeys(names))
    try:
        header = _header(path, packed)
        # As a party's own table: a first row of numbers is a row, in the model's order.
        bare = all(is_number(cell) for cell in header)
        if bare and len(header) == len(names):
            header = list(names)
        elif bare:
            what = f"there is no header, and {len(header)} columns where the model has {len(names)}"
            raise InputError(what, str(path), "give the names of the columns in a first row")
        _check_names(header, names, path)
        with pa.input_stream(str(path), compression="gzip" if packed else None) as stream:
            reader = csv.open_csv(
                stream,
                csv.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK_BYTES,
                    skip_rows=0 if bare else 1,
                    column_names=header,
                ),
                convert_options=csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    null_values=[],
                    strings_can_be_null=False,
                ),
            )
            yield from reader
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error, UnicodeDecodeError, csv_text.Error):
        # The library's own words may hold a cell.
        hint = "give CSV text in UTF-8, a header first, as many cells in each row as in the header"
        raise InputError("the table cannot be read to its end", str(path), hint) from None


def _header(path: Path, packed: bool) -> list[str]:
    with gzip.open(path) if packed else path.open("rb") as stream:
        line = stream.readline(_BLOCK_BYTES).decode("utf-8-sig")
    cells = next(csv_text.reader([line.rstrip("\r\n")], strict=True), [])
    return [cell.strip(" \t") for cell in cells]


def _parquet(path: Path, names: Sequence[str]) -> Iterator[Any]:
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _check_names(file.schema_arrow.names, names, path)
            yield from file.iter_batches(columns=list(dict.fromkeys(names)))
    except (pa.ArrowException, OSError):
        raise InputError("the Parquet file is damaged", str(path), "write it again") from None


def _check_names(have: list[str], names: Sequence[str], path: Path) -> None:
    missing = [name for name in names if name not in have]
    twice = [name for name in dict.fromkeys(names) if have.count(name) > 1]
    for found, what in ((missing, "has no column"), (twice, "has more than one column")):
        if found:
            named = ", ".join(repr(printable(name)) for name in found[:12])
            more = f" and {len(found) - 12} more" * (len(found) > 12)
            hint = "the first row is a header with the names that the model has"
            raise InputError(f"the table {what} {named}{more}", str(path), hint)
