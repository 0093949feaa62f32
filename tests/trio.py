"""Three executors in this process, joined by real TLS over socket pairs."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deployer.certs import authority as certs
from party.agreement.job import PARTIES
from party.native import Connection, Context, Executor, Want
from party.native.channel import REKEY_RECORDS
from party.schedule import Place, Schedule, arena

LIMIT_S = 60.0


def contexts(directory: Path, job_name: str = "trio") -> list[Context]:
    """A TLS context for each party, with keys made for it."""
    authority = certs.make_authority(job_name)
    made = []
    for party in PARTIES:
        folder = directory / party
        folder.mkdir(mode=0o700)
        certs.write_files(folder, certs.make_party(authority, party))
        made.append(context(folder))
    return made


def context(folder: Path, rekey_records: int = REKEY_RECORDS) -> Context:
    """A TLS context of the keys in a directory, whatever they are."""
    files = [(folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key")]
    return Context(files[0], files[1], files[2], rekey_records)


class Trio:
    """The three parties of a plan, each with its arena and its executor.

    Attributes:
        schedules, arenas, executors: by party.
    """

    def __init__(self, schedules: list[Schedule], directory: Path) -> None:
        self.schedules = schedules
        self.arenas = [arena(schedule) for schedule in schedules]
        self._sockets: list[socket.socket] = []
        links = self._links(contexts(directory))
        self.executors = [
            Executor(self.arenas[p], schedules[p].index, links[p], p, schedules[p].window)
            for p in range(3)
        ]

    def _links(self, made: list[Context]) -> list[Any]:
        links: list[list[Connection | None]] = [[None] * 3 for _ in range(3)]
        for low in range(3):
            for high in range(low + 1, 3):
                ours, theirs = socket.socketpair()
                self._sockets += [ours, theirs]
                links[low][high] = Connection(made[low], ours.fileno(), True)
                links[high][low] = Connection(made[high], theirs.fileno(), False)
                shake(links[low][high], links[high][low])
        return [tuple(row) for row in links]

    def all_do(self, work: Callable[[int], None]) -> None:
        """The same for each party, at the same time; the first failure is raised."""
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work, party) for party in range(3)]:
                done.result()

    def steps(
        self, first: int, count: int, tables: dict[int, Any], rows: npt.NDArray[np.int32]
    ) -> None:
        """Training steps over the rows, batch after batch."""

        def work(party: int) -> None:
            table = tables.get(party)
            order = rows if table is not None else None
            code = self.schedules[party].step
            self.executors[party].run(code, first, count, order, table, LIMIT_S, LIMIT_S)

        self.all_do(work)

    def reveal(self, step: int) -> npt.NDArray[np.int64]:
        """The opened model, in fixed point, at the party that receives it."""

        def work(party: int) -> None:
            code = self.schedules[party].reveal
            self.executors[party].run(code, step, 1, None, None, LIMIT_S, LIMIT_S)

        self.all_do(work)
        (party,) = [p for p in range(3) if self.schedules[p].result is not None]
        place = self.schedules[party].result
        assert place is not None
        return self.read(party, place).view(np.int64)

    def read(self, party: int, place: Place) -> npt.NDArray[np.uint8]:
        """A copy of a place in a party's arena."""
        return self.arenas[party][place.offset : place.offset + place.bytes].copy()

    def write(self, party: int, place: Place, value: npt.NDArray[Any]) -> None:
        """Fills a place in a party's arena."""
        raw = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        self.arenas[party][place.offset : place.offset + place.bytes] = raw


def shake(one: Connection | None, other: Connection | None) -> None:
    """Both ends' handshakes, in turn."""
    assert one is not None
    assert other is not None
    todo = [one, other]
    for _ in range(1000):
        todo = [end for end in todo if end.handshake() is not Want.DONE]
        if not todo:
            return
    raise AssertionError("the handshake does not end")
