"""From the text of a table to its standardised matrix, in two passes over the text.

The first pass checks everything that can be checked without the columns' moments, and gathers
these; the second fills the matrix. Between the two nothing is kept, so that memory beyond the
matrix stays the same for any number of rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from party.agreement.limits import LIMIT
from party.models.interface import LabelRule
from party.process.errors import InputError
from party.table.diagnosis import diagnosed, not_finite
from party.table.expected import Expected
from party.table.header import without_header
from party.table.text import BLOCK_BYTES, Block, Text, without_mark

_PASS_VALUES = 1 << 18
"""Values that are worked on at a time. How many rows make a block of the moments follows from it
and the number of columns alone, so that the same values give the same moments to the last bit,
whatever the text looks like."""

_ROWS = "give a CSV file with a row for each individual"
_STRAY_QUOTE = re.compile(rb'[^,\r\n]"[^,\r\n]')

Columns = NDArray[np.float64]
"""Some rows of the table by columns: [columns, rows]."""


@dataclass(frozen=True)
class Found:
    """What was found; see ``party.table.Table``."""

    matrix: NDArray[np.float32]
    mean: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None
    digest: str


def read(path: Path, expected: Expected, allocate: Callable[[], NDArray[np.float32]]) -> Found:
    """Reads, checks and standardises a table.

    Args:
        path: a CSV file or a directory of parts.
        expected: what the table must fit.
        allocate: gives the matrix to fill, float32 of ``expected.shape``. It is called when the
            first pass is through: a job of more rows than memory can hold is refused before.

    Raises:
        InputError: with file, line and column, and no value, for whatever does not fit.
    """
    table = _TableFile(path, expected)
    moments, digest = table.checked()
    mean, scale = (moments.mean, table.scale(moments)) if expected.features else (None, None)
    matrix = allocate()
    again = table.fill(matrix, mean, scale)
    if digest != again:
        hint = "start again when nobody writes to it"
        raise InputError("the table changed while it was read", str(path), hint)
    return Found(matrix, mean, scale, digest)


class _Moments:
    """Mean and sum of squared deviations, gathered block by block.

    Each block has its own two passes, and blocks are joined as in Chan, Golub and LeVeque,
    "Algorithms for computing the sample variance" (1983): no squares of large sums are subtracted.
    """

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self.mean = np.zeros(columns)
        self.squares = np.zeros(columns)
        self.low = np.full(columns, np.inf)
        self.high = np.full(columns, -np.inf)

    def add(self, block: Columns) -> None:
        count = block.shape[1]
        mean = block.mean(axis=1)
        squares = np.square(block - mean[:, np.newaxis]).sum(axis=1)
        rows = self.rows + count
        apart = mean - self.mean
        self.mean = self.mean + apart * (count / rows)
        self.squares = self.squares + squares + np.square(apart) * (self.rows / rows * count)
        self.low = np.minimum(self.low, block.min(axis=1))
        self.high = np.maximum(self.high, block.max(axis=1))
        self.rows = rows


class _TableFile:
    def __init__(self, path: Path, expected: Expected) -> None:
        self._path = path
        self._expected = expected
        self._first_feature = int(expected.label is not None)
        self._first_line = 1  # of the rows: 2 where there is a header

    def checked(self) -> tuple[_Moments, str]:
        """The moments of every feature, with the label checked, and the text's digest."""
        text = Text(self._path, self._expected)
        moments = _Moments(self._expected.features)
        labels = _Moments(1)
        with np.errstate(over="ignore", invalid="ignore"):  # seen by scale()
            for row, block in self._rows(text):
                if self._expected.features:
                    moments.add(block[self._first_feature :])
                if self._expected.label is not None:
                    self._check_label(self._expected.label, row, block[0])
                    labels.add(block[:1])
        if self._expected.label is not None and labels.low[0] == labels.high[0]:
            hint = "there is nothing to learn unless different labels are there"
            raise InputError("all labels are the same", str(self._path), hint)
        return moments, text.digest

    def _check_label(self, rule: LabelRule, row: int, labels: NDArray[np.float64]) -> None:
        """Raises InputError for a label that the model cannot be trained on."""
        if rule.classes is not None:
            wrong = np.flatnonzero(~np.isin(labels, rule.classes))
            known = " nor ".join(f"{value:g}" for value in rule.classes)
            what = f"the label is neither {known}"
            hint = "write labels as " + " and ".join(f"{value:g}" for value in rule.classes)
        else:
            wrong = np.flatnonzero(np.abs(labels) > rule.most * rule.unit)
            what = f"the label is larger than {rule.most:g} times the model's unit"
            hint = "agree on a larger model.unit, of the size of most labels"
        if len(wrong):
            raise InputError(what, self._place(row + int(wrong[0]), 0), hint)

    def scale(self, moments: _Moments) -> NDArray[np.float64]:
        """What to divide each column by: its population standard deviation.

        Raises InputError for a column that has none.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            scale = np.sqrt(moments.squares / moments.rows)
        largest = np.maximum(np.abs(moments.low), np.abs(moments.high))
        for column in range(len(scale)):
            place = self._expected.place(self._path, None, column + self._first_feature)
            constant = moments.low[column] == moments.high[column]
            # Values that differ by their own rounding alone are as good as constant.
            if constant or scale[column] <= 4 * np.finfo(np.float64).eps * largest[column]:
                what = "the column is constant: it cannot be standardised, and tells nothing"
                hint = "leave it out of the table and of the job's features"
                raise InputError(what, place, hint)
            if not (np.isfinite(scale[column]) and np.isfinite(moments.mean[column])):
                hint = "measure it in a larger unit"
                raise InputError("the column's values are too large to standardise", place, hint)
        return scale

    def fill(
        self,
        matrix: NDArray[np.float32],
        mean: NDArray[np.float64] | None,
        scale: NDArray[np.float64] | None,
    ) -> str:
        """Fills in standardised features, the ones and the label; the text's digest."""
        expected, text = self._expected, Text(self._path, self._expected)
        features = expected.features
        for row, block in self._rows(text):
            rows = slice(row, row + block.shape[1])
            if mean is not None and scale is not None:
                own = block[self._first_feature :]
                own -= mean[:, np.newaxis]
                own /= scale[:, np.newaxis]
                self._check_range(row, own)
                matrix[rows, :features] = own.T
            if expected.label is not None:
                matrix[rows, -1] = block[0] / expected.label.unit
        if expected.intercept:
            matrix[:, features] = 1.0
        return text.digest

    def _check_range(self, row: int, block: Columns) -> None:
        outliers = np.argwhere(np.abs(block.T) > LIMIT)
        if len(outliers):
            at, column = outliers[0]
            what = f"the value is more than {LIMIT:.0f} standard deviations from the column's mean"
            hint = "look whether it is an error; otherwise clip the column or take its logarithm"
            place = self._place(row + int(at), int(column) + self._first_feature)
            raise InputError(what, place, hint)
        limit = self._expected.row_limit
        if limit is None:
            return
        far = np.flatnonzero(np.square(block).sum(axis=0) + self._expected.intercept > limit)
        if len(far):
            at = int(far[0])
            column = int(np.argmax(np.abs(block[:, at])))
            what = (
                "the row is so far from the others that one step of this job would throw the model "
                "out of the range in which the protocol's sigmoid holds"
            )
            hint = (
                "clip the column or take its logarithm; or agree on a smaller learning_rate, a "
                "larger batch_size, or the protocol aby3"
            )
            raise InputError(what, self._place(row + at, column + self._first_feature), hint)

    def _rows(self, text: Text) -> Iterator[tuple[int, Columns]]:
        """The rows, as many at a time as ``_PASS_VALUES`` allows, and the number of the first.

        Every value is finite, and there are as many rows as the job says. What is given belongs to
        the caller only until the next is asked for.
        """
        columns = len(self._expected.columns)
        size = max(1, min(_PASS_VALUES // columns, self._expected.rows))
        gathered = np.empty((columns, size))
        row = filled = 0
        for block in self._parsed(text):
            taken = 0
            while taken < block.shape[1]:
                count = min(size - filled, block.shape[1] - taken)
                gathered[:, filled : filled + count] = block[:, taken : taken + count]
                taken, filled = taken + count, filled + count
                if filled == size:
                    yield row, gathered
                    row, filled = row + size, 0
        if filled:
            yield row, gathered[:, :filled]

    def _parsed(self, text: Text) -> Iterator[Columns]:
        """The rows as the text comes, checked."""
        expected, rows, started = self._expected, 0, False
        blocks = iter(text)
        for block in blocks:
            if not started:
                block = without_mark(block)
                if not block.text.strip():
                    raise InputError("the table is empty", str(self._path), _ROWS)
                block = without_header(block, expected, self._path)
                self._first_line, started = block.line, True
            if not block.text:
                continue
            values = self._parse(block)
            rows += values.shape[1]
            if rows > expected.rows:
                raise self._too_many(rows, blocks)
            finite = np.isfinite(values)
            if not finite.all():
                at, column = np.argwhere(~finite.T)[0]
                raise not_finite(expected.place(self._path, block.line + int(at), int(column)))
            yield values
        if not started:
            raise InputError("the table is empty", str(self._path), _ROWS)
        if not rows:
            raise InputError("the table has a header and no rows", str(self._path), _ROWS)
        if rows < expected.rows:
            raise self._wrong_count(str(rows))

    def _parse(self, block: Block) -> Columns:
        text = block.text
        # What the library would take with a shrug: 1"2"3 as 123, and a lone CR as an end of line.
        stray = b'"' in text and _STRAY_QUOTE.search(text)
        if stray or (b"\r" in text and text.count(b"\r") != text.count(b"\r\n")):
            raise diagnosed(block, self._expected, self._path)
        names = [str(column) for column in range(len(self._expected.columns))]
        try:
            table: Any = csv.read_csv(
                pa.BufferReader(text),
                csv.ReadOptions(use_threads=False, block_size=2 * BLOCK_BYTES, column_names=names),
                csv.ParseOptions(ignore_empty_lines=False),
                csv.ConvertOptions(
                    check_utf8=False,  # numbers are ASCII, and nothing but numbers is taken
                    column_types=dict.fromkeys(names, pa.float64()),
                    null_values=[],
                ),
                memory_pool=pa.system_memory_pool(),
            )
        except pa.ArrowInvalid:
            raise diagnosed(block, self._expected, self._path) from None
        return np.stack([column.to_numpy() for column in table.columns])

    def _too_many(self, rows: int, rest: Iterator[Block]) -> InputError:
        """Counts on, but not without end, so as to say how many rows there are."""
        most = 2 * self._expected.rows
        for block in rest:
            rows += block.text.count(b"\n") + (not block.text.endswith(b"\n"))
            if rows > most:
                return self._wrong_count(f"more than {most}")
        return self._wrong_count(str(rows))

    def _wrong_count(self, rows: str) -> InputError:
        what = f"the table has {rows} rows, and the job {self._expected.rows}"
        hint = "all parties need the same rows in the same order, as many as the job says"
        return InputError(what, str(self._path), hint)

    def _place(self, row: int, column: int) -> str:
        return self._expected.place(self._path, self._first_line + row, column)
