"""A party that has real keys, joins as everybody does, and then says what it likes."""

from __future__ import annotations

import contextlib
import ctypes
import random
import resource
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from party.agreement.job import PARTIES, Party, load_job
from party.agreement.order import blocks
from party.channel import Messages, join, listen
from party.identity import load_keys
from party.native import ChannelError, Connection, Want
from party.native.instructions import Op, Type
from party.native.library import library
from party.plan.parameters import PlanParameters
from party.runtime.course import _FIRST_RUNS
from party.runtime.meeting import Holding, meet
from party.schedule import Schedule, cache
from tests.harness.processes import PATIENCE_S, Processes

HEAD = struct.Struct("<QII")
"""What a message begins with: its step, its key, and how many bytes follow."""

MEETING = 0xFFFFFFFC
"""The key of what parties that meet tell each other (``executor.c``)."""

ADDRESS_SPACE = 3 * 2**30
"""Most of it for a victim, many times what a party of such a job takes. A header can say 4 GiB:
whoever made room for that would fail otherwise than it should, whether it used the room or not."""


@dataclass(frozen=True)
class Frame:
    """A message between parties: its header, how many bytes follow it, and what they are to the
    receiver."""

    step: int
    key: int
    size: int
    type: Type = field(default=Type.INT64, compare=False)

    def on_the_wire(self, chance: random.Random) -> bytes:
        """With random numbers for shares, which no receiver can tell from real ones."""
        return HEAD.pack(self.step, self.key, self.size) + chance.randbytes(self.size)

    def __str__(self) -> str:
        return f"step {self.step}, message {self.key}, {self.size} bytes"


class Intruder:
    """One of the three, joined to the real processes of the other two.

    Attributes:
        heard: by party, how many bytes came from it after the join.
        steps: of the training.
        blocks: how often the labels' program runs before the first step.
    """

    def __init__(self, processes: Processes, party: Party) -> None:
        self.processes, self.party = processes, party
        job = load_job(processes.directory / "job.yaml")
        self.steps = job.steps
        self.blocks = len(blocks(job.rows, PlanParameters.of(job).layout.share_rows))
        parameters = PlanParameters.of(job)
        self.schedules: dict[str, Schedule] = {}
        for index, name in enumerate(PARTIES):
            found = cache.load(cache.path(processes.cache, parameters, index), index)
            assert found is not None
            self.schedules[name] = found
        index = PARTIES.index(party)
        self.joined = join(
            job,
            party,
            processes.hosts,
            load_keys(processes.directory / "keys" / party, job.name, party),
            self.schedules[party].plan_digest,
            listen(processes.hosts[index]) if index < 2 else None,
            PATIENCE_S,
            lambda text, awaited: None,
        )
        # It has nothing to go on from, and wants few points on the way, as the others do.
        meet(Messages(self.joined.connections), party, Holding(every_ms=3_600_000))
        for one in self.joined._sockets:
            # So that what was sent is what was read, but for little: Linux would keep megabytes.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        self.heard = dict.fromkeys(PARTIES, 0)
        self._ended, self._closed = threading.Event(), False
        self._locks: dict[str, threading.Lock] = {name: threading.Lock() for name in PARTIES}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def frames(self, victim: str, step: int, of: str | None = None) -> list[Frame]:
        """What the victim expects of this party (or another) in a step, in the order in which it
        does. The runs of the program that shares the labels are the steps before the first."""
        schedule = self.schedules[victim]
        name = "share" if step < 0 else "step" if step < self.steps else "open"
        code = schedule.program(name).instructions
        mine = PARTIES.index(of or self.party)
        return [
            Frame(self.blocks + step, int(i["p"][1]), int(i["p"][2]), Type(i["type"]))
            for i in code
            if i["op"] == Op.RECV and i["p"][0] == mine
        ]

    def connection(self, victim: str) -> Connection:
        """To a victim."""
        found = self.joined.connections[PARTIES.index(victim)]
        assert found is not None
        return found

    def send(self, victim: str, words: bytes) -> int:
        """All of it, unless the victim hangs up meanwhile; how many bytes went."""
        connection, sent = self.connection(victim), 0
        with contextlib.suppress(ChannelError):
            while sent < len(words) and not self._ended.is_set():
                with self._locks[victim]:
                    taken = connection.write(words[sent : sent + 2**16])
                if isinstance(taken, int):
                    sent += taken
                else:
                    _ready(connection, select.POLLOUT)
            self._flush(victim)
        return sent

    @contextlib.contextmanager
    def repeating(self, send: Callable[[], int]) -> Iterator[Repeated]:
        """Send without end while something else is done, until nothing goes any more."""
        repeated = Repeated()

        def work() -> None:
            with contextlib.suppress(ChannelError):
                while not self._ended.is_set() and (count := send()):
                    repeated.count += count

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield repeated
        self._ended.set()
        thread.join()

    def change_keys(self, victim: str) -> int:
        """Tell the victim a thousand times that from now on another key is used; how many."""
        connection, native = self.connection(victim), library()
        native.SSL_key_update.argtypes = (ctypes.c_void_p, ctypes.c_int)
        native.SSL_do_handshake.argtypes = (ctypes.c_void_p,)
        tls = ctypes.c_void_p.from_address(connection.handle)  # the structure's first field
        count = 0
        with self._locks[victim]:
            while count < 1000 and native.SSL_key_update(tls, 0) == 1:
                if native.SSL_do_handshake(tls) != 1:
                    break
                count += 1
        self._flush(victim)
        return count

    def _flush(self, victim: str) -> None:
        connection = self.connection(victim)
        while not self._ended.is_set():
            with self._locks[victim]:
                if connection.flush() is Want.DONE:
                    return
            _ready(connection, select.POLLOUT)

    def behaves(self, steps: int, chance: random.Random, first: int | None = None) -> None:
        """Play along up to a step, with random shares."""
        for step in range(-self.blocks if first is None else first, steps):
            self.meets(step)
            for victim in PARTIES:
                if victim != self.party:
                    frames = self.frames(victim, step)
                    self.send(victim, b"".join(one.on_the_wire(chance) for one in frames))
        if steps > self.steps:
            self.meets(steps)

    def meets(self, step: int) -> None:
        """Be where all three meet before a step: once on the way, twice before the opening, and
        once behind it. The number told is how long this party took."""
        times = {_FIRST_RUNS: 1, self.steps: 2, self.steps + 1: 1}.get(step, 0)
        for victim in PARTIES:
            if victim != self.party:
                self.send(victim, times * (HEAD.pack(self.blocks + step, MEETING, 8) + bytes(8)))

    def _listen(self) -> None:
        """Read what comes, so that nobody waits for this party to read."""
        live = {
            one.fileno(): (name, one)
            for name, one in zip(PARTIES, self.joined.connections, strict=True)
            if one is not None
        }
        poll = select.poll()
        for number in live:
            poll.register(number, select.POLLIN)
        while live and not self._ended.is_set():
            for number, _ in poll.poll(100):
                name, connection = live[number]
                try:
                    with self._locks[name]:
                        while isinstance(came := connection.read(65536), bytes) and came:
                            self.heard[name] += len(came)
                except ChannelError:
                    came = b""
                if came == b"":
                    poll.unregister(number)
                    del live[number]

    def close(self) -> None:
        """Hang up, and leave nothing behind."""
        if not self._closed:
            self._closed = True
            self._ended.set()
            self._listener.join()
            self.joined.close()


@dataclass
class Repeated:
    """How much of something was sent so far."""

    count: int = 0


def _ready(connection: Connection, event: int) -> None:
    poll = select.poll()
    poll.register(connection.fileno(), event)
    poll.poll(100)


@contextlib.contextmanager
def intruder(processes: Processes, party: Party = "bob", **options: str) -> Iterator[Intruder]:
    """The other two are started, with these options and under a limit of memory, and join it."""
    for other in PARTIES:
        if other != party:
            started = processes.start(other, **{"checkpoint_every": "3600"} | options)
            victim = started.process.pid
            resource.prlimit(victim, resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    made = Intruder(processes, party)
    try:
        yield made
    finally:
        made.close()
