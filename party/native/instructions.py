"""The executor's vocabulary: element types, instructions and their layout in memory.

The one place for it: ``instructions.h``, which the C side includes, is made from this file when the
native library is built. Nothing in the vocabulary opens a file, starts a program or takes code.

Every operand is a byte offset into one arena of memory, 64-byte aligned. An operand is read
element by element (``EACH``), as one value for all (``ONE``) or through a list of element indices
(``LIST``, offset into the index pool). Integer arithmetic is modulo two to the type's width.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt


class Type(IntEnum):
    """Element types."""

    INT8 = 0
    INT16 = 1
    INT32 = 2
    INT64 = 3
    UINT8 = 4
    UINT16 = 5
    UINT32 = 6
    UINT64 = 7
    BOOL = 8
    FLOAT32 = 9
    FLOAT64 = 10

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy type of an element."""
        return np.dtype(self.name.lower())

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return self.numpy.itemsize

    @classmethod
    def of(cls, dtype: npt.DTypeLike) -> Type:
        """The element type of a NumPy type; KeyError where there is none."""
        return cls[np.dtype(dtype).name.upper()]


class Mode(IntEnum):
    """How an operand is read."""

    EACH = 0
    ONE = 1
    LIST = 2


class Op(IntEnum):
    """Instructions. ``x``, ``y``, ``z`` are the operands, ``o`` the result, ``n`` its elements,
    ``p`` the parameters. Unless said otherwise ``type`` is that of operands and result."""

    # elementwise, two operands; all types for ADD, SUB, MUL; integers and bool for the rest
    ADD = 0
    SUB = 1
    MUL = 2
    FLOORMOD = 3  # signed: the result has the divisor's sign; a zero divisor is an error
    FLOORDIV = 4  # rounds towards minus infinity; a zero divisor is an error
    XOR = 5
    AND = 6
    OR = 7
    SHL = 8  # shift counts are clamped to 0..bits-1
    SHR = 9  # arithmetic for signed types, logical for unsigned ones; counts clamped
    # comparisons: operands of ``type``, result bool
    EQ = 10
    NE = 11
    LT = 12
    LE = 13
    GT = 14
    GE = 15
    # elementwise, one operand
    NEG = 16
    INVERT = 17  # bitwise not
    NOT = 18  # logical not, bool
    ROUND = 19  # floats, half to even
    CAST = 20  # from ``type`` to ``type2``; a float outside the integer's range is an error
    SELECT = 21  # x (bool) chooses y or z
    # layout
    COPY = 22  # n elements
    GATHER = 23  # o[i] = x[list[i]]; the list is operand 0's
    SCATTER = 24  # o[list[i]] = x[i]; the list is operand 0's
    # reductions
    MATMUL = 25  # p = rows, inner, columns; row-major; integers and floats
    SUM = 26  # p = outer, length, inner: over the middle axis; integers and floats
    # randomness
    SEED = 27  # 32 fresh bytes from the kernel (8 elements of INT32)
    UNIFORM = 28  # x = 32 bytes of seed; p = lowest value, range (0: the type's whole ring)
    # bits
    BITSPLIT = 29  # p = stride: o[d, i] = the bits d, d+stride, ... of x[i], packed low
    BITGATHER = 30  # p = start, stride: o[i] = the bits start, start+stride, ... packed low
    BITREVERSE = 31  # o[i] = x[i] with its bits in reverse order
    XORINDICES = 32  # o[i] = the exclusive or of the positions of the set bits of x[i]
    # the world outside the arena
    INPUT = 33  # p = rows, columns, first: the step's rows of the party's own table
    SEND = 34  # p = peer, key, bytes: queues x
    FLUSH = 35  # p = peer: what is queued goes out in one write
    RECV = 36  # p = peer, key, bytes: waits for the peer's next message, which must be this one
    # rows of what lives from step to step
    TAKE = 37  # p = rows, columns, of: the step's rows of x, which has ``of`` rows
    PUT = 38  # p = rows, columns, of: x becomes the step's rows of o, which has ``of`` rows


INSTRUCTION: np.dtype[np.void] = np.dtype(
    [
        ("op", "<i4"),
        ("type", "<i4"),
        ("type2", "<i4"),
        ("mode", "<i4", (3,)),
        ("n", "<i8"),
        ("out", "<i8"),  # bytes into the arena; -1: none
        ("input", "<i8", (3,)),  # bytes into the arena; -1: none
        ("index", "<i8", (3,)),  # elements into the index pool; -1: none
        ("p", "<i8", (6,)),
    ]
)
"""One instruction, 136 bytes, no padding."""

assert INSTRUCTION.itemsize == 136
