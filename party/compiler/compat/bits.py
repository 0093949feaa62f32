"""In the place of ``tf_encrypted.operations.aux.aux``.

The original looks for a native library for TensorFlow 2.9.1.
"""

from __future__ import annotations

from typing import Any

from party.compiler.compat import kernels

aux_module = kernels
"""tf-encrypted's tests ask whether there is one."""


def bit_gather(x: Any, start: int, stride: int) -> Any:
    """The bits start, start + stride, ... of each integer, packed low."""
    return kernels.bit_gather(x, start, stride)


def bit_split_and_gather(x: Any, stride: int) -> Any:
    """[stride, *x.shape]: at d, the bits d, d + stride, ... of each integer, packed low."""
    return kernels.bit_split(x, stride)


def bit_reverse(x: Any) -> Any:
    """Each integer with its bits in reverse order."""
    return kernels.bit_reverse(x)


def xor_indices(x: Any) -> Any:
    """The exclusive or of the positions of the bits set in each integer."""
    return kernels.xor_indices(x)
