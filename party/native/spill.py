"""Shares that lie in a file instead of memory (``spill.c``): by rows, and encrypted.

The file has no name, so that it is gone with the process, and its key is in this process's memory
alone: what stays of it on the medium is noise.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from party.native.library import Spilled, library
from party.process import files
from party.process.errors import InputError, JobError

_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class SpilledShare:
    """A share of the state, all of it rows.

    Attributes:
        place: where it would lie in the arena; nothing else lies there.
        rows: how many it has.
        width: bytes of one.
        capacity: rows that are put in one sharing of the tables, some of them twice.
    """

    place: int
    rows: int
    width: int
    capacity: int


class Spill:
    """The file, its key, and which row is where.

    Raises:
        InputError: the directory is none, lies in memory, cannot be written to, or lacks the room.
    """

    def __init__(self, directory: Path, shares: Sequence[SpilledShare]) -> None:
        self._handle: int | None = None
        self._library = library()
        self.shares = tuple(shares)
        records = (Spilled * len(shares))(
            *(Spilled(one.place, one.rows, one.width, one.capacity) for one in shares)
        )
        self.bytes: int = self._library.kit_spill_bytes(records, len(shares))
        try:
            with tempfile.TemporaryFile(dir=directory, buffering=0) as made:
                self._file = os.dup(made.fileno())
        except OSError as error:
            raise files.unwritable(error, "no shares can be kept there", directory) from None
        try:
            self._reserve(directory)
            self._handle = self._library.kit_spill_new(self._file, records, len(shares))
            if not self._handle:
                raise JobError("out of memory", cause="out-of-memory")
        except BaseException:
            os.close(self._file)
            raise

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Forget the key, and with it all rows. Not before the executor that reads them."""
        if self._handle:
            self._library.kit_spill_free(self._handle)
            self._handle = None
            os.close(self._file)

    def renew(self) -> None:
        """Before the tables are shared, or shared again: no rows, and another key."""
        if self._library.kit_spill_renew(self.handle):
            raise JobError("the system has no randomness to give")

    @property
    def handle(self) -> int:
        """For the native library."""
        assert self._handle
        return self._handle

    def _reserve(self, directory: Path) -> None:
        """All the room at once: a disk that fills up later does not matter."""
        kind = _file_system(self._file)
        if kind in _IN_MEMORY:
            what = f"shares kept there would take memory all the same ({kind})"
            raise InputError(what, str(directory), "name a directory on a disk: --spill DIR")
        try:
            os.posix_fallocate(self._file, 0, self.bytes)
        except OSError as error:
            what = f"no room for {mebibytes(self.bytes)} of shares: {error.strerror}"
            hint = f"free {mebibytes(self.bytes)} there, or name another directory: --spill DIR"
            raise InputError(what, str(directory), hint) from None


def mebibytes(size: int) -> str:
    """A size as people read it, rounded up."""
    return f"{-(-size // (1 << 20))} MiB"


def _file_system(number: int) -> str:
    """The kind of file system that an open file is on; empty where nobody says."""
    device = os.fstat(number).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    try:
        for line in _MOUNTS.read_text().splitlines():
            before, _, after = line.partition(" - ")
            if before.split()[2] == name:
                return after.split()[0]
    except (OSError, IndexError):
        pass
    return ""
