"""From lines of numbers to arrays: the quick look, which takes what is right and says no more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from party.table.moments import Columns
from party.table.text import BLOCK_BYTES

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_STRAY_QUOTE = re.compile(rb'[^,\r\n]"[^,\r\n]')


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
    import pyarrow.compute as pc  # here: few tables need it, and it takes its time

    wrong: list[int] = []

    def skip(row: Any) -> str:
        wrong.append(row.number - 1)
        return "skip"

    table = _read(text, width, positions, pa.string(), skip, wrong)
    lines = np.setdiff1d(np.arange(len(table) + len(wrong)), wrong, assume_unique=True)
    cells = [pc.utf8_trim(column.combine_chunks(), characters=" \t") for column in table.columns]
    try:
        values = [_numbers(column) for column in cells]
    except pa.ArrowInvalid:
        raise UnreadableLinesError from None
    return Loose(lines, np.stack(values), cells)


def _numbers(column: Any) -> NDArray[np.float64]:
    import pyarrow.compute as pc

    right = pc.match_substring_regex(column, _NUMBER)
    return np.array(pc.cast(pc.if_else(right, column, "nan"), pa.float64()).to_numpy())


def pick(text: bytes, width: int, positions: Sequence[int]) -> bytes:
    """The same lines with some of their cells alone, in another order: each as it stands there.

    Raises:
        UnreadableLinesError: a line has another width, or is not UTF-8; or a cell that is picked
            needs quotes, as no number does.
    """
    import pyarrow.compute as pc

    table = _read(text, width, positions, pa.binary())
    columns = [column.combine_chunks() for column in table.columns]
    lines = pc.binary_join_element_wise(*columns, b",")
    picked = b"\n".join(lines.to_pylist()) + b"\n"
    commas = (len(positions) - 1) * len(lines)
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
    # What the library would take with a shrug: 1"2"3 as 123, and a lone CR as an end of line.
    stray = b'"' in text and _STRAY_QUOTE.search(text)
    if stray or (b"\r" in text and text.count(b"\r") != text.count(b"\r\n")):
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
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(use_threads=False, block_size=2 * BLOCK_BYTES, column_names=names),
            csv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=skip),
            csv.ConvertOptions(
                check_utf8=kind == pa.string(),  # numbers are ASCII, and others are not taken
                column_types=dict.fromkeys(wanted, kind),
                include_columns=wanted,
                null_values=[],
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
