"""Links: sockets with TLS on them, between three parties in this process or to a test."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from party.native import Connection, Context, Want

LIMIT_S = 60.0
"""For whatever must come; only a test that fails ever waits so long."""


class Links:
    """Three parties on socket pairs, each connected to both others by TLS.

    Attributes:
        sockets, connections: of a party, to another.
    """

    def __init__(self, tls: Sequence[Context]) -> None:
        self.sockets: list[list[socket.socket | None]] = [[None] * 3 for _ in range(3)]
        self.connections: list[list[Connection | None]] = [[None] * 3 for _ in range(3)]
        for low in range(3):
            for high in range(low + 1, 3):
                ours, theirs = socket.socketpair()
                self.sockets[low][high], self.sockets[high][low] = ours, theirs
                server = Connection(tls[low], ours.fileno(), True)
                client = Connection(tls[high], theirs.fileno(), False)
                self.connections[low][high], self.connections[high][low] = server, client
                shake(server, client)

    def say(self, party: int, to: int, data: bytes) -> None:
        """What a test, playing the party, writes to another one."""
        until = time.monotonic() + LIMIT_S
        while data:
            left = self.offer(party, to, data)
            if left == data:
                assert time.monotonic() < until, "nobody reads"
                time.sleep(0.001)
            data = left

    def offer(self, party: int, to: int, data: bytes) -> bytes:
        """As ``say``, without waiting: what the other one's end has no room for is left."""
        connection = self.connections[party][to]
        assert connection is not None
        taken = connection.write(data)
        return data if isinstance(taken, Want) else data[taken:]

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
        """Close all sockets."""
        for row in self.sockets:
            for each in row:
                with contextlib.suppress(OSError):
                    if each is not None:
                        each.close()


def shake(one: Connection, other: Connection) -> None:
    """Both ends' handshakes, in turn."""
    todo = [one, other]
    for _ in range(1000):
        todo = [end for end in todo if end.handshake() is not Want.DONE]
        if not todo:
            return
    raise AssertionError("the handshake does not end")


def tls(
    keys: Path | None, authority: Path, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Python's own TLS, to attack with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority)
    if keys is not None:
        context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    if version is not None:
        context.maximum_version = version
    return context


def message(text: bytes, size: int | None = None) -> bytes:
    """A message of the join, with its length, or another one."""
    return struct.pack("<I", len(text) if size is None else size) + text


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
