"""Somebody on the way to Alice, who reads all and changes what he likes."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader

from party.agreement.hosts import Address, format_hosts
from tests.harness.processes import Processes, Running

Change = Callable[[bytes, bool], bytes]
"""Makes of a piece, which goes to Alice or not, whatever goes on to the other end."""

Cut = Callable[[BufferedReader], Iterator[bytes]]
"""Cuts what comes over a connection into pieces."""

RELAYED = "relayed.json"
"""The hosts map of who reaches Alice through the relay."""


def honest(piece: bytes, to_alice: bool) -> bytes:
    return piece


def tls_records(stream: BufferedReader) -> Iterator[bytes]:
    while len(head := stream.read(5)) == 5:
        yield head + stream.read(int.from_bytes(head[3:], "big"))


def as_it_comes(stream: BufferedReader) -> Iterator[bytes]:
    while piece := stream.read1(65536):
        yield piece


@dataclass
class Relay:
    """A listening socket whose connections lead to Alice, piece by piece."""

    alice: Address
    change: Change = honest
    cut: Cut = tls_records
    connections: int = 0
    carried: dict[bool, bytearray] = field(
        default_factory=lambda: {True: bytearray(), False: bytearray()}
    )
    ends: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.8", 0))
        self.address = Address(*self.listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection((self.alice.host, self.alice.port))
                except OSError:
                    near.close()
                    continue
                self.connections += 1
                self.ends += [near, far]
                for source, sink, to_alice in ((near, far, True), (far, near, False)):
                    threading.Thread(
                        target=self._carry, args=(source, sink, to_alice), daemon=True
                    ).start()

    def _carry(self, source: socket.socket, sink: socket.socket, to_alice: bool) -> None:
        with contextlib.suppress(OSError), source.makefile("rb") as stream:
            for piece in self.cut(stream):
                self.carried[to_alice] += piece
                sink.sendall(self.change(piece, to_alice))
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up everywhere."""
        for one in (self.listener, *self.ends):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def relayed(processes: Processes, cut: Cut = tls_records) -> Iterator[Relay]:
    """Between Alice and whoever is started with ``config=RELAYED``."""
    made = Relay(processes.address("alice"), cut=cut)
    hosts = (made.address, *processes.hosts[1:])
    (processes.directory / RELAYED).write_text(format_hosts(hosts))
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def standing_still(processes: Processes, *after: int) -> Iterator[list[threading.Event]]:
    """A run waits for who looks at it, however fast it is: it stands still whenever so many bytes
    have gone through Alice's relay, until the event of that place is set."""
    places = [(at, threading.Event()) for at in after]
    carried, lock = 0, threading.Lock()

    def wait(piece: bytes, to_alice: bool) -> bytes:
        nonlocal carried
        with lock:
            before, carried = carried, carried + len(piece)
            passed = [go_on for at, go_on in places if before < at <= carried]
        for go_on in passed:
            go_on.wait()
        return piece

    events = [go_on for _, go_on in places]
    with relayed(processes, as_it_comes) as relay:
        relay.change = wait
        try:
            yield events
        finally:
            for go_on in events:
                go_on.set()


@contextlib.contextmanager
def bob_killed(processes: Processes, after: int, **options: str) -> Iterator[dict[str, Running]]:
    """All three, of whom Bob is killed where the run stands still, once the block has seen what it
    looks for, and started again; then all end well."""
    with standing_still(processes, after) as (go_on,):
        now = {party: processes.start(party, **options) for party in ("alice", "server")}
        now["bob"] = processes.start("bob", config=RELAYED, **options)
        yield now
        now["bob"].signal(signal.SIGKILL)
        now["bob"].ends()
        go_on.set()
        now["bob"] = processes.start("bob", **options)
        for one in now.values():
            assert one.ends() == (0, ""), one.party
