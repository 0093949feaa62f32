"""A step of a descent on rows that were matched cannot be too wide, whichever rows these are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.job import Align, AlignedJob, Job, Sizes, bits_more, bound_of, rounded_up
from party.models.descent import FEATURE_BITS, OwnColumns, layout_of, step_of
from party.models.interface import blocks_of
from party.models.registry import model_of
from party.process.errors import InputError


def aligned(alice: int, bob: int, common: int, **change: Any) -> AlignedJob:
    agreed: dict[str, Any] = {
        "name": "small",
        "align": Align(key="id", minimum=1),
        "features": {"alice": ("a", "b"), "bob": ("c",)},
        "label": {"bob": "y"},
    }
    job = Job.model_validate(agreed | change)
    return AlignedJob.of(job, Sizes(alice=alice, bob=bob, common=common))


def columns(draw: np.random.Generator, rows: int, count: int) -> Any:
    x = draw.normal(size=(rows, count)) * draw.exponential(size=(rows, 1)) ** 2
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)


@settings(max_examples=30)
@given(st.integers(3, 400), st.integers(3, 400), st.integers(0, 2**32 - 1))
def test_the_bound_of_all_own_rows_holds_for_any_of_them(alice: int, bob: int, seed: int) -> None:
    """The largest curvature of the loss of the joined rows, with the penalty, times the step is at
    most one: also where those are the rows that curve it most."""
    draw = np.random.default_rng(seed)
    job = aligned(alice, bob, int(draw.integers(1, min(alice, bob) + 1)))
    curvature = 0.25
    layout = layout_of(job, blocks_of(job), curvature)
    a = np.column_stack([columns(draw, alice, 2), np.ones(alice)]).astype(np.float32)
    b = np.column_stack([columns(draw, bob, 1), draw.integers(0, 2, bob)]).astype(np.float32)
    own = {
        "alice": OwnColumns(job, "alice", a, curvature),
        "bob": OwnColumns(job, "bob", b, curvature),
    }
    rows = [
        own["alice"].rows(np.argsort(np.square(a).sum(1))[::-1][: job.rows]),
        own["bob"].rows(np.argsort(np.square(b[:, :1]).sum(1))[::-1][: job.rows])[:, :1],
    ]
    x = np.hstack(rows) / 2.0**layout.feature_bits
    penalty = np.zeros((4, 4))
    for first, party, size in ((0, "alice", 3), (3, "bob", 1)):
        joined = np.zeros((job.rows, 5), np.int64)
        table = own[party].table(job, [joined])
        home = table[layout.rows :, first : first + size] / 2.0**26
        penalty[first : first + size, first : first + size] = home[:size]
    curving = step_of(layout) * curvature * x.T @ x + penalty
    assert np.linalg.eigvalsh(curving).max() <= 1.001


def test_sizes_alike_have_one_plan() -> None:
    blocks = blocks_of(aligned(1, 1, 1))
    one, other = (
        layout_of(aligned(*sizes), blocks, 0.25)
        for sizes in ((9000, 7300, 6020), (9001, 7311, 6079))
    )
    assert one == other
    assert layout_of(aligned(9000, 7300, 5000), blocks, 0.25) != one


@given(st.integers(1, 2**31 - 1))
def test_rows_are_rounded_up_by_little(rows: int) -> None:
    assert rows <= rounded_up(rows) <= rows * 33 / 32 + 1
    assert rounded_up(rounded_up(rows)) == rounded_up(rows)


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_bits_make_up_for_the_larger_tables_scale(alice: int, bob: int) -> None:
    scale = np.sqrt(bound_of(alice, bob) / max(alice, bob))
    assert scale * 2.0 ** bits_more(alice, bob) >= 0.99
    assert bits_more(alice, bob) <= 16 and (bits_more(alice, alice) == 0)


def test_a_large_table_beside_a_small_one_keeps_its_precision() -> None:
    draw = np.random.default_rng(4)
    job = aligned(200_000, 300, 200)
    layout = layout_of(job, blocks_of(job), 0.25)
    assert layout.feature_bits == FEATURE_BITS + 5
    a = np.column_stack([columns(draw, 200_000, 2), np.ones(200_000)]).astype(np.float32)
    rows = model_of(job.parameters).to_align(job, "alice", a).rows(np.arange(1000))
    assert np.abs(rows).mean() > 2.0 ** (FEATURE_BITS - 2)
    assert layout.gradient_factor >= 8


def test_a_step_on_few_of_the_rows_has_to_be_shorter_to_be_small() -> None:
    blocks = blocks_of(aligned(1, 1, 1))
    whole = layout_of(aligned(10_000, 10_000, 10_000), blocks, 0.25).small
    part = layout_of(aligned(10_000, 10_000, 1000), blocks, 0.25).small
    assert whole == int((0.001 * 2**20) ** 2)
    assert whole / 150 < part < whole / 80
    assert layout_of(aligned(10**8, 10**8, 1000), blocks, 0.25).small == 64


def test_a_row_that_does_not_fit_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, draw = aligned(500, 700, 10), np.random.default_rng(4)
    a = np.column_stack([columns(draw, 500, 2), np.ones(500)]).astype(np.float32)
    largest = np.abs(model_of(job.parameters).to_align(job, "alice", a).rows(np.arange(500))).max()
    monkeypatch.setattr("party.models.descent.LIMIT", 0.99 * largest / 2.0 ** (FEATURE_BITS + 1))
    with pytest.raises(InputError, match="stands out too far"):
        model_of(job.parameters).to_align(job, "alice", a)
