"""Executors in this process, which talk to each other or to a peer that a test plays."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from party.agreement.order import blocks
from party.native import Context, Executor, Spill
from party.schedule import Region, Schedule, arena
from tests.harness.keys import contexts
from tests.harness.links import LIMIT_S, Links
from tests.harness.tasks import Task

ALICE, BOB, SERVER = range(3)
ABORT, ALIVE = 0xFFFFFFFF, 0xFFFFFFFE


def frame(step: int, key: int, payload: bytes = b"", size: int | None = None) -> bytes:
    """A message as it is on the wire."""
    return struct.pack("<QII", step, key, len(payload) if size is None else size) + payload


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Zeros where an arena may be, followed by what must not be touched."""
    raw = np.zeros(size + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size]


class Parties(Links):
    """Three parties on their links. Executors come to be with ``seat``.

    Attributes:
        arenas, executors: by party.
    """

    def __init__(self, tls: Sequence[Context]) -> None:
        super().__init__(tls)
        self.arenas: dict[int, npt.NDArray[np.uint8]] = {}
        self.executors: dict[int, Executor] = {}

    def seat(
        self, party: int, size: int, window: int = 1 << 16, peers: Sequence[int] = (0, 1, 2)
    ) -> Executor:
        """An executor for the party, with so large an arena, of which each byte is the party."""
        memory = aligned(size)
        memory[:] = party
        return self._seat(party, memory, np.zeros(1, np.int32), (window,) * 3, peers)

    def _seat(
        self,
        party: int,
        memory: npt.NDArray[np.uint8],
        pool: npt.NDArray[np.int32],
        windows: Sequence[int],
        peers: Sequence[int] = (0, 1, 2),
        spill: Spill | None = None,
    ) -> Executor:
        links = [c if k in peers else None for k, c in enumerate(self.connections[party])]
        made = Executor(memory, pool, links, party, windows, spill=spill)
        self.arenas[party], self.executors[party] = memory, made
        return made

    def run(
        self,
        party: int,
        code: npt.NDArray[Any],
        steps: int = 1,
        first: int = 0,
        limit_s: float = LIMIT_S,
        silence_s: float = LIMIT_S,
        finish: bool = False,
        rows: npt.NDArray[np.int32] | None = None,
        table: npt.NDArray[np.float32] | None = None,
    ) -> Task:
        """Lets a party run its code, in a thread of its own."""
        executor = self.executors[party]

        def work() -> None:
            executor.run(code, first, steps, rows, table, limit_s, silence_s)
            if finish:
                executor.finish(limit_s, silence_s)

        return Task(work)

    def finish(self, party: int, limit_s: float = LIMIT_S, silence_s: float = LIMIT_S) -> Task:
        """Lets a party end its connections."""
        return Task(lambda: self.executors[party].finish(limit_s, silence_s))

    def close(self) -> None:
        """End what still runs."""
        for executor in self.executors.values():
            executor.stop()
        super().close()


class ScheduledParties(Parties):
    """The three parties of a plan, each with its arena and its executor.

    Attributes:
        schedules: by party.
        spills: by party, the shares that lie in a file.
    """

    def __init__(
        self, schedules: list[Schedule], directory: Path, spills: dict[int, Spill] | None = None
    ) -> None:
        super().__init__(contexts(directory))
        self.schedules, self.spills = schedules, spills or {}
        for party, made in enumerate(schedules):
            spill = self.spills.get(party)
            room = arena(made, sparse=spill is not None)
            self._seat(party, room, made.index, made.window, spill=spill)

    def program(
        self,
        name: str,
        first: int,
        count: int = 1,
        tables: dict[int, Any] | None = None,
        rows: npt.NDArray[np.int32] | None = None,
    ) -> None:
        """One program so many times over the rows, batch after batch."""
        flat = None if rows is None else np.ascontiguousarray(rows.reshape(-1))
        self._all(
            [
                self.run(
                    party,
                    made.program(name).instructions,
                    count,
                    first,
                    rows=flat,
                    table=(tables or {}).get(party),
                )
                for party, made in enumerate(self.schedules)
            ]
        )

    def share(self, tables: dict[int, Any], rows: int, size: int) -> int:
        """All rows through the program that shares the tables; how many blocks that took."""
        over = blocks(rows, size)
        self.program("share", 0, len(over), tables, over)
        return len(over)

    def opened(
        self, step: int, program: str = "open", rows: npt.NDArray[np.int32] | None = None
    ) -> dict[tuple[int, str], npt.NDArray[np.int64]]:
        """What each party is given by a program, in fixed point, by party and value."""
        self.program(program, step, rows=rows)
        return {
            (party, name): self.read(party, place).view(np.int64)
            for party, made in enumerate(self.schedules)
            for name, place in made.program(program).opened.items()
        }

    @staticmethod
    def _all(tasks: Sequence[Task]) -> None:
        for task in tasks:
            task.well()

    def read(self, party: int, place: Region) -> npt.NDArray[np.uint8]:
        """A copy of a place in a party's arena."""
        return self.arenas[party][place.offset : place.offset + place.bytes].copy()

    def write(self, party: int, place: Region, value: npt.NDArray[Any]) -> None:
        """Fills a place in a party's arena."""
        raw = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        self.arenas[party][place.offset : place.offset + place.bytes] = raw
