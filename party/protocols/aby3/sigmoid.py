"""ABY3's approximation of the sigmoid: five straight pieces.

Source: ``_sigmoid_private`` of tf-encrypted 0.9.1 (``5_piecewise_linear``), with 16 bits after the
point. A piece holds up to and including its right end.
"""

from __future__ import annotations

import numpy as np

from party.protocols.interface import Sigmoid, Vector


def _encoded(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """Coefficients as tf-encrypted has them in fixed point: rounded towards zero."""
    return tuple(float(np.trunc(c * 2.0**16) / 2.0**16) for c in coefficients)


_PIECES = tuple(
    _encoded(piece)
    for piece in ((1e-4,), (0.281, 0.066), (0.5, 0.212), (0.719, 0.066), (1 - 1e-4,))
)


def five_lines(t: Vector) -> Vector:
    """The approximation, element by element."""
    (low,), (a, b), (c, d), (e, f), (high,) = _PIECES
    return np.select(
        [t <= -4, t <= -1.5, t <= 1.5, t <= 4],
        [np.full_like(t, low), a + b * t, c + d * t, e + f * t],
        high,
    )


SIGMOID = Sigmoid(five_lines, None, None)
