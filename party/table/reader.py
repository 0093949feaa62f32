"""From the text of a table to its standardised matrix, in two passes over the text.

The first pass checks everything that can be checked without the columns' moments, and gathers
these; the second fills the matrix. Between the two nothing is kept, so that memory beyond the
matrix stays the same for any number of rows. Where columns have schemas, what these learn from
whole columns takes passes of its own before, in the memory that the matrix will have.

Both look no closer than they must. Whatever they do not take, ``party.table.diagnosis`` explains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from party.agreement.limits import LIMIT
from party.process.errors import InputError
from party.table.diagnosis import Known, findings_in, label_is_wrong
from party.table.expected import Expected
from party.table.findings import UnfitTableError
from party.table.moments import Columns, Moments
from party.table.numbers import UnreadableLinesError, parse, parse_typed
from party.table.taken import ROWS, Taken

if TYPE_CHECKING:  # those of tables of plain numbers are read without them
    from party.table.columns.deriving import Counts, Fitted

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
    fitted: tuple[Fitted, ...] = ()
    counts: tuple[Counts, ...] = ()


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
        table.fit()
        moments, taken = table.checked()
        if (moments.constant | moments.too_large).any():
            raise _UnfitError
        mean, scale = table.standard(moments)
        matrix = allocate()
        again = table.fill(matrix, mean, scale)
    except (UnreadableLinesError, _UnfitError):
        known = None if moments is None else Known(table.fitted, moments)
        if findings := findings_in(path, expected, known):
            raise UnfitTableError(findings, path) from None
        again = None
    if again is None or taken.digest_of_text != again:
        hint = "start again when nobody writes to it"
        raise InputError("the table changed while it was read", str(path), hint)
    ignored = taken.layout.ignored
    return Found(matrix, mean, scale, taken.digest, ignored, table.fitted, table.counts)


def cut(block: Columns, norm: float) -> None:
    """Cuts rows to a length, in their place; the shorter ones stay as they are.

    Args:
        block: [columns, rows].
    """
    largest = np.abs(block).max(axis=0)
    largest[largest == 0.0] = 1.0
    with np.errstate(invalid="ignore"):  # a row that is infinite becomes no number, which is unfit
        length = largest * np.sqrt(np.square(block / largest).sum(axis=0))  # without an overflow
        block *= np.minimum(1.0, norm / np.maximum(length, norm))


class _UnfitError(Exception):
    """The quick look found something that does not fit: the exact one will say what."""


class _TableFile:
    def __init__(self, path: Path, expected: Expected) -> None:
        self._path = path
        self._expected = expected
        self._first_feature = expected.first_feature
        self.fitted: tuple[Fitted, ...] = ()
        self.counts: tuple[Counts, ...] = ()

    def fit(self) -> None:
        """Learns what the schemas need of whole columns."""
        if not self._expected.schemas:
            return
        from party.table.columns.fitting import fit

        schemas, rows, columns = self._expected.feature_schemas, *self._expected.shape
        taken = partial(Taken, self._path, self._expected, again=True)

        def blocks() -> Iterator[Columns]:
            return (block[self._first_feature :] for block in self._parsed(taken()))

        self.fitted = fit(schemas, rows, max(1, columns // 2), blocks)

    def standard(
        self, moments: Moments
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]:
        """What is taken off each feature, and by what it is divided.

        Raises _UnfitError where that would be zero.
        """
        if not self._expected.features:
            return None, None
        if not self._expected.schemas:
            return moments.mean, moments.scale
        from party.table.columns.deriving import standard

        mean, scale = moments.mean, moments.scale
        if self._expected.norm is not None:  # of what is 0 or 1, and so needs no numbers of a job's
            mean, scale = np.zeros_like(mean), np.ones_like(scale)
        mean, scale = standard(mean, scale, self._expected.feature_schemas, self.fitted)
        if not scale.all():
            raise _UnfitError
        return mean, scale

    def checked(self) -> tuple[Moments, Taken]:
        """The moments of every feature, with the label checked, and what was read."""
        taken, label = Taken(self._path, self._expected), self._expected.label
        moments, labels = Moments(self._expected.features), Moments(1)
        with np.errstate(over="ignore", invalid="ignore"):
            for block in self._rows(taken):
                if self._expected.features:
                    moments.add(self._features(block))
                    self._count(block)
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
        expected, taken = self._expected, Taken(self._path, self._expected, again=True)
        features = expected.features
        row = 0
        for block in self._rows(taken):
            rows = slice(row, row + block.shape[1])
            row = rows.stop
            if mean is not None and scale is not None:
                own = self._features(block)
                with np.errstate(over="ignore", invalid="ignore"):
                    own -= mean[:, np.newaxis]
                    own /= scale[:, np.newaxis]
                if expected.norm is not None:
                    cut(own, expected.norm)
                self._check_range(own)
                matrix[rows, :features] = own.T
            if expected.label is not None:
                matrix[rows, -1] = block[0] / expected.label.unit
        if expected.intercept:
            matrix[:, features] = 1.0
        return taken.digest_of_text

    def _features(self, block: Columns) -> Columns:
        """The columns of the model in some rows of the table, not standardised yet."""
        own = block[self._first_feature :]
        if not self._expected.schemas:
            return own
        from party.table.columns.deriving import derive

        return derive(own, self._expected.feature_schemas, self.fitted)

    def _count(self, block: Columns) -> None:
        if not self._expected.schemas:
            return
        from party.table.columns.deriving import count

        own = block[self._first_feature :]
        self.counts = count(own, self._expected.feature_schemas, self.counts)

    def _check_range(self, block: Columns) -> None:
        limit = self._expected.row_limit
        far = not (np.abs(block) <= LIMIT).all()  # nor is what is no number in range
        if not far and limit is not None:
            far = (np.square(block).sum(axis=0) + self._expected.intercept > limit).any()
        if far:
            raise _UnfitError

    def _rows(self, taken: Taken) -> Iterator[Columns]:
        """The rows, as many at a time as ``_PASS_VALUES`` allows.

        Every value is finite, but for the gaps that a schema allows, and there are as many rows as
        the job says. What is given belongs to the caller only until the next is asked for.
        """
        columns = len(self._expected.columns)
        widest = max(columns, self._first_feature + self._expected.features)
        size = max(1, min(_PASS_VALUES // widest, self._expected.rows))
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
        schemas, rows = self._expected.schemas, 0
        for block in taken.rows():
            try:
                values = self._values(block.text, block.width, block.positions)
            except UnreadableLinesError:
                if block.layout.plain:
                    raise
                # Quotes inside of other columns' texts perhaps.
                width = len(self._expected.columns)
                values = self._values(block.alone(), width, range(width))
            rows += values.shape[1]
            if rows > self._expected.rows or not (schemas or np.isfinite(values).all()):
                raise _UnfitError
            yield values
        if not rows:
            raise InputError("the table has a header and no rows", str(self._path), ROWS)
        if rows < self._expected.rows:
            raise _UnfitError

    def _values(self, text: bytes, width: int, positions: Sequence[int]) -> Columns:
        if self._expected.schemas:
            return parse_typed(text, width, positions, self._expected.schemas)
        return parse(text, width, positions)
