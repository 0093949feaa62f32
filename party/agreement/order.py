"""The order in which an epoch takes the rows: public, and the same at every party.

A batch holds some columns of some rows at one party and other columns of the same rows at another,
so all need one order without talking about it. It comes from the job alone: SHAKE-256 (FIPS 202)
expands the seed and the epoch to one 64-bit number a row, and the rows are taken by rising number.
Nothing in it depends on a library's own random generator, whose numbers change between versions.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_DOMAIN = b"tfe-kit order"
_HELD_OUT = b"tfe-kit held out"


def order(seed: int, epoch: int, rows: int) -> NDArray[np.int32]:
    """All rows in the order of an epoch.

    Args:
        seed: the job's public ``order_seed``.
        epoch: counted from 0.
        rows: how many there are.
    """
    return _by_rank(_DOMAIN + seed.to_bytes(8, "little") + epoch.to_bytes(8, "little"), rows)


def held_out(seed: int, count: int, rows: int) -> NDArray[np.bool_]:
    """Which rows no training sees, so many of them, [rows]: the first of an order of their own.

    Args:
        seed: the job's public ``evaluation.seed``.
        count: how many.
        rows: how many there are.
    """
    found = np.zeros(rows, np.bool_)
    found[_by_rank(_HELD_OUT + seed.to_bytes(8, "little"), rows)[:count]] = True
    return found


def fold_of(seed: int, folds: int, rows: int) -> NDArray[np.int32]:
    """In which fold each row is, counted from 0, [rows]: by turns, in the order of ``held_out``.

    Args:
        seed: the job's public ``evaluation.seed``.
        folds: how many.
        rows: how many there are.
    """
    found = np.empty(rows, np.int32)
    found[_by_rank(_HELD_OUT + seed.to_bytes(8, "little"), rows)] = np.arange(rows) % folds
    return found


def _by_rank(text: bytes, rows: int) -> NDArray[np.int32]:
    stream = hashlib.shake_256(text).digest(8 * rows)
    # Equal numbers (one pair in 2**64) keep the rows' own order: the sort is stable.
    ranks = np.argsort(np.frombuffer(stream, dtype="<u8"), kind="stable")
    return ranks.astype(np.int32)


def blocks(rows: int, size: int) -> NDArray[np.int32]:
    """All rows in their own order, in blocks of one size: [blocks, size].

    The last block takes up rows of the one before it where ``size`` does not divide ``rows``.
    """
    starts = np.minimum(np.arange(0, rows, size), rows - size)
    return (starts[:, np.newaxis] + np.arange(size)).astype(np.int32)
