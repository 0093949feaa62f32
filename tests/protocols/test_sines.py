"""The wave is the sigmoid as far as it says, and integers compute it as well as floats do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.protocols.sines import ERROR, NARROW, WIDE, Turns, Wave

pytestmark = pytest.mark.parametrize(
    "wave", [pytest.param(NARROW, id="narrow"), pytest.param(WIDE, id="wide")]
)


def sigmoid(t: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * t)))


def test_the_wave_is_the_sigmoid_within_its_error_up_to_its_range(wave: Wave) -> None:
    t = np.linspace(-wave.range, wave.range, 1_000_001)
    assert np.abs(wave.value(t) - sigmoid(t)).max() <= ERROR


def test_the_wave_is_bounded_everywhere_and_repeats(wave: Wave) -> None:
    t = np.random.default_rng(1).uniform(-1e4, 1e4, 100_000)
    value = wave.value(t)
    assert -ERROR <= value.min() <= value.max() <= 1 + ERROR
    np.testing.assert_allclose(wave.value(t + wave.period), value, atol=1e-9)
    np.testing.assert_allclose(wave.value(t + wave.period / 2), 1 - value, atol=1e-9)


def turns(angle: np.ndarray) -> Turns:
    return Turns(angle.astype(np.int64), lambda value, bits: value >> bits)


@settings(max_examples=50)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50))
def test_integers_turn_as_far_as_floats_do(wave: Wave, angles: list[int]) -> None:
    angle = np.array([*angles, 0, 1, -1, 2**31 - 1, -(2**31), 2**30, 2**16], np.int64)
    turning = turns(angle)
    for k in range(wave.terms):
        exact = (2 * k + 1) * angle * (2 * np.pi / 2**32)
        assert np.abs(turning.cosine / 2**30 - np.cos(exact)).max() < 2e-4
        assert np.abs(turning.sine / 2**30 - np.sin(exact)).max() < 2e-4
        turning.advance()


@pytest.mark.parametrize("bits", [24, 20, 16])
def test_what_is_opened_and_what_is_dealt_make_the_wave(wave: Wave, bits: int) -> None:
    """With as few bits as a table of 16 million rows has, its rows' errors still cancel out."""
    draw = np.random.default_rng(2)
    t = draw.uniform(-wave.range, wave.range, 20_000)
    phase = np.round(t * 2**wave.phase_bits).astype(np.int64)
    mask = draw.integers(-(2**31), 2**31, t.size)
    opened = (phase + mask + 2**31) % 2**32 - 2**31
    public, dealt = turns(opened), turns(mask)
    total = np.full(t.size, 1 << (bits - 1), np.int64)
    for k, coefficient in enumerate(wave.coefficients):
        if k:
            public.advance()
            dealt.advance()
        sine, cosine = (public.rounded(v, bits // 2 - 1) for v in (public.sine, public.cosine))
        total += sine * dealt.rounded(dealt.cosine, bits // 2 + 1, coefficient)
        total -= cosine * dealt.rounded(dealt.sine, bits // 2 + 1, coefficient)
    error = total / 2**bits - wave.value(t)
    assert np.abs(error).max() < 60 / 2 ** (bits // 2 + 1)
    assert abs(error.mean()) < 6 * error.std() / np.sqrt(t.size) + 1e-4
