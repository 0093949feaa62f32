"""Relays between three parties, which do harm when so many bytes have gone through them."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from party.agreement.hosts import Address
from tests.harness import vanishing

_AT_ONCE = struct.pack("ii", 1, 0)  # for SO_LINGER: a close is a reset


@dataclass
class Fault:
    """Something that happens on a link.

    Attributes:
        at: after so many bytes of all that the link carries.
        what: of the words below, or what is done to a party.
        words: it, and where.
        do: does it, where that is not the relay's.
    """

    at: int
    what: str
    words: str
    do: Callable[[], None] | None = None


CUTS = ("reset", "close", "halve", "delay")
"""Both ends see a reset; both see an end that TLS does not vouch for; what one says does not come
any more, and what the other says does; nothing for a while."""

REORDER = "reorder"
"""As ``close``; and the next connection arrives behind the one after it, when whoever dialled it
has given it up."""

_BEHIND_S = 20.0
"""So long the next one is held at most: for longer than a dial is given."""


@dataclass
class Link:
    """A listening socket whose connections lead to a party, with faults on the way."""

    to: Address
    faults: list[Fault]
    happened: Callable[[str], None]
    carried: int = 0
    reorders: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ends: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.faults.sort(key=lambda one: one.at)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = Address(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.reorders:
                    self.reorders = False
                    if select.select([self._listener], [], [], _BEHIND_S)[0]:
                        self._connect(self._listener.accept()[0])
                self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection((self.to.host, self.to.port), 10)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._ends += [near, far]
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        both = (source, sink)
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                while piece:
                    part, fault = self._up_to_fault(piece)
                    sink.sendall(part)
                    piece = piece[len(part) :]
                    if fault is not None and not self._happen(fault, both):
                        return
            sink.shutdown(socket.SHUT_WR)
            return
        self._hang_up(both)

    def _up_to_fault(self, piece: bytes) -> tuple[bytes, Fault | None]:
        with self._lock:
            if not self.faults or self.faults[0].at > self.carried + len(piece):
                self.carried += len(piece)
                return piece, None
            fault = self.faults.pop(0)
            part = piece[: max(fault.at - self.carried, 0)]
            self.carried += len(part)
            return part, fault

    def _happen(self, fault: Fault, both: tuple[socket.socket, socket.socket]) -> bool:
        """Whether the connection is carried on."""
        self.happened(fault.words)
        if fault.do is not None:
            fault.do()
        elif fault.what == "delay":
            time.sleep(0.3)
        elif fault.what == "halve":
            both[1].shutdown(socket.SHUT_WR)
            return False
        elif fault.what == "reset":
            for one in both:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                one.shutdown(socket.SHUT_RD)
                one.close()
            return False
        else:
            self.reorders = self.reorders or fault.what == REORDER
            self._hang_up(both)
            return False
        return True

    @staticmethod
    def _hang_up(both: tuple[socket.socket, socket.socket]) -> None:
        for one in both:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def vanish(self) -> None:
        """Whoever is at one end finds the other one's machine gone, and is not told."""
        for one in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                vanishing.vanish(one)

    def come_back(self) -> None:
        """Connections can be made again; those of before are over at their ends."""
        for one in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                vanishing.come_back(one)

    def close(self) -> None:
        """Hang up everywhere."""
        for one in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
