"""The bins in which held-out rows are counted by their score, the weighted sum t.

A row is put on a grid by its two shares, each rounded for itself, so that ``t`` lands on one of the
two points beside it, and on each the likelier the nearer it is: on average nothing is shifted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

PERIOD_BITS = 8
GRID_BITS = 4
"""The grid has so many points (a power of two) to one unit of t, and wraps after a period."""

POINTS_BITS = PERIOD_BITS + GRID_BITS
POINTS = 1 << POINTS_BITS

RANGE = 124.0
"""Up to this |t| a row is always counted where it belongs; beyond a half period it never is, and
the count of what lies outside says so."""

_EVERY = ((8, 1), (16, 8), (32, 32), (1 << (PERIOD_BITS - 1), 256))
"""Up to which |t| so many points of the grid are one bin."""


def _pieces() -> list[tuple[int, int, int]]:
    """First and last point (from the lowest on) of each stretch of bins, and points of a bin."""
    edges = [0, *(up_to << GRID_BITS for up_to, _ in _EVERY)]
    stretches = [
        (low, high, width) for low, high, (_, width) in zip(edges, edges[1:], _EVERY, strict=False)
    ]
    middle = POINTS // 2
    left = [(middle - high, middle - low, width) for low, high, width in reversed(stretches)]
    right = [(middle + low, middle + high, width) for low, high, width in stretches]
    return left + right


PIECES = _pieces()

BINS = sum((high - low) // width for low, high, width in PIECES)


def centres() -> Array:
    """The middle of each bin, in units of t, rising, [bins]."""
    point = (np.arange(POINTS) - POINTS // 2 + 1) / (1 << GRID_BITS)
    return np.concatenate(
        [point[low:high].reshape(-1, width).mean(axis=1) for low, high, width in PIECES]
    )


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
