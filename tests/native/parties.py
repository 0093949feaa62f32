"""Executors that talk to each other, or to a peer that is played by a test."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from party.native import Connection, Context, Executor, RunError, Want
from party.native.instructions import Op
from tests.native.assembling import Array, aligned, instruction
from tests.trio import shake

ALICE, BOB, SERVER = range(3)
LIMIT_S = 30.0
ABORT, ALIVE = 0xFFFFFFFF, 0xFFFFFFFE


def send(peer: int, key: int, at: int, size: int) -> list[Any]:
    """Queue a message and let it go."""
    return [
        instruction(Op.SEND, inputs=[at], p=[peer, key, size]),
        instruction(Op.FLUSH, p=[peer]),
    ]


def receive(peer: int, key: int, at: int, size: int) -> list[Any]:
    """Wait for a message."""
    return [instruction(Op.RECV, out=at, p=[peer, key, size])]


def frame(step: int, key: int, payload: bytes = b"", size: int | None = None) -> bytes:
    """A message as it is on the wire."""
    return struct.pack("<QII", step, key, len(payload) if size is None else size) + payload


class Task(threading.Thread):
    """Work in a thread; its error is kept."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.error: RunError | None = None
        self.failure: BaseException | None = None
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        begun = time.monotonic()
        try:
            self._work()
        except RunError as error:
            self.error = error
        except BaseException as failure:
            self.failure = failure
        self.seconds = time.monotonic() - begun

    def ended(self) -> Task:
        """Waits for the end; fails where the work failed in an unforeseen way, or hangs."""
        self.join(LIMIT_S)
        assert not self.is_alive(), "it hangs"
        if self.failure is not None:
            raise self.failure
        return self

    def well(self) -> None:
        """Waits for the end, which must be a good one."""
        if self.ended().error is not None:
            raise AssertionError(str(self.error)) from self.error

    def ill(self) -> RunError:
        """Waits for the end, which must be an error."""
        error = self.ended().error
        assert error is not None, "it ended well"
        return error


class Parties:
    """Three parties on socket pairs. ``executors`` come to be with ``seat``."""

    def __init__(self, tls: Sequence[Context]) -> None:
        self.sockets: list[list[socket.socket | None]] = [[None] * 3 for _ in range(3)]
        self.connections: list[list[Connection | None]] = [[None] * 3 for _ in range(3)]
        self.arenas: dict[int, npt.NDArray[np.uint8]] = {}
        self.executors: dict[int, Executor] = {}
        for low in range(3):
            for high in range(low + 1, 3):
                ours, theirs = socket.socketpair()
                self.sockets[low][high], self.sockets[high][low] = ours, theirs
                server = Connection(tls[low], ours.fileno(), True)
                client = Connection(tls[high], theirs.fileno(), False)
                self.connections[low][high], self.connections[high][low] = server, client
                shake(server, client)

    def seat(
        self, party: int, size: int, window: int = 1 << 16, peers: Sequence[int] = (0, 1, 2)
    ) -> Executor:
        """An executor for the party, with so large an arena, of which each byte is the party."""
        self.arenas[party] = aligned(size)
        self.arenas[party][:] = party
        links = [c if k in peers else None for k, c in enumerate(self.connections[party])]
        pool = np.zeros(1, np.int32)
        made = Executor(self.arenas[party], pool, links, party, (window,) * 3)
        self.executors[party] = made
        return made

    def run(
        self,
        party: int,
        code: Array,
        steps: int = 1,
        first: int = 0,
        limit_s: float = LIMIT_S,
        silence_s: float = LIMIT_S,
        finish: bool = False,
    ) -> Task:
        """Lets a party run its code, in a thread of its own."""
        executor = self.executors[party]

        def work() -> None:
            executor.run(code, first, steps, None, None, limit_s, silence_s)
            if finish:
                executor.finish(limit_s, silence_s)

        return Task(work)

    def finish(self, party: int, limit_s: float = LIMIT_S, silence_s: float = LIMIT_S) -> Task:
        """Lets a party end its connections."""
        return Task(lambda: self.executors[party].finish(limit_s, silence_s))

    def say(self, party: int, to: int, data: bytes) -> None:
        """What a test, playing the party, writes to another one."""
        connection = self.connections[party][to]
        assert connection is not None
        until = time.monotonic() + LIMIT_S
        while data:
            taken = connection.write(data)
            if isinstance(taken, Want):
                assert time.monotonic() < until, "nobody reads"
                time.sleep(0.001)
            else:
                data = data[taken:]

    def hear(self, party: int, of: int, size: int) -> bytes:
        """What a test, playing the party, reads from another one: so many bytes, or to the end."""
        connection = self.connections[party][of]
        assert connection is not None
        heard, until = b"", time.monotonic() + LIMIT_S
        while len(heard) < size:
            piece = connection.read(size - len(heard))
            if piece == b"":
                break
            if isinstance(piece, Want):
                assert time.monotonic() < until, "nothing comes"
                time.sleep(0.001)
            else:
                heard += piece
        return heard

    def die(self, party: int) -> None:
        """The party's process is gone: its sockets close, and nothing is said."""
        for each in self.sockets[party]:
            if each is not None:
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for executor in self.executors.values():
            executor.stop()
        for row in self.sockets:
            for each in row:
                with contextlib.suppress(OSError):
                    if each is not None:
                        each.close()
