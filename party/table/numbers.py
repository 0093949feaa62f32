"""From lines of numbers to arrays: the quick look, which takes what is right and says no more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from party.table.cells import WrongLineError, cells_of
from party.table.moments import Columns
from party.table.packing import BLOCK_BYTES

if TYPE_CHECKING:
    from party.agreement.columns import ColumnSchema
    from party.table.columns.decoding import WrongCellError

NUMBER_CELL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_EMPTY_LINE = re.compile(rb"^\r?$", re.MULTILINE)
_STRAY_QUOTE = re.compile(rb'"(?<=[^,\r\n]")(?=[^,\r\n])')
"""Looked for by its quote first, which is quick where few stand."""


class UnreadableLinesError(Exception):
    """The lines hold something else. What, and where, is for ``party.table.diagnosis`` to say: the
    library's own messages hold the value that it stumbled over."""


def parse(text: bytes, width: int, positions: Sequence[int]) -> Columns:
    """The numbers in some lines, finite or not.

    Args:
        text: whole lines.
        width: cells of each line.
        positions: of the columns to read, from 0.

    Raises:
        UnreadableLinesError: a line has another width, or a cell to be read is no number.
    """
    table = _read(text, width, positions, pa.float64())
    return np.stack([column.to_numpy() for column in table.columns])


def parse_typed(
    text: bytes, width: int, positions: Sequence[int], schemas: Sequence[ColumnSchema | None]
) -> Columns:
    """The codes in some lines whose columns have schemas (``party.table.columns``).

    Args:
        text: whole lines.
        width: cells of each line.
        positions: of the columns to read, from 0.
        schemas: of these columns; None for a plain number.

    Raises:
        UnreadableLinesError: a line has another width, or a cell to be read is wrong.
    """
    if width == 1 and _EMPTY_LINE.search(text.removesuffix(b"\n")):
        raise UnreadableLinesError
    plain = [schema is None or schema.type == "number" for schema in schemas]
    try:
        kinds = [pa.float64() if number else pa.string() for number in plain]
        columns = _read(text, width, positions, kinds).columns
        found = [
            _checked_numbers(column, schema) if number else _codes(column, schema)
            for column, schema, number in zip(columns, schemas, plain, strict=True)
        ]
    except UnreadableLinesError:  # a space in the place of a number perhaps, or a quote in a word
        columns = texts(text, width, positions)
        found = [_codes(column, one) for column, one in zip(columns, schemas, strict=True)]
    return np.stack(found)


def texts(text: bytes, width: int, positions: Sequence[int]) -> list[Any]:
    """The cells in some lines by columns."""
    try:
        return list(_read(text, width, positions, pa.string()).columns)
    except UnreadableLinesError:
        pass
    found: list[list[str]] = [[] for _ in positions]
    for line in text.removesuffix(b"\n").split(b"\n"):
        try:
            cells = cells_of(line)
        except WrongLineError:
            raise UnreadableLinesError from None
        if len(cells) != width:
            raise UnreadableLinesError
        for column, position in zip(found, positions, strict=True):
            column.append(cells[position])
    return [pa.chunked_array([pa.array(column, pa.string())]) for column in found]


def _codes(column: Any, schema: ColumnSchema | None) -> NDArray[np.float64]:
    if schema is None:
        values = numbers(trimmed(column))
        if not np.isfinite(values).all():
            raise UnreadableLinesError
        return values
    codes, wrong = decode(trimmed(column), schema)
    if wrong:
        raise UnreadableLinesError
    return codes


def _checked_numbers(column: Any, schema: ColumnSchema | None) -> NDArray[np.float64]:
    values = np.array(column.to_numpy())
    finite, gaps = np.isfinite(values), column.null_count
    if finite.sum() + gaps < len(values):
        raise UnreadableLinesError
    if gaps and (schema is None or not schema.takes_gaps):
        raise UnreadableLinesError
    if getattr(schema, "log1p", False) and (values <= -1).any():
        raise UnreadableLinesError
    return values


def trimmed(column: Any) -> Any:
    import pyarrow.compute as pc  # here: few tables need it, and it takes its time

    return pc.utf8_trim(column.combine_chunks(), characters=" \t")


def decode(
    cells: Any, schema: ColumnSchema
) -> tuple[NDArray[np.float64], dict[int, WrongCellError]]:
    """The codes of some cells, and what is wrong, by row, with those that have none; NaN there."""
    from party.table.columns.decoding import WrongCellError, decoder

    encoded = cells.dictionary_encode()
    indices, one = np.array(encoded.indices), decoder(schema)
    codes, wrong = np.full(len(encoded.dictionary), np.nan), {}
    for i, cell in enumerate(encoded.dictionary.to_pylist()):
        try:
            codes[i] = one(cell)
        except WrongCellError as error:
            wrong[i] = error
    rows = np.flatnonzero(np.isin(indices, list(wrong))) if wrong else ()
    return codes[indices], {int(row): wrong[int(indices[row])] for row in rows}


@dataclass(frozen=True)
class Loose:
    """Lines in which not every cell is a number.

    Attributes:
        lines: which lines have the right width, from 0.
        values: their numbers by columns, NaN for what is none.
        cells: their cells, a column each.
    """

    lines: NDArray[np.intp]
    values: Columns
    cells: list[Any]


def parse_loosely(text: bytes, width: int, positions: Sequence[int]) -> Loose:
    """As ``parse``, for lines of which some are wrong.

    Raises:
        UnreadableLinesError: they cannot be told apart into lines and cells so quickly.
    """
    wrong: list[int] = []

    def skip(row: Any) -> str:
        wrong.append(row.number - 1)
        return "skip"

    table = _read(text, width, positions, pa.string(), skip, wrong)
    lines = np.setdiff1d(np.arange(len(table) + len(wrong)), wrong, assume_unique=True)
    cells = [trimmed(column) for column in table.columns]
    try:
        values = [numbers(column) for column in cells]
    except pa.ArrowInvalid:
        raise UnreadableLinesError from None
    return Loose(lines, np.stack(values), cells)


def numbers(column: Any) -> NDArray[np.float64]:
    """The numbers in cells without spaces around them, NaN for what is none."""
    import pyarrow.compute as pc

    right = pc.match_substring_regex(column, NUMBER_CELL)
    return np.array(pc.cast(pc.if_else(right, column, "nan"), pa.float64()).to_numpy())


def pick(text: bytes, width: int, positions: Sequence[int]) -> bytes:
    """The same lines with some of their cells alone, in another order: each as it stands there.

    Raises:
        UnreadableLinesError: a line has another width, or is not UTF-8; or a cell that is picked
            needs quotes, as few do.
    """
    import pyarrow.compute as pc

    table = _read(text, width, positions, pa.binary())
    columns = [column.combine_chunks() for column in table.columns]
    lines = pc.binary_join_element_wise(*columns, b",")
    ended = pc.binary_join_element_wise(lines, b"", b"\n")
    picked = ended.buffers()[2].to_pybytes() if len(ended) else b""
    commas = (len(positions) - 1) * len(lines)
    if len(positions) == 1 and _EMPTY_LINE.search(picked):
        raise UnreadableLinesError  # an empty cell, which stands in quotes where it is alone
    if b'"' in picked or picked.count(b",") != commas or picked.count(b"\n") != len(lines):
        raise UnreadableLinesError
    return picked


def _read(
    text: bytes,
    width: int,
    positions: Sequence[int],
    kind: Any,
    skip: Any = None,
    skipped: Sequence[int] = (),
) -> Any:
    # What the library would take with a shrug: 1"2"3 as 123, and a lone CR as an end of line. It is
    # one at the end of a file, of which the last byte may be cut off.
    stray = b'"' in text and _STRAY_QUOTE.search(text)
    lone = text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else 0
    if stray or lone > text.endswith(b"\r"):
        raise UnreadableLinesError
    if width > len(positions):  # columns that are not looked at are text all the same
        try:
            text.decode()
        except UnicodeDecodeError:
            raise UnreadableLinesError from None
        if b"\0" in text:
            raise UnreadableLinesError
    names = [str(column) for column in range(width)]
    wanted = [names[position] for position in positions]
    mixed = isinstance(kind, list)  # texts, and numbers of which some may be missing
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(use_threads=False, block_size=2 * BLOCK_BYTES, column_names=names),
            csv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=skip),
            csv.ConvertOptions(
                # Numbers are ASCII, and others are not taken.
                check_utf8=mixed or kind == pa.string(),
                column_types=dict(
                    zip(wanted, kind if mixed else [kind] * len(wanted), strict=True)
                ),
                include_columns=wanted,
                null_values=[""] if mixed else [],
                strings_can_be_null=False,
            ),
            memory_pool=pa.system_memory_pool(),
        )
    except pa.ArrowInvalid:
        raise UnreadableLinesError from None
    if b'"' in text:  # a quoted cell may hold the end of a line, and here a row is one line
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        if len(table) + len(skipped) != lines:
            raise UnreadableLinesError
    return table
