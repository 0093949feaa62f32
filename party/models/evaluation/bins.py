"""The bins in which held-out rows are counted by their score, the weighted sum t.

A row is put on a grid by its two shares, each rounded for itself, so that ``t`` lands on one of the
two points beside it, and on each the likelier the nearer it is: on average nothing is shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Points at equal distances, and how many of them are one bin.

    Attributes:
        period_bits: after a period, a power of two in units of t, the grid is at its start again.
        bits: there are so many points, a power of two, to one unit of t.
        every: up to which |t| so many points are one bin, as powers of two; up to half a period.
    """

    period_bits: int
    bits: int
    every: tuple[tuple[int, int], ...]

    @property
    def points_bits(self) -> int:
        """Bits of a point's number."""
        return self.period_bits + self.bits

    @property
    def points(self) -> int:
        """Of a period."""
        return 1 << self.points_bits

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """First and last point, from the lowest on, of each stretch of bins, and points of one."""
        edges = [0, *(1 << up_to + self.bits for up_to, _ in self.every)]
        stretches = [
            (low, high, 1 << width)
            for low, high, (_, width) in zip(edges, edges[1:], self.every, strict=False)
        ]
        middle = self.points // 2
        left = [(middle - high, middle - low, width) for low, high, width in reversed(stretches)]
        return left + [(middle + low, middle + high, width) for low, high, width in stretches]

    @property
    def bins(self) -> int:
        """How many there are."""
        return sum((high - low) // width for low, high, width in self.pieces)

    @property
    def centres(self) -> Array:
        """The middle of each bin, in units of t, rising, [bins]."""
        # Of two shares that are rounded down the sum is one less than the nearer point, on average.
        point = (np.arange(self.points) - self.points // 2 + 1) / (1 << self.bits)
        return np.concatenate(
            [point[low:high].reshape(-1, width).mean(axis=1) for low, high, width in self.pieces]
        )


GRID = Grid(8, 4, ((3, 0), (4, 3), (5, 5), (7, 8)))
"""Sixteen points to a unit, each a bin of its own up to |t| = 8; beyond, bins are 1/2, 2 and 16
wide."""

RANGE = 124.0
"""Up to this |t| a row is always counted where it belongs; beyond half a period it never is, and
the count of what lies outside says so. Between them it is one or the other."""


def ends(rows: Counts, minimum: int) -> NDArray[np.bool_]:
    """Which bins are the last of those that are joined so that at least so many rows lie in each
    group, [bins]; what is left over at the upper end belongs to the group before."""
    found = np.zeros(len(rows), np.bool_)
    total = 0
    for i, count in enumerate(rows):
        total += int(count)
        if total >= minimum:
            found[i], total = True, 0
    if found.any():
        found[np.flatnonzero(found)[-1]] = False
    found[-1] = True
    return found
