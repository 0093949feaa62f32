"""In the place of ``tf_encrypted.operations.secure_random.secure_random``.

The original looks for a native library for TensorFlow 2.9.1 and, where it finds none, warns and
lets tf-encrypted carry on with TensorFlow's ordinary generator, which hides nothing. This one has
no such way: it is all there is, so every mask comes from the operating system's seeds and AES.
"""

from __future__ import annotations

from typing import Any, NoReturn

import tensorflow as tf

from party.compiler.compat import kernels


def supports_secure_randomness() -> bool:
    """Always."""
    return True


def supports_seeded_randomness() -> bool:
    """Always."""
    return True


def secure_seed(name: str | None = None) -> Any:
    """A fresh seed, [8] of int32."""
    return kernels.seed(name=name)


def seeded_random_uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = tf.int32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Integers uniform on minval, ..., maxval - 1, determined by ``seed``; see ``kernels.uniform``.

    Raises ValueError for a type other than int8, int16, int32 and int64, and for bounds or a seed
    that are missing.
    """
    dtype = tf.as_dtype(dtype)
    if dtype not in (tf.int8, tf.int16, tf.int32, tf.int64):
        raise ValueError(f"no random integers of type {dtype.name}")
    if maxval is None:
        raise ValueError("maxval is missing")
    if seed is None:
        raise ValueError("seed is missing")
    return kernels.uniform(
        shape,
        tf.convert_to_tensor(seed, tf.int32),
        tf.convert_to_tensor(minval, dtype, name="min"),
        tf.convert_to_tensor(maxval, dtype, name="max"),
        name=name,
    )


def random_uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = tf.int32,
    name: str | None = None,
) -> Any:
    """The same from a fresh seed, so that a graph has one source of randomness, the seed."""
    return seeded_random_uniform(shape, minval, maxval, dtype, secure_seed(), name)


def i128_seeded_random_uniform(shape: Any, seed: Any, minval: Any, maxval: Any) -> NoReturn:
    """Not offered: no protocol here uses integers of 128 bits."""
    raise NotImplementedError("no integers of 128 bits")


def i128_random_uniform(shape: Any, minval: Any, maxval: Any) -> NoReturn:
    """Not offered: no protocol here uses integers of 128 bits."""
    raise NotImplementedError("no integers of 128 bits")
