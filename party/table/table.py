"""The table as the rest of a party sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from party.table.expected import Expected

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.table.columns.deriving import Counts, Fitted


_NAMED = 12
"""Ignored columns that a notice names."""


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """A private table, ready for training.

    Attributes:
        matrix: float32, C order, [rows, columns]: the party's features, standardised; a column of
            ones if the intercept is here; the label in the model's unit if it is here.
        mean: float64 [features], what was taken off each feature, its mean or median; None without
            features.
        scale: float64 [features], what each feature was divided by; None without features.
        digest: SHA-256, in hex, of the CSV text, as far as the job takes it: the same for a table
            however it was packed.
        fitted: what was learnt from each of the party's columns in the job's order; empty where
            all are plain numbers.
        counts: of each of these, what its holder is told.
        ignored: the positions, from 1, of columns that the job does not name.
        room: float32, where the matrix and further rows behind it are, as many as the model takes;
            it works there (``Model.at_home``), so that a table is in memory once. None where there
            is no such room.
        start: float64, what the weights of the matrix's features, and of the ones, begin from:
            those of a former model of the party's; or, [columns, columns], what takes those of a
            kept model to them. None where they begin from zero.
        noise: int64, [all weights], what the party adds to its shares of them before they are
            opened, in their last bits; None where they are not private.
        ring: int64, C order: what the programs read of rows that are scored, for which the matrix
            is empty; None where the matrix is read.
        absent: int64, [columns]: what stands for a row that this table lacks, where its columns
            are joined to all rows of the other's; None elsewhere.
    """

    matrix: NDArray[np.float32]
    mean: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None
    digest: str
    ignored: tuple[int, ...] = ()
    fitted: tuple[Fitted, ...] = ()
    counts: tuple[Counts, ...] = ()
    room: NDArray[np.float32] | None = None
    start: NDArray[np.float64] | None = None
    noise: NDArray[np.int64] | None = None
    ring: NDArray[np.int64] | None = None
    absent: NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        """Of what the programs read."""
        return self.matrix.nbytes if self.ring is None else self.ring.nbytes

    @property
    def notice(self) -> str | None:
        """That columns are ignored, and which: by their places, since names may be private."""
        count, named = len(self.ignored), ", ".join(map(str, self.ignored[:_NAMED]))
        if not count:
            return None
        more = f" and {count - _NAMED} more" * (count > _NAMED)
        columns = "a column is" if count == 1 else f"{count} columns are"
        return (
            f"{columns} ignored, since the job does not name {'it' if count == 1 else 'them'}: "
            + (named + more)
        )

    def __repr__(self) -> str:
        # Never the values: representations find their way into logs.
        rows, columns = (self.matrix if self.ring is None else self.ring).shape
        return f"<Table of {rows} rows, {columns} columns>"


def read_table(path: Path, job: Job, party: Party) -> Table:
    """Reads, checks and standardises a table, in this process. See ``load`` for one of its own.

    Args:
        path: a CSV file or a directory of parts; see ``party.table``.
        job: what the table must fit.
        party: whose table it is, a holder.

    Raises:
        InputError: with file, line and column, and no value, for whatever does not fit.
    """
    from party.table.reader import read  # here, since it brings the CSV library

    expected = Expected.of(job, party)
    found = read(path, expected, lambda: np.empty(expected.shape, np.float32))
    return Table(**vars(found))
