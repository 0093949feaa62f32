"""A party's checkpoints on its disk: each written, made durable and then put in its place."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from party.agreement.job import Party, Sizes
from party.checkpoints.point import KEPT, Point
from party.checkpoints.sealing import DamagedError, seal, unseal
from party.process import files
from party.process.errors import InputError, JobError

_POINT, _ROWS = "point-*.sealed", "rows.sealed"
_BRIEF = "-brief.sealed"
"""How a point ends that was in memory alone until its party was asked to end: no other party need
have it on its disk, so that it takes no other one's place."""
_HEAD = struct.Struct("<Q")


@dataclass(frozen=True, eq=False)
class AlignedRows:
    """What an alignment gave a party: the numbers that all know, and, at a holder, its matrix.

    ``order``: whose rows are all scored, which of these stands at each place of the matrix.
    """

    lineage: str
    sizes: Sizes
    table: npt.NDArray[np.int64] | None
    order: npt.NDArray[np.int64] | None = None

    def pieces(self) -> Iterator[bytes | memoryview]:
        """It as bytes."""
        shape = None if self.table is None else self.table.shape
        ordered = 0 if self.order is None else len(self.order)
        head: dict[str, Any] = {"lineage": self.lineage, "sizes": self.sizes.model_dump()}
        head |= {"shape": shape, "ordered": ordered}
        text = json.dumps(head).encode()
        yield _HEAD.pack(len(text)) + text
        for numbers in (self.order, self.table):
            if numbers is not None:
                yield np.ascontiguousarray(numbers).view(np.uint8).reshape(-1).data

    @classmethod
    def parse(cls, content: bytearray) -> AlignedRows:
        """It from these bytes, which ``pieces`` has given."""
        (length,) = _HEAD.unpack_from(content)
        head = json.loads(content[_HEAD.size : _HEAD.size + length])
        table = order = None
        if head["shape"] is not None:
            del content[: _HEAD.size + length]
            numbers = np.require(np.frombuffer(content, np.int64), requirements="A")
            order, table = numbers[: head["ordered"]], numbers[head["ordered"] :]
            table = table.reshape(head["shape"])
        sizes = Sizes.model_validate(head["sizes"])
        return cls(head["lineage"], sizes, table, order if head["ordered"] else None)


def begun(directory: Path) -> bool:
    """Whether there is a point, whole or not, of whatever job."""
    return any(directory.glob(_POINT))


def remove(directory: Path) -> None:
    """Remove whatever checkpoints there are, of whatever job."""
    for pattern in (_POINT, _ROWS, ".*.sealed.*"):
        for file in directory.glob(pattern):
            file.unlink(missing_ok=True)


class Store:
    """A party's directory for one job.

    Without a key nothing is written, and nothing read. What is damaged, or of another job or
    version, is not used: ``say`` is told so.

    Attributes:
        on_disk: whether anything is written.
    """

    def __init__(
        self,
        directory: Path,
        key: bytes | None,
        party: Party,
        job: str,
        kit: str,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.directory, self._key, self._say = directory, key, say
        self._job = f"tfe-kit checkpoint|{kit}|{party}|{job}".encode()
        self._about = self._job
        self._troubled = False

    def of_table(self, digest: str | None) -> None:
        """From here on the party's table is part of what every file is about."""
        self._about = self._job + f"|{digest}".encode()

    @property
    def on_disk(self) -> bool:
        return self._key is not None

    @property
    def newest(self) -> str | None:
        """When the last of the points that are there was written, as a document tells it."""
        moments = [file.stat().st_mtime for file in self._files(_POINT)]
        if not moments:
            return None
        return datetime.fromtimestamp(max(moments), UTC).isoformat(timespec="milliseconds")

    def points(self) -> list[Point]:
        """The points that are there and whole, of the newest's lineage, the oldest first."""
        found = [
            Point.parse(content)
            for file in self._files(_POINT)
            if (content := self._read(file)) is not None
        ]
        found.sort(key=lambda one: one.number)
        return [one for one in found if one.lineage == found[-1].lineage]

    def rows(self) -> AlignedRows | None:
        """The rows of an alignment, if they are there and whole."""
        for file in self._files(_ROWS):
            if (content := self._read(file)) is not None:
                return AlignedRows.parse(content)
        return None

    def keep(self, point: Point, needed: bool = False) -> bool:
        """Write a point, and remove all but the two newest; whether it is on the disk now.

        A disk that does not take it ends no run: that is said once, and memory is left. Raises
        JobError or InputError where the point is ``needed`` there.
        """
        name = f"point-{point.number:016d}{'-final' * point.final}.sealed"
        kept = self._write(name, point, needed)
        if kept:
            points = sorted(self._files(_POINT))
            durable = [file for file in points if not file.name.endswith(_BRIEF)]
            for file in set(points).difference(durable[-KEPT:]):
                file.unlink(missing_ok=True)
        return kept

    def keep_briefly(self, points: Sequence[Point]) -> None:
        """Write the points that are not on the disk, beside those that are."""
        there = {self._number(file) for file in self._files(_POINT)}
        for point in points:
            if point.number not in there:
                self._write(f"point-{point.number:016d}{_BRIEF}", point)

    def keep_rows(self, rows: AlignedRows) -> bool:
        """Write the rows of an alignment, once: no program changes them."""
        return self._write(_ROWS, rows)

    def forget_after(self, number: int | None) -> None:
        """Remove the points behind one that the parties go back to; all of them for None. On return
        they are gone for good: others of the same numbers come, of which each party has its share.
        """
        gone = [one for one in self._files(_POINT) if number is None or self._number(one) > number]
        for file in gone:
            file.unlink(missing_ok=True)
        if gone:
            files.sync(self.directory)

    def clear(self) -> None:
        """Remove whatever is there: the job is done, or begins again."""
        if self.on_disk:
            remove(self.directory)

    @staticmethod
    def _number(file: Path) -> int:
        return int(file.name.split("-")[1].split(".")[0])

    def _files(self, pattern: str) -> list[Path]:
        return list(self.directory.glob(pattern)) if self.on_disk else []

    def _read(self, file: Path) -> bytearray | None:
        assert self._key is not None
        try:
            with file.open("rb") as stream:
                return unseal(self._key, self._about, stream)
        except DamagedError:
            self._say(
                f"{file.name} is not used: it is damaged, or of another job, table, version or "
                "checkpoint.key"
            )
        except OSError as error:
            raise files.unreadable(error, "the checkpoint", file) from None
        return None

    def _write(self, name: str, what: Point | AlignedRows, needed: bool = False) -> bool:
        if self._key is None:
            return False
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sealed = seal(self._key, self._about, what.pieces())
            files.replace(self.directory / name, sealed, called="the checkpoint")
        except (JobError, InputError) as error:
            if needed:
                raise
            trouble = error.what
        except OSError as error:
            told = files.unwritable(error, "cannot write the checkpoint", self.directory)
            if needed:
                raise told from None
            trouble = told.what
        else:
            self._troubled = False
            return True
        if not self._troubled:
            self._say(f"{trouble}; the run goes on, and what is new of it is in memory alone")
        self._troubled = True
        return False
