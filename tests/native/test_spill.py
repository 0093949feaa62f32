"""Shares in a file are what they would be in memory, and noise to whoever has the medium."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.native import Executor, RunError, Spill, wipe
from party.native.instructions import INSTRUCTION, Op, Type
from party.native.spill import SpilledShare
from party.process.errors import InputError
from tests.harness.executors import aligned

NOBODY = (None, None, None)
PLACE = 4096


@pytest.fixture(scope="module")
def disk() -> Path:
    """A directory on a disk, which a machine's /tmp may not be."""
    return Path(__file__).parent


class Rows:
    """A share of so many rows in a file; batches are put and taken by an executor."""

    def __init__(self, disk: Path, rows: int, columns: int, batch: int, capacity: int) -> None:
        self.rows, self.columns, self.batch = rows, columns, batch
        self.spill = Spill(disk, [SpilledShare(PLACE, rows, 8 * columns, capacity)])
        self.arena = aligned(PLACE + 8 * rows * columns)
        index = np.zeros(1, np.int32)
        self.executor = Executor(self.arena, index, NOBODY, 0, (0, 0, 0), spill=self.spill)
        self.room = self.arena[: 8 * batch * columns].view(np.int64).reshape(batch, columns)

    def do(self, op: Op, which: npt.NDArray[Any], **change: Any) -> None:
        one = np.zeros(1, INSTRUCTION)
        one["op"], one["type"], one["index"] = op, Type.INT64, -1
        one["n"], one["p"][0][:3] = self.room.size, (self.batch, self.columns, self.rows)
        one["input"], one["out"] = -1, PLACE if op is Op.PUT else 0
        one["input"][0][0] = 0 if op is Op.PUT else PLACE
        for name, value in change.items():
            one[name] = value
        self.executor.run(one, 0, 1, np.ascontiguousarray(which, np.int32))

    def truncated(self) -> Rows:
        """Some rows are put, and then lost."""
        self.do(Op.PUT, np.arange(4))
        os.ftruncate(self.spill._file, 0)
        return self

    @property
    def content(self) -> bytes:
        return os.pread(self.spill._file, self.spill.bytes, 0)


@settings(max_examples=60)
@given(data=st.data(), rows=st.integers(1, 40), columns=st.integers(1, 9))
def test_rows_come_back_as_they_were_put_last(
    disk: Path, data: st.DataObject, rows: int, columns: int
) -> None:
    batch = data.draw(st.integers(1, rows))
    which = st.lists(st.integers(0, rows - 1), min_size=batch, max_size=batch, unique=True)
    puts = data.draw(st.lists(which, min_size=1, max_size=6))
    share = Rows(disk, rows, columns, batch, len(puts) * batch)
    expected = np.zeros((rows, columns), np.int64)
    for number, put in enumerate(puts):
        share.room[:] = np.random.default_rng(number).integers(-(2**63), 2**63, share.room.shape)
        expected[put] = share.room
        share.do(Op.PUT, np.array(put))
    put_once = sorted(set().union(*puts))
    taken = data.draw(st.lists(st.sampled_from(put_once), min_size=batch, max_size=batch))
    share.do(Op.TAKE, np.array(taken))
    np.testing.assert_array_equal(share.room, expected[taken])
    assert not share.arena[PLACE:].any(), "no row is in memory"


def test_what_is_on_the_medium_is_noise_and_never_under_one_key_twice(disk: Path) -> None:
    """Of zeros the medium has the cipher's stream itself: 16 bytes that are there twice would be
    rows whose difference it shows."""
    before = set(disk.iterdir())
    share = Rows(disk, 64, 3, 64, 128)
    assert set(disk.iterdir()) == before, "the file has no name"
    seen: list[bytes] = []
    for again in range(2):  # a second sharing, as after a fault
        for _ in range(2):
            share.do(Op.PUT, np.arange(64))
        blocks = [share.content[at : at + 16] for at in range(0, share.spill.bytes, 16)]
        assert len(blocks) == 128 * 24 / 16, again
        seen += blocks
        share.spill.renew()
    assert len(set(seen)) == len(seen)
    assert abs(np.unpackbits(np.frombuffer(b"".join(seen), np.uint8)).mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    "misuse, words",
    [
        (lambda s: s.do(Op.TAKE, np.arange(4)), "was not put there"),
        (lambda s: [s.do(Op.PUT, np.arange(4)) for _ in range(3)], "than it has room for"),
        (lambda s: s.do(Op.COPY, np.arange(4), out=PLACE + 8), "not read by rows"),
        (lambda s: s.do(Op.COPY, np.arange(4), input=[[PLACE + 40, -1, -1]], out=0), "by rows"),
        (lambda s: s.do(Op.PUT, np.arange(4), p=[[4, 1, 8, 0, 0, 0]]), "not read by rows"),
        (lambda s: s.truncated().do(Op.TAKE, np.arange(4)), "cannot be read"),
    ],
    ids=["unput", "overfull", "written", "read", "narrower", "truncated"],
)
def test_any_other_use_ends_the_run(
    disk: Path, misuse: Callable[[Rows], object], words: str
) -> None:
    share = Rows(disk, 8, 2, 4, 8)
    with pytest.raises(RunError, match=words):
        misuse(share)


def test_after_a_renewal_no_row_is_there(disk: Path) -> None:
    share = Rows(disk, 8, 2, 4, 4)
    share.do(Op.PUT, np.arange(4))
    share.spill.renew()
    share.do(Op.PUT, np.arange(4, 8))
    with pytest.raises(RunError, match="was not put there"):
        share.do(Op.TAKE, np.arange(4))


def test_wiping_leaves_alone_what_lies_in_the_file(disk: Path) -> None:
    share = Rows(disk, 8, 2, 4, 8)
    share.arena[:] = 7
    wipe(share.arena, share.spill)
    assert not share.arena[:PLACE].any() and share.arena[PLACE:].all()


@pytest.mark.parametrize(
    "directory, words",
    [("missing", "name a place|make the directory"), ("/dev/shm", "take memory all the same")],
)
def test_a_directory_that_will_not_do_is_refused(
    tmp_path: Path, directory: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Spill(tmp_path / directory, [SpilledShare(0, 8, 8, 8)])
