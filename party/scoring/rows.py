"""Rows to score: a CSV, plain or gzip, or a Parquet file, in batches of codes and kept cells.

Columns are found by their names, in any order; others are ignored, or kept beside the score where
that is asked for. A first row of numbers is no header: then the columns stand as in the model.
What a column cannot take is refused with its rows, never its value.
"""

from __future__ import annotations

import csv as csv_text
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from party.agreement.columns import ColumnSchema
from party.process.errors import InputError, printable
from party.process.files import unreadable
from party.table.cells import is_number
from party.table.columns.decoding import WrongCellError, decoder
from party.table.packing import HEAD_BYTES, other_form

Codes = NDArray[np.float64]

_BLOCK_BYTES = 1024 * 1024
_NUMBER = r"^[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"
_MOST_ROWS = 5
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"


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
    path: Path, schemas: Mapping[str, ColumnSchema | None], keep: Sequence[str] = ()
) -> Iterator[Batch]:
    """The rows of a table, in its order.

    Args:
        path: the table.
        schemas: of the columns to read, by name; None for a plain number.
        keep: names of those whose texts are wanted as they are.

    Raises InputError, while it is iterated, for what cannot be read; for a header without a name
    or with one twice; and, at the end, for all columns with cells that they cannot take.
    """
    wrong = _Wrong()
    row = 0
    for block in _blocks(path, [*schemas, *keep]):
        codes = np.empty((len(block), len(schemas)))
        for i, (name, schema) in enumerate(schemas.items()):
            column = block.column(name)
            if schema is None:
                codes[:, i] = numbers = _numbers(column)
                wrong.add(name, _NO_NUMBER, row + np.flatnonzero(~np.isfinite(numbers)))
            else:
                codes[:, i] = _decoded(column, name, schema, row, wrong)
        row += len(block)
        if not wrong.places:
            yield Batch(codes, [_texts(block.column(name)) for name in keep])
    if wrong.places:
        raise InputError(str(wrong), str(path), "\n".join(wrong.hints))
    if not row:
        raise InputError("the table has no rows", str(path), "give a row for each score")


_NO_NUMBER = "the cell is no finite number", "give a number in each of these cells"


class _Wrong:
    """What is wrong with which cells."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, str], tuple[int, list[int]]] = {}
        self.hints: dict[str, None] = {}

    def add(self, column: str, error: tuple[str, str], rows: NDArray[np.intp]) -> None:
        """Some rows more, counted from 0, of which the first few are told."""
        if not len(rows):
            return
        what, hint = error
        self.hints[hint] = None
        count, named = self.places.get((column, what), (0, []))
        named = named + [int(one) + 1 for one in rows[: _MOST_ROWS - len(named)]]
        self.places[column, what] = count + len(rows), named

    def __str__(self) -> str:
        lines = ["cells that the model cannot take (rows from 1, behind the header):"]
        for (column, what), (count, rows) in self.places.items():
            more = count - len(rows)
            named = ", ".join(map(str, rows)) + f" and {more} more" * (more > 0)
            lines.append(f"  column {column!r}: row{'s' * (count > 1)} {named}: {what}")
        return "\n".join(lines)


def _numbers(column: Any) -> Codes:
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


def _decoded(column: Any, name: str, schema: ColumnSchema, first: int, wrong: _Wrong) -> Codes:
    """A column's codes. Each text is decoded once, however often it stands there."""
    texts = pa.array(_texts(column), pa.string()).dictionary_encode()
    places = texts.indices.to_numpy(zero_copy_only=False)
    decode, codes = decoder(schema), np.full(len(texts.dictionary), np.nan)
    for i, text in enumerate(texts.dictionary.to_pylist()):
        try:
            codes[i] = decode(text)
        except WrongCellError as error:
            wrong.add(name, (error.what, error.hint or ""), first + np.flatnonzero(places == i))
    return np.asarray(codes[places])


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
