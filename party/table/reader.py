"""From the text of a table to its standardised matrix, in two passes over the text.

The first pass checks everything that can be checked without the columns' moments, and gathers
these; the second fills the matrix. Between the two nothing is kept, so that memory beyond the
matrix stays the same for any number of rows.

Both look no closer than they must. Whatever they do not take, ``party.table.diagnosis`` explains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from party.agreement.limits import LIMIT
from party.process.errors import InputError
from party.table.diagnosis import findings_in, label_is_wrong
from party.table.expected import Expected
from party.table.findings import UnfitTableError
from party.table.moments import Columns, Moments
from party.table.numbers import UnreadableLinesError, parse
from party.table.taken import ROWS, Taken

_PASS_VALUES = 1 << 18
"""Values that are worked on at a time. How many rows make a block of the moments follows from it
and the number of columns alone, so that the same values give the same moments to the last bit,
whatever the text looks like."""


@dataclass(frozen=True)
class Found:
    """What was found; see ``party.table.Table``."""

    matrix: NDArray[np.float32]
    mean: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None
    digest: str
    ignored: tuple[int, ...]


def read(path: Path, expected: Expected, allocate: Callable[[], NDArray[np.float32]]) -> Found:
    """Reads, checks and standardises a table.

    Args:
        path: a CSV file or a directory of parts.
        expected: what the table must fit.
        allocate: gives the matrix to fill, float32 of ``expected.shape``. It is called when the
            first pass is through: a job of more rows than memory can hold is refused before.

    Raises:
        UnfitTableError: with lines and columns, and no value, for all that does not fit.
        InputError: the file cannot be read, or holds no rows.
    """
    table, moments = _TableFile(path, expected), None
    try:
        moments, taken = table.checked()
        if (moments.constant | moments.too_large).any():
            raise _UnfitError
        mean, scale = (moments.mean, moments.scale) if expected.features else (None, None)
        matrix = allocate()
        again = table.fill(matrix, mean, scale)
    except (UnreadableLinesError, _UnfitError):
        if findings := findings_in(path, expected, moments):
            raise UnfitTableError(findings, path) from None
        again = None
    if again is None or taken.digest != again:
        hint = "start again when nobody writes to it"
        raise InputError("the table changed while it was read", str(path), hint)
    return Found(matrix, mean, scale, again, taken.layout.ignored)


class _UnfitError(Exception):
    """The quick look found something that does not fit: the exact one will say what."""


class _TableFile:
    def __init__(self, path: Path, expected: Expected) -> None:
        self._path = path
        self._expected = expected
        self._first_feature = int(expected.label is not None)

    def checked(self) -> tuple[Moments, Taken]:
        """The moments of every feature, with the label checked, and what was read."""
        taken, label = Taken(self._path, self._expected), self._expected.label
        moments, labels = Moments(self._expected.features), Moments(1)
        with np.errstate(over="ignore", invalid="ignore"):
            for block in self._rows(taken):
                if self._expected.features:
                    moments.add(block[self._first_feature :])
                if label is not None:
                    if label_is_wrong(label, block[0]).any():
                        raise _UnfitError
                    labels.add(block[:1])
        if label is not None and labels.low[0] == labels.high[0]:
            raise _UnfitError
        return moments, taken

    def fill(
        self,
        matrix: NDArray[np.float32],
        mean: NDArray[np.float64] | None,
        scale: NDArray[np.float64] | None,
    ) -> str:
        """Fills in standardised features, the ones and the label; the digest of what was read."""
        expected, taken = self._expected, Taken(self._path, self._expected)
        features = expected.features
        row = 0
        for block in self._rows(taken):
            rows = slice(row, row + block.shape[1])
            row = rows.stop
            if mean is not None and scale is not None:
                own = block[self._first_feature :]
                own -= mean[:, np.newaxis]
                own /= scale[:, np.newaxis]
                self._check_range(own)
                matrix[rows, :features] = own.T
            if expected.label is not None:
                matrix[rows, -1] = block[0] / expected.label.unit
        if expected.intercept:
            matrix[:, features] = 1.0
        return taken.digest

    def _check_range(self, block: Columns) -> None:
        limit = self._expected.row_limit
        far = np.abs(block).max(initial=0.0) > LIMIT
        if not far and limit is not None:
            far = (np.square(block).sum(axis=0) + self._expected.intercept > limit).any()
        if far:
            raise _UnfitError

    def _rows(self, taken: Taken) -> Iterator[Columns]:
        """The rows, as many at a time as ``_PASS_VALUES`` allows.

        Every value is finite, and there are as many rows as the job says. What is given belongs to
        the caller only until the next is asked for.
        """
        columns = len(self._expected.columns)
        size = max(1, min(_PASS_VALUES // columns, self._expected.rows))
        gathered = np.empty((columns, size))
        filled = 0
        for block in self._parsed(taken):
            used = 0
            while used < block.shape[1]:
                count = min(size - filled, block.shape[1] - used)
                gathered[:, filled : filled + count] = block[:, used : used + count]
                used, filled = used + count, filled + count
                if filled == size:
                    yield gathered
                    filled = 0
        if filled:
            yield gathered[:, :filled]

    def _parsed(self, taken: Taken) -> Iterator[Columns]:
        """The rows as the text comes, checked."""
        width, rows = len(self._expected.columns), 0
        for block in taken.rows():
            values = parse(block.text, width, range(width))
            rows += values.shape[1]
            if rows > self._expected.rows or not np.isfinite(values).all():
                raise _UnfitError
            yield values
        if not rows:
            raise InputError("the table has a header and no rows", str(self._path), ROWS)
        if rows < self._expected.rows:
            raise _UnfitError
