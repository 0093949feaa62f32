"""Pond's approximation of the sigmoid, as numbers.

One place for them: the circuit is built from these numbers, and so is the plaintext reference.
"""

from __future__ import annotations

from party.protocols.interface import Sigmoid, Vector

SHRINK_BITS = 2
"""The polynomial is taken of ``u = t / 2**SHRINK_BITS``."""

POLYNOMIAL = (0.849, -0.45724, 0.10273)
"""``1/2 + c1 u + c3 u**3 + c5 u**5``, the least-squares fit of the sigmoid at the Chebyshev nodes
of |t| <= 6, where it is at most 0.026 off; beyond, it grows in the right direction.

tf-encrypted's own polynomial in t has smaller coefficients and more of them: with 13 bits after the
point those of t**7 and t**9 become zero and that of t**5 loses a third, and its powers are five
messages deep. In u the coefficients keep their digits, and the powers are three messages deep.
"""

RANGE = 6.0
"""The polynomial follows the sigmoid up to this |t| and leaves for infinity after 7."""

REACH = 8.0
"""A row that a step can throw further than the range comes back with a larger error than it went,
until nothing but overflow is left. 8 is where that was seen to begin, on the fraud data and on
made-up outliers."""


def polynomial(t: Vector) -> Vector:
    """The approximation with 13 bits after the point of each coefficient."""
    c1, c3, c5 = (round(c * 2.0**13) / 2.0**13 for c in POLYNOMIAL)
    u = t / 2.0**SHRINK_BITS
    square = u * u
    return 0.5 + u * (c1 + square * (c3 + square * c5))


SIGMOID = Sigmoid(polynomial, RANGE, REACH)
