"""Student's distribution, of a whole number of degrees of freedom.

Its integral is a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
"""

from __future__ import annotations

from math import atan2, cos, erfc, pi, sin, sqrt

NORMAL = 10_000
"""Degrees of freedom beyond which it is the normal distribution, but for 3e-5."""


def beyond(t: float, degrees: int) -> float:
    """The chance of a value as far from zero as t, either way; to 1e-12."""
    if degrees > NORMAL:
        return erfc(abs(t) / sqrt(2.0))
    angle = atan2(abs(t), sqrt(degrees))
    square, odd = cos(angle) ** 2, degrees % 2
    total, term = 0.0, cos(angle) if odd else 1.0
    for k in range(2 - odd, degrees + 1 - odd, 2):
        total += term
        term *= square * (k + odd) / (k + odd + 1) if odd else square * (k - 1) / k
    within = 2.0 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
    return min(max(1.0 - within, 0.0), 1.0)


def quantile(level: float, degrees: int) -> float:
    """What a value is not farther from zero than with a chance of ``level``."""
    low, high = 0.0, 1.0
    while beyond(high, degrees) > 1.0 - level:
        high *= 2.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle, degrees) > 1.0 - level else (low, middle)
    return high
