"""The order of rows is the same for everybody, and another one in each epoch."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from party.agreement.job import Job, Training
from party.agreement.order import blocks, fold_of, held_out


def order(job: Job, epoch: int) -> NDArray[np.int32]:
    """The rows of an epoch's whole batches, one batch after the other."""
    return job.batches(epoch).reshape(-1)


def job(rows: int, batch_size: int, seed: int = 0) -> Job:
    training = Training(epochs=3, batch_size=batch_size, learning_rate=0.1, order_seed=seed)
    return Job(name="t", rows=rows, features=("f",), label="y", training=training)


@given(st.data(), st.integers(1, 500), st.integers(0, 2**53 - 1), st.integers(0, 10**6 - 1))
def test_an_epoch_takes_different_rows_in_whole_batches(
    data: st.DataObject, rows: int, seed: int, epoch: int
) -> None:
    batch_size = data.draw(st.integers(1, rows))
    taken = order(job(rows, batch_size, seed), epoch)
    assert taken.dtype == np.int32
    assert len(taken) == rows // batch_size * batch_size
    assert len(np.unique(taken)) == len(taken)
    assert taken.min() >= 0 and taken.max() < rows


def test_the_order_is_known() -> None:
    """If these change, parties of different versions cannot train together any more."""
    assert order(job(10, 3), 0).tolist() == [2, 4, 0, 9, 8, 3, 7, 1, 5]
    assert order(job(10, 3), 1).tolist() == [3, 0, 4, 5, 9, 8, 7, 1, 6]
    assert order(job(10, 3, seed=2**53 - 1), 0).tolist() == [7, 5, 0, 1, 3, 6, 8, 4, 2]
    large = order(job(7000, 128, seed=18), 9)
    assert hashlib.sha256(large.astype("<i4").tobytes()).hexdigest()[:16] == "3a6ed0a6b587c5f1"


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [order(job(1000, 100, seed), epoch) for seed in (0, 1, 256) for epoch in (0, 1, 256)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).sum() < 20


def test_the_batch_size_only_says_where_the_order_ends() -> None:
    np.testing.assert_array_equal(order(job(1000, 300), 4), order(job(1000, 1), 4)[:900])


def test_every_row_has_its_turn() -> None:
    """The rows that one epoch leaves out are not left out for good."""
    eight = [order(job(1000, 300), epoch) for epoch in range(8)]
    assert len(np.unique(np.concatenate(eight))) == 1000


def test_rows_fall_evenly_over_an_epoch() -> None:
    places = np.array([np.argsort(order(job(100, 1, seed), 0)) for seed in range(400)])
    assert np.abs(places.mean(axis=0) - 49.5).max() < 5 * 28.9 / 20


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (10, 10), (10, 3), (9, 3), (4097, 4096)])
def test_blocks_take_every_row_and_none_twice_but_to_fill_the_last(rows: int, size: int) -> None:
    found = blocks(rows, size)
    assert found.shape[1] == size
    assert set(found.reshape(-1).tolist()) == set(range(rows))
    assert all(len(set(block)) == size for block in found.tolist())
    assert found.size - rows < size


def test_which_rows_are_held_out_is_known() -> None:
    """And has nothing to do with the order of an epoch of the same seed."""
    assert np.flatnonzero(held_out(0, 4, 10)).tolist() == [0, 2, 3, 5]
    assert set(np.flatnonzero(held_out(0, 300, 1000))) != set(order(job(1000, 300), 0)[:300])


@given(st.integers(1, 500), st.integers(0, 2**53 - 1), st.data())
def test_as_many_rows_are_held_out_as_asked_for(rows: int, seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, rows))
    fewer, more = held_out(seed, count // 2, rows), held_out(seed, count, rows)
    assert more.sum() == count and not (fewer & ~more).any()


@given(st.integers(2, 500), st.integers(0, 2**53 - 1), st.integers(2, 10))
def test_every_row_is_in_one_fold_and_folds_are_alike_in_size(
    rows: int, seed: int, folds: int
) -> None:
    found = fold_of(seed, folds, rows)
    sizes = np.bincount(found, minlength=folds)
    assert len(sizes) == folds and sizes.max() - sizes.min() <= 1
    (first,) = np.flatnonzero(held_out(seed, 1, rows))
    assert found[first] == 0, "the order is that of rows that are held out"
