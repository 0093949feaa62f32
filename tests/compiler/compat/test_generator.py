"""The generator is AES-256 in counter mode, and its integers are exactly uniform."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from party.native.instructions import Type
from tests.compiler.compat.conftest import Native

INTEGERS = [kind for kind in Type if kind.numpy.kind in "iu"]
NIST_KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")

seeds = st.binary(min_size=32, max_size=32)
kinds = st.sampled_from(INTEGERS)


def keystream(seed: bytes) -> Iterator[int]:
    """The bytes of the stream, by another implementation."""
    encryptor = Cipher(AES256(seed), CTR(bytes(16))).encryptor()
    while True:
        yield from encryptor.update(bytes(256))


def words(seed: bytes, size: int) -> Iterator[int]:
    stream = keystream(seed)
    while True:
        yield int.from_bytes(bytes(next(stream) for _ in range(size)), "little")


def expected(seed: bytes, kind: Type, low: int, width: int, n: int) -> list[int]:
    """The definition: words in order, those skipped that would favour small integers."""
    ring = 256**kind.size
    fair = ring // width * width if width else ring
    source = words(seed, kind.size)
    drawn = list(fair_words(source, fair, n))
    values = [low + word % width if width else word for word in drawn]
    half = ring // 2 if kind.numpy.kind == "i" else 0
    return [(value + half) % ring - half for value in values]


def fair_words(source: Iterator[int], fair: int, n: int) -> Iterator[int]:
    while n:
        word = next(source)
        if word < fair:
            n -= 1
            yield word


def test_the_stream_starts_with_the_published_answer(native: Native) -> None:
    # NIST SP 800-38B, appendix D.3: AES-256 of the zero block under this key.
    first = native.uniform(NIST_KEY, Type.UINT8, 0, 0, 16)
    assert first.tobytes().hex() == "e568f68194cf76d6174d4cc04310a854"


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda kind: kind.name.lower())
def test_the_whole_ring_is_the_stream_itself(native: Native, kind: Type) -> None:
    n = 100_003
    encryptor = Cipher(AES256(NIST_KEY), CTR(bytes(16))).encryptor()
    stream = encryptor.update(bytes(n * kind.size))
    assert native.uniform(NIST_KEY, kind, 0, 0, n).tobytes() == stream


@given(seeds, kinds, st.data())
def test_integers_are_the_stream_s_words_without_the_unfair_ones(
    native: Native, seed: bytes, kind: Type, data: st.DataObject
) -> None:
    bits = 8 * kind.size
    low = data.draw(st.integers(-(2**63), 2**63 - 1), "low")
    width = data.draw(
        st.one_of(
            st.integers(0, 2**bits - 1),
            st.sampled_from([2**power for power in range(bits)]),
            st.sampled_from([2**bits - 1, 2 ** (bits - 1) + 1, 3, 107, 127]),
        ),
        "range",
    )
    n = data.draw(st.integers(0, 300), "n")
    assert native.uniform(seed, kind, low, width, n).tolist() == expected(seed, kind, low, width, n)


@given(seeds, kinds, st.integers(1, 127), st.integers(0, 2000), st.integers(0, 2000))
def test_fewer_integers_are_the_first_of_more(
    native: Native, seed: bytes, kind: Type, width: int, n: int, more: int
) -> None:
    short, long = (native.uniform(seed, kind, 5, width, k) for k in (n, n + more))
    np.testing.assert_array_equal(short, long[:n])


@pytest.mark.parametrize(
    ("kind", "width"),
    # 8 bits: without rejection the first 56 of 200 would come up twice as often as the others.
    [
        (Type.INT8, 107),
        (Type.UINT8, 200),
        (Type.INT16, 1129),
        (Type.UINT32, 1129),
        (Type.INT64, 1129),
    ],
)
def test_no_integer_is_favoured(native: Native, kind: Type, width: int) -> None:
    n = 400_000
    values = native.uniform(NIST_KEY, kind, 0, width, n).astype(np.int64)
    counts = np.bincount(values, minlength=width)
    assert len(counts) == width
    chi_squared = float(((counts - n / width) ** 2).sum() / (n / width))
    freedom = width - 1
    assert abs(chi_squared - freedom) < 5 * math.sqrt(2 * freedom)


def test_wide_ranges_do_not_lean_low(native: Native) -> None:
    # Three quarters of the ring: reduced instead of skipped, half of all words would fall into the
    # lowest third.
    width = 3 * 2**62
    values = native.uniform(NIST_KEY, Type.UINT64, 0, width, 300_000)
    thirds = np.bincount((values // np.uint64(2**62)).astype(np.int64), minlength=3)
    assert len(thirds) == 3
    assert abs(thirds - 100_000).max() < 5 * math.sqrt(300_000 * 2 / 9)


@pytest.mark.parametrize(
    ("kind", "width", "n"),
    [
        (Type.BOOL, 0, 1),
        (Type.FLOAT32, 0, 1),
        (Type.INT8, 256, 1),
        (Type.UINT32, 2**32, 1),
        (Type.INT16, 2**63, 1),
    ],
)
def test_what_is_no_type_or_range_is_refused(
    native: Native, kind: Type, width: int, n: int
) -> None:
    assert native.uniform(NIST_KEY, kind, 0, width, n) is None


def test_seeds_are_fresh(native: Native) -> None:
    drawn = [native.seed() for _ in range(1000)]
    assert len(set(drawn)) == 1000
    ones = np.unpackbits(np.frombuffer(b"".join(drawn), np.uint8)).sum()
    assert abs(float(ones) - 128_000) < 6 * 253  # binomial: six deviations, 2e-9
