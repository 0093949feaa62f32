"""Mean and spread of columns, gathered block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.float64]
"""Some rows of the table by columns: [columns, rows]."""


class Moments:
    """Mean and sum of squared deviations.

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
        """Some rows more, at least one."""
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

    @property
    def scale(self) -> NDArray[np.float64]:
        """What to divide each column by: its population standard deviation."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.sqrt(self.squares / max(self.rows, 1))

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which columns never change. Those whose values differ by their own rounding alone are as
        good as constant."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        rounding = self.scale <= 4 * np.finfo(np.float64).eps * largest
        return np.asarray((self.low == self.high) | rounding)

    @property
    def too_large(self) -> NDArray[np.bool_]:
        """Which columns have values that cannot be squared or added up."""
        return ~(np.isfinite(self.scale) & np.isfinite(self.mean))
