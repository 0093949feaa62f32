"""The three parties' schedules run against each other, in time alone.

Adding up rounds would be wrong: a party that waits for nobody runs ahead, messages overlap with
computing, and on one machine the parties share its cores. So each party's moves are followed on a
clock of its own, until it waits for a message that is still on its way, for room in a peer's ring,
or for a core.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deployer.estimate.tcp import Stream
from party.native.instructions import Op

WRITE_BYTES = 128 * 1024
"""What leaves in one system call, so that a peer begins to read a large message while the rest of
it is still being sent."""


@dataclass(frozen=True)
class Costs:
    """Seconds that this machine takes for a message, TLS included.

    Attributes:
        send_s, send_byte_s: for a write, and for each byte of it.
        receive_s, receive_byte_s: for a read, and for each byte of it.
        wake_s: from a message's arrival until who waits for it can go on.
    """

    send_s: float
    send_byte_s: float
    receive_s: float
    receive_byte_s: float
    wake_s: float


@dataclass(frozen=True)
class Network:
    """What lies between the parties.

    Attributes:
        latency_s: seconds that a byte is on its way, half a round trip.
        bytes_per_s: what the line of each party carries, each way.
        cores: those that the parties share; None where each has a machine of its own.
        paced: whether their TCP is BBR.
    """

    latency_s: float = 0.0
    bytes_per_s: float = math.inf
    cores: int | None = None
    paced: bool = False


@dataclass(frozen=True)
class Timed:
    """A move whose computing takes ``work_s`` seconds; see ``moves.Move``."""

    work_s: float
    op: Op | None = None
    peer: int = -1
    bytes: int = 0


@dataclass(eq=False)
class _Wire:
    """What one party sends to another: counts of bytes, and the pieces that are not read yet."""

    ring: int
    stream: Stream
    sent: int = 0
    read: int = 0
    consumed: int = 0
    freed: float = 0.0  # when room was made last
    pieces: deque[tuple[int, float]] = field(default_factory=deque)  # bytes, arrival


def simulate(
    parties: Sequence[Sequence[Timed]],
    rings: Sequence[dict[int, int]],
    costs: Costs,
    network: Network,
) -> list[list[float]]:
    """Runs each party's moves from time 0.

    Args:
        parties: the moves of each.
        rings: for each party, the bytes of room for what each peer sends.

    Returns:
        For each party the seconds at which each of its programs' runs ended.
    """
    return _Simulation(parties, rings, costs, network).run()


class _Simulation:
    def __init__(
        self,
        parties: Sequence[Sequence[Timed]],
        rings: Sequence[dict[int, int]],
        costs: Costs,
        network: Network,
    ) -> None:
        self.costs, self.network = costs, network
        way = 2 * network.latency_s, network.bytes_per_s, network.paced
        self.wires = {
            (peer, me): _Wire(size, Stream(*way))
            for me, own in enumerate(rings)
            for peer, size in own.items()
        }
        self.clock = [0.0 for _ in parties]
        self.line_free = [0.0 for _ in parties]
        self.ends: list[list[float]] = [[] for _ in parties]
        self.goes = [self._party(me, moves) for me, moves in enumerate(parties)]

    def run(self) -> list[list[float]]:
        """Who is behind goes first, so that things happen in the order of time."""
        cores = [0.0] * (self.network.cores or 0)
        left, waiting = set(range(len(self.goes))), set[int]()
        while left:
            me = min(left - waiting, key=self.clock.__getitem__)
            try:
                busy_s = next(self.goes[me])
            except StopIteration:
                left.discard(me)
                continue
            if busy_s is None:
                waiting.add(me)
                continue
            if busy_s and cores:
                free = min(range(len(cores)), key=cores.__getitem__)
                self.clock[me] = cores[free] = max(self.clock[me], cores[free]) + busy_s
            else:
                self.clock[me] += busy_s
            waiting.clear()  # they look again
        return self.ends

    def _party(self, me: int, moves: Sequence[Timed]) -> Iterator[float | None]:
        """Yields the seconds for which it needs a core; None where a peer must move first."""
        for move in moves:
            yield move.work_s
            if move.op is None:
                self.ends[me].append(self.clock[me])
            elif move.op is Op.FLUSH:
                yield from self._send(me, self.wires[me, move.peer], move.bytes)
            else:
                yield from self._receive(me, self.wires[move.peer, me], move.bytes)

    def _send(self, me: int, wire: _Wire, size: int) -> Iterator[float | None]:
        latency_s = self.network.latency_s
        while size:
            piece = min(size, WRITE_BYTES)
            if wire.sent + piece - wire.consumed > wire.ring:
                while wire.sent + piece - wire.consumed > wire.ring:
                    yield None
                yield self._sleep(me, wire.freed + latency_s)
            yield self.costs.send_s + piece * self.costs.send_byte_s
            begin = max(self.clock[me], self.line_free[me])
            self.line_free[me] = begin + piece / self.network.bytes_per_s
            left = max(self.line_free[me], wire.stream.leaves(begin, piece))
            wire.pieces.append((piece, left + latency_s + self.costs.wake_s))
            wire.sent += piece
            size -= piece

    def _receive(self, me: int, wire: _Wire, size: int) -> Iterator[float | None]:
        while wire.read < wire.consumed + size:
            while not wire.pieces:
                yield None
            piece, arrival = wire.pieces.popleft()
            if arrival > self.clock[me]:
                yield self._sleep(me, arrival)
            yield self.costs.receive_s + piece * self.costs.receive_byte_s
            wire.read += piece
        wire.consumed += size
        wire.freed = self.clock[me]

    def _sleep(self, me: int, until: float) -> float:
        """Needs no core meanwhile."""
        self.clock[me] = max(self.clock[me], until)
        return 0.0
