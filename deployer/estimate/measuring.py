"""What this machine takes for a schedule's computing and for a message, tried for a moment.

The instructions are those of the job itself, run by the executor that the parties run, on a table
of ones: how long they take depends on the machine and on nobody's data.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import combinations
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from deployer.certs import authority as certs
from deployer.estimate.moves import computing, moves
from deployer.estimate.simulation import Costs, Timed
from party.agreement.job import PARTIES
from party.channel import sockets
from party.identity import AUTHORITY, CERTIFICATE, KEY
from party.native import Connection, Context, Executor, Want
from party.native.instructions import INSTRUCTION, Op, Type
from party.process import files
from party.schedule import ROW_INSTRUCTIONS, Code, Schedule, arena

_COMPUTING_S = 0.02
"""How long the computing of each program of each party is tried."""

_TOGETHER_S = 0.5
"""How long the parties run each program against each other."""

_PARTS = 5
"""In so many parts, of which the median counts: others may be at work on this machine."""

_MOST_TRIES = 1000
_MOST_ROWS = 100_000
"""Of a party's table: more would take memory, and no longer."""

_POINT = bytes(4096)
"""Of a checkpoint: about as many bytes as that of a narrow table, which are few for a disk."""

_SMALL, _LARGE = 64, 64 * 1024  # bytes of a message
_PASSES = 40
_INSTANT_S = 1e-9
_LIMIT_S = 60.0  # for what takes milliseconds
_EMPTY = np.zeros(0, INSTRUCTION)


def table_columns(schedule: Schedule) -> int:
    """Columns of the party's table in memory, as far as the programs read it."""
    return max((int(one["p"][1] + one["p"][2]) for one in _inputs(schedule)), default=0)


def table_type(schedule: Schedule) -> np.dtype[Any]:
    """Of a cell of it: a number, or of rows that were matched a share."""
    return next((Type(int(one["type"])).numpy for one in _inputs(schedule)), np.dtype(np.float32))


def _inputs(schedule: Schedule) -> Iterator[np.void]:
    for code in schedule.programs:
        yield from code.instructions[code.instructions["op"] == Op.INPUT]


class _Own:
    """A party's executor with its arena and a table of ones."""

    def __init__(self, links: dict[int, Connection], schedule: Schedule, rows: int) -> None:
        self.schedule = schedule
        self._executor = _executor(
            arena(schedule), schedule.index, links, schedule.party, schedule.window
        )
        self._rows = min(rows, _MOST_ROWS)
        columns = max(1, table_columns(schedule))
        self._table = np.ones((self._rows, columns), table_type(schedule))

    def run(self, name: str, first: int, times: int) -> None:
        """Runs a program with its peers."""
        self.seconds(self.schedule.program(name).instructions, times, first)

    def seconds(self, code: npt.NDArray[np.void], times: int = 1, first: int = 0) -> float:
        """Runs instructions so many times, each time on other rows; the seconds that it took."""
        taking = code[np.isin(code["op"], list(ROW_INSTRUCTIONS))]
        batch = int(taking["p"][:, 0].max(initial=0))
        random = np.random.default_rng(first)
        rows = random.integers(0, self._rows, batch * times, np.int32) if batch else None
        return _seconds(self._executor, code, times, first, rows, self._table)


def works(schedule: Schedule, rows: int) -> dict[str, list[Timed]]:
    """The moves of each program of a party, with the seconds that their computing takes."""
    own = _Own({}, schedule, rows)
    return {code.name: _timed(own, code) for code in schedule.programs}


def _timed(own: _Own, code: Code) -> list[Timed]:
    """The program as a whole is timed without a gap between its instructions; how that is
    distributed over the moves, each by itself."""
    made, whole = moves(code), computing(code.instructions)
    tries = int(min(max(3.0, _COMPUTING_S / own.seconds(whole)), _MOST_TRIES))
    whole_s = median(own.seconds(whole, tries) / tries for _ in range(3))
    parts = np.array([[own.seconds(move.code) for move in made] for _ in range(tries // 4 + 1)])
    call_s = median(own.seconds(_EMPTY) for _ in range(tries))
    shares = np.maximum(np.median(parts, axis=0) - call_s, _INSTANT_S)
    shares *= whole_s / shares.sum()
    return [
        Timed(float(work_s), move.op, move.peer, move.bytes)
        for move, work_s in zip(made, shares, strict=True)
    ]


Links = list[dict[int, Connection]]
"""For each party its connections by peer."""


@contextmanager
def linked() -> Iterator[tuple[Links, float]]:
    """Three parties' ends in this process, connected to each other by TLS on the loopback
    interface, and the seconds that one of the handshakes took."""
    authority = certs.make_authority("estimate")
    contexts = []
    for party in PARTIES:
        keys = certs.make_party(authority, party)
        contexts.append(Context(keys[AUTHORITY], keys[CERTIFICATE], keys[KEY]))
    links: Links = [{} for _ in contexts]
    with ExitStack() as stack:
        begin = time.perf_counter()
        for low, high in combinations(range(len(contexts)), 2):
            ends = [stack.enter_context(one) for one in _loopback()]
            links[low][high] = Connection(contexts[low], ends[0].fileno(), server=True)
            links[high][low] = Connection(contexts[high], ends[1].fileno(), server=False)
            left = [links[low][high], links[high][low]]
            while left:
                left = [one for one in left if one.handshake() is not Want.DONE]
        yield links, (time.perf_counter() - begin) / len(contexts)


def _loopback() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for end in (one, other):
        end.setblocking(False)
        sockets.tune(end)
    return one, other


def message_costs(links: Links) -> Costs:
    """What a message costs its sender, and its receiver once it is there; to wake up, nothing."""
    raw = np.zeros(_LARGE + 63, np.uint8)
    memory = raw[-raw.ctypes.data % 64 :][:_LARGE]
    one, other = (
        _executor(memory, np.zeros(1, np.int32), links[me], me, [2 * _LARGE] * len(PARTIES))
        for me in (0, 1)
    )

    def both(size: int) -> tuple[float, float]:
        send = np.concatenate([_message(Op.SEND, 1, size), _message(Op.FLUSH, 1, 0)])
        receive = _message(Op.RECV, 0, size)
        pairs = [(_seconds(one, send), _seconds(other, receive)) for _ in range(_PASSES)]
        nothing_s = median(_seconds(one, _EMPTY) for _ in range(_PASSES))
        sends, receives = zip(*pairs, strict=True)
        return max(0.0, median(sends) - nothing_s), max(0.0, median(receives) - nothing_s)

    send_s, receive_s = both(_SMALL)
    large_send_s, large_receive_s = both(_LARGE)
    return Costs(
        send_s=send_s,
        send_byte_s=max(0.0, large_send_s - send_s) / (_LARGE - _SMALL),
        receive_s=receive_s,
        receive_byte_s=max(0.0, large_receive_s - receive_s) / (_LARGE - _SMALL),
        wake_s=0.0,
    )


def paces(links: Links, schedules: Sequence[Schedule], rows: int) -> dict[str, float]:
    """Seconds that a run of each program takes where all parties are on this machine: they run it
    against each other for a moment."""
    own = [_Own(links[one.party], one, rows) for one in schedules]
    found, first = {}, 0
    with ThreadPoolExecutor(len(own)) as threads:

        def run(name: str, times: int) -> float:
            nonlocal first
            begin = time.perf_counter()
            work = [threads.submit(one.run, name, first, times) for one in own]
            for each in work:
                each.result()
            first += times
            return time.perf_counter() - begin

        for code in schedules[0].programs:
            run(code.name, 1)  # its memory is touched for the first time
            once_s = min(run(code.name, 2) / 2 for _ in range(2))
            times = int(min(max(1.0, _TOGETHER_S / _PARTS / once_s), _MOST_TRIES))
            found[code.name] = median(run(code.name, times) / times for _ in range(_PARTS))
    return found


def writing_s(folder: Path) -> float:
    """Seconds until a checkpoint is durably on the disk of a folder, while two others are written
    there, as the parties do on one machine."""
    with (
        TemporaryDirectory(prefix=".estimate-", dir=folder) as name,
        ThreadPoolExecutor(len(PARTIES)) as threads,
    ):

        def run(party: str) -> float:
            begin = time.perf_counter()
            files.replace(Path(name) / party, _POINT)
            return time.perf_counter() - begin

        return median(max(threads.map(run, PARTIES)) for _ in range(_PARTS))


def _message(op: Op, peer: int, size: int) -> npt.NDArray[np.void]:
    one = np.zeros(1, INSTRUCTION)
    one["op"], one["out"], one["input"], one["index"] = op, -1, -1, -1
    one["p"][0, :3] = peer, 0, size
    if op is Op.RECV:
        one["out"] = 0
    elif op is Op.SEND:
        one["input"][0, 0] = 0
    return one


def _executor(
    memory: npt.NDArray[np.uint8],
    index: npt.NDArray[np.int32],
    links: dict[int, Connection],
    me: int,
    window: Sequence[int],
) -> Executor:
    return Executor(memory, index, [links.get(p) for p in range(len(PARTIES))], me, window)


def _seconds(
    executor: Executor,
    code: npt.NDArray[np.void],
    times: int = 1,
    first: int = 0,
    rows: npt.NDArray[np.int32] | None = None,
    table: npt.NDArray[Any] | None = None,
) -> float:
    begin = time.perf_counter()
    executor.run(code, first, times, rows, table, _LIMIT_S)
    return time.perf_counter() - begin
