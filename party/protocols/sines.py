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

from dataclasses import dataclass
from functools import cached_property
from math import pi, sinh
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

ERROR = 1.5e-3
"""By which a wave is off the sigmoid at most, up to its range."""


@dataclass(frozen=True)
class Wave:
    """A sum of sines that follows the sigmoid.

    Attributes:
        period_bits: its period in t is two to this. From half of it on, the wave is not the
            sigmoid any more: it falls as it rose.
        terms: sines in the sum.
        range: up to this |t| it is at most ``ERROR`` off.
        fine: whether what is computed on shares follows the sum to the last bits: ``FINE``.
    """

    period_bits: int
    terms: int
    range: float
    fine: bool = False

    @property
    def period(self) -> int:
        """In t."""
        return 1 << self.period_bits

    @property
    def phase_bits(self) -> int:
        """Bits of a phase after the point of t."""
        return 32 - self.period_bits

    @cached_property
    def coefficients(self) -> tuple[float, ...]:
        """Of ``sin(2 pi (2k + 1) t / period)``."""
        unit = 2.0 * pi / self.period
        return tuple(2.0 * unit / sinh(pi * unit * (2 * k + 1)) for k in range(self.terms))

    def value(self, t: Vector) -> Vector:
        """The approximation in clear, element by element."""
        total = np.full_like(t, 0.5)
        for k, coefficient in enumerate(self.coefficients):
            total += coefficient * np.sin(2.0 * pi * (2 * k + 1) / self.period * t)
        return total


WIDE = Wave(period_bits=8, terms=40, range=121.0)
"""For a descent to the optimum, where weights become as large as the table makes them."""

NARROW = Wave(period_bits=7, terms=20, range=57.0)
"""For mini-batches, which send it with every batch: half the sines for half the range."""

STEADY = Wave(period_bits=7, terms=28, range=57.0, fine=True)
"""For weights that are private: what one row can change is computed of this wave, and so its slope
and its errors must be known (``party.models.private_weights``)."""

_ONE = 30
"""Bits after the point of a sine."""

_FACTOR_BITS, _FINE_FACTOR_BITS = 15, 24
"""Of a coefficient."""

_HALVINGS = 3
_COSINE = (1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320)
_SINE = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880)
"""In the square of an angle of an eighth of a half turn, where what is left out is below 2**-28."""


class Turns:
    """Cosines and sines of odd multiples of an angle, one pair after the other.

    Works on whatever knows ``+``, ``-``, ``*`` and the shift that it is given: NumPy's and
    TensorFlow's integers alike.

    Args:
        angle: int64, a whole turn is 2**32; in -2**31, ..., 2**31 - 1.
        shift: divides by a power of two, rounding towards minus infinity.
        fine: whether to turn by a whole product of two pairs each time. Its errors add up, where
            those of the recurrence grow with the square of the multiple.
    """

    def __init__(self, angle: Any, shift: Any, fine: bool = False) -> None:
        self._shift, self._fine = shift, fine
        cosine, sine = self._of_eighth(angle)
        for _ in range(_HALVINGS):
            cosine, sine = (
                shift(cosine * cosine, _ONE - 1) - (1 << _ONE),
                shift(cosine * sine, _ONE - 1),
            )
        self.cosine, self.sine = cosine, sine
        if fine:
            double = shift(cosine * cosine, _ONE - 1) - (1 << _ONE)
            self._double = (double, shift(cosine * sine, _ONE - 1))
            return
        # 2 cos(2a), by which Chebyshev's recurrence goes from one odd multiple to the next.
        self._step = shift(cosine * cosine, _ONE - 2) - (2 << _ONE)
        self._before = (cosine, -sine)

    def advance(self) -> None:
        """On to the next odd multiple."""
        if self._fine:
            (c, s), (cosine, sine) = (self.cosine, self.sine), self._double
            self.cosine = self._shift(c * cosine - s * sine, _ONE)
            self.sine = self._shift(s * cosine + c * sine, _ONE)
            return
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
        bits_of_factor = _FINE_FACTOR_BITS if self._fine else _FACTOR_BITS
        multiplier = bits_of_factor if factor != 1.0 else 0
        if multiplier:
            value = value * round(factor * 2**multiplier)
        drop = _ONE + multiplier - bits
        return self._shift(value + (1 << (drop - 1)), drop)
