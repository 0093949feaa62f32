"""The native library's random and bit operations, as TensorFlow operations.

In a graph they are ``KitSeed`` (32 fresh bytes, the one source of randomness), ``KitUniform``
(integers grown from a seed, nothing else), ``KitBitSplit``, ``KitBitGather``, ``KitBitReverse`` and
``KitXorIndices``. The library knows nothing of static shapes, so each function here sets its
result's: in a graph, under ``tf.function`` and eagerly alike.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import tensorflow as tf

from party.compiler import compat
from party.process.errors import JobError

OPERATIONS = (
    "kit_seed",
    "kit_uniform",
    "kit_bit_split",
    "kit_bit_gather",
    "kit_bit_reverse",
    "kit_xor_indices",
)


@cache
def operations() -> Any:
    """The module that TensorFlow makes of the library.

    Raises JobError where TensorFlow does not take it, or it lacks an operation.
    """
    where, hint = str(compat.LIBRARY), "install the package again, which builds the library"
    try:
        module = tf.load_op_library(where)
    except (tf.errors.OpError, OSError, RuntimeError):
        raise JobError("TensorFlow cannot load the native library", where, hint) from None
    for name in OPERATIONS:
        if not hasattr(module, name):
            raise JobError(f"the native library lacks {name}", where, hint)
    return module


def seed(name: str | None = None) -> Any:
    """A fresh seed, [8] of int32: 32 bytes from the operating system, new each time it is run."""
    return _shaped(operations().kit_seed(name=name), [8])


def uniform(shape: Any, seed: Any, minval: Any, maxval: Any, name: str | None = None) -> Any:
    """Integers of ``minval``'s type, uniform on minval, ..., maxval - 1, determined by ``seed``.

    ``shape`` is a list, a TensorShape or a tensor of int32 or int64; ``seed`` is [8] of int32.

    From the type's smallest to its largest means its whole ring, the largest included: the bound is
    exclusive and no signed type holds the number after its largest, so whoever wants the whole
    ring, as every mask must, can only write this, which is what tf-encrypted does. Taken by the
    letter it would let a mask tell a little of what it hides. An interval without a number, a
    negative dimension and the like are errors of the operation, InvalidArgumentError.
    """
    dimensions = shape if tf.is_tensor(shape) else tf.convert_to_tensor(shape, tf.int32)
    result = operations().kit_uniform(
        shape=dimensions, seed=seed, minval=minval, maxval=maxval, name=name
    )
    return _shaped(result, tf.get_static_value(dimensions, partial=True))


def bit_split(x: Any, stride: int) -> Any:
    """[stride, *x.shape]: at d, the bits d, d + stride, ... of each integer, packed low."""
    result = operations().kit_bit_split(x=x, stride=stride)
    return _shaped(result, tf.TensorShape([stride]).concatenate(tf.convert_to_tensor(x).shape))


def bit_gather(x: Any, start: int, stride: int) -> Any:
    """The bits start, start + stride, ... of each integer, packed low."""
    return _alike(operations().kit_bit_gather(x=x, start=start, stride=stride), x)


def bit_reverse(x: Any) -> Any:
    """Each integer with its bits in reverse order."""
    return _alike(operations().kit_bit_reverse(x=x), x)


def xor_indices(x: Any) -> Any:
    """The exclusive or of the positions of the bits set in each integer."""
    return _alike(operations().kit_xor_indices(x=x), x)


def _shaped(tensor: Any, shape: Any) -> Any:
    if shape is not None:
        tensor.set_shape(shape)
    return tensor


def _alike(tensor: Any, x: Any) -> Any:
    return _shaped(tensor, tf.convert_to_tensor(x).shape)
