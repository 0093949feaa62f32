"""The sigmoid as a sum of sines, and sine and cosine in integers.

A wave that rises like the sigmoid at 0 and falls like it half a period later is a sum of sines of
odd multiples of one frequency. Its coefficients follow from the Fourier transform of the sigmoid's
derivative, ``pi w / sinh(pi w)``. Where two parties have opened ``t + r`` for a random phase r, the
sum of sines of t is linear in the sines and cosines of r: one message, no powers, nothing to
truncate, and bounded for every t.

Angles are 32 bits: ``2**32`` is a whole turn, so that the phase of t wraps where t does. Everything
is computed in integers, since the two parties that hold shares of one sum must have the same
multipliers to the last bit.
"""

from __future__ import annotations

from math import pi, sinh
from typing import Any

import numpy as np

from party.protocols.interface import Sigmoid, Vector

PERIOD_BITS = 8
PERIOD = 2**PERIOD_BITS
"""The wave's period in t. From half of it on, the wave is not the sigmoid any more."""

TERMS = 40
"""Sines in the sum."""

RANGE = 121.0
"""Up to this |t| the wave is at most ``ERROR`` off; beyond, it falls as it rose."""

ERROR = 1.5e-3

PHASE_BITS = 32 - PERIOD_BITS
"""Bits of a phase after the point of t."""

COEFFICIENTS: tuple[float, ...] = tuple(
    4.0 * pi / PERIOD / sinh(2.0 * pi**2 * (2 * k + 1) / PERIOD) for k in range(TERMS)
)
"""Of ``sin(2 pi (2k + 1) t / PERIOD)``."""

_ONE = 30
"""Bits after the point of a sine."""

_HALVINGS = 3
_COSINE = (1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320)
_SINE = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880)
"""In the square of an angle of an eighth of a half turn, where what is left out is below 2**-28."""


def wave(t: Vector) -> Vector:
    """The approximation in clear, element by element."""
    total = np.full_like(t, 0.5)
    for k, coefficient in enumerate(COEFFICIENTS):
        total += coefficient * np.sin(2.0 * pi * (2 * k + 1) / PERIOD * t)
    return total


SIGMOID = Sigmoid(wave, RANGE, None)


class Turns:
    """Cosines and sines of odd multiples of an angle, one pair after the other.

    Works on whatever knows ``+``, ``-``, ``*`` and the shift that it is given: NumPy's and
    TensorFlow's integers alike.

    Args:
        angle: int64, a whole turn is 2**32; in -2**31, ..., 2**31 - 1.
        shift: divides by a power of two, rounding towards minus infinity.
    """

    def __init__(self, angle: Any, shift: Any) -> None:
        self._shift = shift
        cosine, sine = self._of_eighth(angle)
        for _ in range(_HALVINGS):
            cosine, sine = (
                shift(cosine * cosine, _ONE - 1) - (1 << _ONE),
                shift(cosine * sine, _ONE - 1),
            )
        # 2 cos(2a), by which Chebyshev's recurrence goes from one odd multiple to the next.
        self._step = shift(cosine * cosine, _ONE - 2) - (2 << _ONE)
        self.cosine, self.sine = cosine, sine
        self._before = (cosine, -sine)

    def advance(self) -> None:
        """On to the next odd multiple."""
        now = (self.cosine, self.sine)
        self.cosine, self.sine = (
            self._shift(self._step * value, _ONE) - before
            for value, before in zip(now, self._before, strict=True)
        )
        self._before = now

    def _of_eighth(self, angle: Any) -> tuple[Any, Any]:
        eighth = self._shift(angle * round(pi * 2 ** (_ONE - 4)), _ONE)
        square = self._shift(eighth * eighth, _ONE)
        cosine, sine = (self._polynomial(square, c) for c in (_COSINE, _SINE))
        return cosine, self._shift(sine * eighth, _ONE)

    def _polynomial(self, x: Any, coefficients: tuple[float, ...]) -> Any:
        *lower, last = (round(c * 2**_ONE) for c in coefficients)
        value: Any = last
        for c in reversed(lower):
            value = self._shift(x * value, _ONE) + c
        return value

    def rounded(self, value: Any, bits: int, factor: float = 1.0) -> Any:
        """A cosine or sine times a factor, with fewer bits after the point."""
        multiplier = 15 if factor != 1.0 else 0
        if multiplier:
            value = value * round(factor * 2**multiplier)
        drop = _ONE + multiplier - bits
        return self._shift(value + (1 << (drop - 1)), drop)
