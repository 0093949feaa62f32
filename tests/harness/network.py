"""A hostile network: strangers who record every byte that a party says to them."""

from __future__ import annotations

import errno
import random
import socket
import ssl
from dataclasses import dataclass

from party.agreement.hosts import Address

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a ClientHello begins."""

HANGS_UP_WITHIN_S = 60.0
"""Six times what a party gives a stranger, for a busy machine."""

_RECORDS = range(20, 24)  # change cipher spec, alert, handshake, application data
_ALERT = 21
_LONGEST_RECORD = 16384 + 256


@dataclass
class Encounter:
    """What a stranger got out of a party: the bytes on the wire, and what they decrypt to."""

    wire: bytes = b""
    plain: bytes = b""
    version: str | None = None  # of TLS, where the stranger's side of the handshake came to its end
    ended: str = "open"

    def gave_nothing_away(self) -> None:
        """Nothing but whole TLS records came, no data in them, and the party hung up."""
        assert self.plain == b"", self
        assert self.ended != "open", self
        assert is_tls(self.wire), self


def is_tls(wire: bytes) -> bool:
    """Whether bytes are whole TLS records and nothing else."""
    while wire:
        size = int.from_bytes(wire[3:5], "big")
        alert = wire[0] == _ALERT and size == 2  # in whatever version it was spoken to
        if len(wire) < 5 + size or wire[0] not in _RECORDS or not (alert or wire[1] == 3):
            return False
        if size > _LONGEST_RECORD:
            return False
        wire = wire[5 + size :]
    return True


def speak(address: Address, words: bytes, patience_s: float = HANGS_UP_WITHIN_S) -> Encounter:
    """Say something that is not TLS, or only looks like it, and listen until hung up on."""
    met = Encounter()
    with socket.create_connection((address.host, address.port), patience_s) as one:
        try:
            one.sendall(words)
            one.shutdown(socket.SHUT_WR)
            while piece := one.recv(65536):
                met.wire += piece
            met.ended = "closed"
        except TimeoutError:
            pass
        except OSError as error:
            if not isinstance(error, ConnectionError) and error.errno != errno.ENOTCONN:
                raise
            met.ended = "reset"
    return met


def knock(
    address: Address,
    context: ssl.SSLContext,
    say: bytes = b"",
    patience_s: float = HANGS_UP_WITHIN_S,
    meddle: Meddling | None = None,
) -> Encounter:
    """Shake hands as a client, say something, and listen until hung up on."""
    with socket.create_connection((address.host, address.port), patience_s) as one:
        return converse(one, context, False, say, meddle)


class Meddling:
    """Does one thing to one of the first messages that a client sends: changes a bit, or drops,
    cuts, repeats or puts in a few bytes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.when = chance.randrange(2)
        self.what = chance.randrange(5)

    def __call__(self, words: bytes) -> bytes:
        self.when -= 1
        if self.when != -1:
            return words
        at = self.chance.randrange(len(words))
        some = self.chance.randint(1, 20)
        match self.what:
            case 0:
                return words[:at] + bytes([words[at] ^ 1 << some % 8]) + words[at + 1 :]
            case 1:
                return words[:at] + words[at + some :]
            case 2:
                return words[:at]
            case 3:
                return words[:at] + words[max(0, at - some) : at + 1] + words[at:]
            case _:
                return words[:at] + self.chance.randbytes(some) + words[at:]


def converse(
    one: socket.socket,
    context: ssl.SSLContext,
    server: bool,
    say: bytes = b"",
    meddle: Meddling | None = None,
) -> Encounter:
    """TLS over a connected socket, every byte of which is recorded."""
    met = Encounter()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=server)
    shaken = said = False
    try:
        while True:
            try:
                if not shaken:
                    tls.do_handshake()
                    shaken, met.version = True, tls.version()
                if not said:
                    said = True
                    if say:
                        tls.write(say)
                heard = tls.read(65536)
                met.plain += heard
                if heard:
                    continue
                met.ended = "closed"
                return met
            except ssl.SSLWantReadError:
                pass
            if words := outgoing.read():
                one.sendall(meddle(words) if meddle else words)
                if meddle and meddle.when < 0:
                    one.shutdown(socket.SHUT_WR)
            piece = one.recv(65536)
            met.wire += piece
            incoming.write(piece) if piece else incoming.write_eof()
            if not piece:
                met.ended = "closed"
                return met
    except ssl.SSLError as problem:
        met.ended = problem.reason or "TLS"
        try:
            while piece := one.recv(65536):
                met.wire += piece
        except OSError:
            pass
    except ConnectionError:
        met.ended = "reset"
    except TimeoutError:
        pass
    return met


def alive(connections: list[socket.socket]) -> list[socket.socket]:
    """Those that the other end has not hung up on."""
    return [one for one in connections if _lives(one)]


def _lives(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while one.recv(65536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
