"""A job under attack: real parties as processes, and strangers who record every byte."""

from __future__ import annotations

import json
import random
import resource
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from party.agreement.hosts import Address
from party.agreement.job import PARTIES, load_job
from party.models.logistic_regression.reference import fit
from party.table import read_table
from tests.runtime.scene import PATIENCE_S, Running, Scene

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a ClientHello begins."""

HANGS_UP_WITHIN_S = 20.0
"""Twice what a party gives a stranger, on a busy machine."""

FILES = 1024
"""How many files a process may have open where nobody has raised the usual limit."""

_RECORDS = range(20, 24)  # change cipher spec, alert, handshake, application data
_ALERT = 21
_LONGEST_RECORD = 16384 + 256


class Siege(Scene):
    """Three parties, some of which wait while something is done to them."""

    def waits(self, *parties: str, **change: str) -> list[Running]:
        """Start parties, and see that they wait for the others with their ports open."""
        started = [self.start(party, **change) for party in parties]
        for one in started:
            one.reaches("joining")
            one.says("waiting for" if one.party == "server" else "is ready; joining")
            if one.party != "server":
                self._is_open(self.address(one.party))
        return started

    def address(self, party: str) -> Address:
        """Where a party listens."""
        return self.hosts[PARTIES.index(party)]

    def completes(self) -> None:
        """Let those start who have not, and see the job done with the right result."""
        here = {one.party for one in self.running if one.process.poll() is None}
        for party in PARTIES:
            if party not in here:
                self.start(party)
        for one in self.running[-3:]:
            assert one.ends() == (0, ""), one.party
        self.is_right()

    def is_right(self) -> None:
        """Alice's model is what training in the clear gives."""
        model = json.loads((self.directory / "out/alice/model.json").read_text())
        job = load_job(self.directory / "job.yaml")
        x = read_table(self.directory / "alice.csv", job, "alice")
        y = read_table(self.directory / "bob.csv", job, "bob")
        clear = fit(job, x.matrix, y.matrix)
        secure = np.array([*model["weights"], model["intercept"]])
        assert np.linalg.norm(secure - clear) < 1e-2 * np.linalg.norm(clear)

    @staticmethod
    def _is_open(address: Address) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection((address.host, address.port), 5).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < end
                time.sleep(0.02)


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
        except ConnectionError:
            met.ended = "reset"
        except TimeoutError:
            pass
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


def limit_files(running: Running) -> None:
    """Let a process have no more files open than is usual."""
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))


def resident_bytes(running: Running, field: str = "VmRSS") -> int:
    """A process's memory now (``VmRSS``) or at its highest (``VmHWM``)."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


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
