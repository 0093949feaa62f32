"""The approximations of the sigmoid that shares can be put through, as numbers.

One place for them: the graph is built from these numbers, and so is its plaintext reference.
"""

SHRINK_BITS = 2
"""The polynomial is taken of ``u = t / 2**SHRINK_BITS``."""

POLYNOMIAL = (0.849, -0.45724, 0.10273)
"""For Pond and SecureNN: ``1/2 + c1 u + c3 u**3 + c5 u**5``, the least-squares fit of the sigmoid
at the Chebyshev nodes of |t| <= 6, where it is at most 0.026 off; beyond, it grows in the right
direction.

tf-encrypted's own polynomial in t has smaller coefficients and more of them: with 13 bits after the
point those of t**7 and t**9 become zero and that of t**5 loses a third, and its powers are five
messages deep. In u the coefficients keep their digits, and the powers are three messages deep.
"""
