"""Charts as the numbers that an SVG needs. Sizes are in the SVG's own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_BARS = 40
"""Weights that the chart shows; the table has all of them."""

_ROW, _LABELS, _BARS, _NUMBERS = 20, 125, 215, 60


@dataclass(frozen=True)
class Bar:
    """One weight: its name, the text beside it, and its bar."""

    name: str
    says: str
    x: float
    width: float
    negative: bool


@dataclass(frozen=True)
class Bars:
    """Weights, the largest first, on both sides of a line.

    Attributes:
        bars: one a row, each ``row`` high.
        zero: where the line of 0 stands.
    """

    bars: tuple[Bar, ...]
    zero: float
    row: int = _ROW
    width: int = _LABELS + _BARS + _NUMBERS
    labels: int = _LABELS
    numbers: int = _LABELS + _BARS

    @property
    def height(self) -> int:
        """Of the whole chart."""
        return self.row * len(self.bars)


def bars(names: Sequence[str], values: Sequence[float]) -> Bars:
    """The largest of some values as bars."""
    order = sorted(range(len(values)), key=lambda i: -abs(values[i]))[:MOST_BARS]
    low = min([0.0, *(values[i] for i in order)])
    high = max([0.0, *(values[i] for i in order)])
    scale = _BARS / ((high - low) or 1.0)
    zero = _LABELS - low * scale
    return Bars(
        tuple(
            Bar(
                name=_short(names[i]),
                says=f"{values[i]:+.3f}",
                x=round(zero + min(values[i], 0.0) * scale, 2),
                width=round(abs(values[i]) * scale, 2),
                negative=values[i] < 0,
            )
            for i in order
        ),
        round(zero, 2),
    )


def _short(name: str, most: int = 17) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
