"""The operations on bits agree with their definition, bit by bit, for every width."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.compiler.compat.conftest import Native

DTYPES = [np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]

integers = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, st.integers(0, 70), elements=arrays.from_dtype(dtype))
)


def bits_of(x: Any) -> Any:
    """[*x.shape, bits], the lowest first."""
    raw = np.ascontiguousarray(x).view(np.uint8).reshape(*x.shape, x.itemsize)
    return np.unpackbits(raw, axis=-1, bitorder="little")


def from_bits(bits: Any, dtype: np.dtype[Any]) -> Any:
    """The integers of these lowest bits, the others zero."""
    whole = np.zeros((*bits.shape[:-1], 8 * dtype.itemsize), np.uint8)
    whole[..., : bits.shape[-1]] = bits
    return np.packbits(whole, axis=-1, bitorder="little").view(dtype)[..., 0]


@given(integers, st.data())
def test_split(native: Native, x: Any, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, 8 * x.itemsize))
    expected = [from_bits(bits_of(x)[:, d::stride], x.dtype) for d in range(stride)]
    result = native.bits("kit_bit_split", x, stride, copies=stride)
    np.testing.assert_array_equal(result, np.array(expected))


@given(integers, st.data())
def test_gather(native: Native, x: Any, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, 8 * x.itemsize - 1))
    stride = data.draw(st.integers(1, 8 * x.itemsize))
    expected = from_bits(bits_of(x)[:, start::stride], x.dtype)
    np.testing.assert_array_equal(native.bits("kit_bit_gather", x, start, stride), expected)


@given(integers)
def test_reverse(native: Native, x: Any) -> None:
    expected = from_bits(bits_of(x)[:, ::-1], x.dtype)
    np.testing.assert_array_equal(native.bits("kit_bit_reverse", x), expected)


@given(integers)
def test_xor_indices(native: Native, x: Any) -> None:
    positions = np.where(bits_of(x), np.arange(8 * x.itemsize), 0)
    expected = np.bitwise_xor.reduce(positions, axis=-1).astype(x.dtype)
    np.testing.assert_array_equal(native.bits("kit_xor_indices", x), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_lies_outside_an_element_is_refused(native: Native, dtype: np.dtype[Any]) -> None:
    x = np.ones(3, dtype)
    width = 8 * dtype.itemsize
    for stride in (0, -1, width + 1, 2**40):
        assert native.bits("kit_bit_split", x, stride) is None
        assert native.bits("kit_bit_gather", x, 0, stride) is None
    for start in (-1, width, 2**40):
        assert native.bits("kit_bit_gather", x, start, 1) is None
