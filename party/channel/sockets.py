"""TCP as the join needs it: listening, dialling, looking up names. Nothing here blocks for long."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from party.agreement.hosts import Address
from party.process.errors import InputError

Endpoint = tuple[int, Any]
"""A family of addresses and an address of it, as ``socket`` takes them."""

Asker = TypeVar("Asker")

_NUMERIC = socket.AI_NUMERICHOST
_ALL_V6, _ALL_V4 = "::", "0.0.0.0"  # noqa: S104 - as ``listen`` says


def listen(address: Address, or_everywhere: bool = True) -> socket.socket:
    """A listening socket at an address of this machine, or, where the name or address is not this
    machine's, at its port on all addresses: behind a Service or a router one's own entry in the
    hosts map belongs to that. Raises InputError where that cannot be had.

    ``[::]`` stands for all addresses of IPv6 and of IPv4, on a machine without IPv6 for those of
    IPv4; ``0.0.0.0`` for those of IPv4 alone.

    ``or_everywhere=False`` is for what is to be heard nowhere but where it was said."""
    places: list[Endpoint] = []
    with contextlib.suppress(OSError):
        # A machine's own name often stands for its loopback address, where no peer finds it.
        places = [
            (family, place)
            for family, place in lookup(address)
            if not (_is_name(address) and ipaddress.ip_address(place[0]).is_loopback)
        ]
    if or_everywhere or address.host == _ALL_V6:
        places.append((socket.AF_INET6, (_ALL_V6, address.port)))
        places.append((socket.AF_INET, (_ALL_V4, address.port)))
    problem = "it is no address of this machine"
    for family, place in places:
        everywhere = place[0] == _ALL_V6 and socket.has_dualstack_ipv6()
        try:
            return socket.create_server(
                place[:2], family=family, backlog=1024, dualstack_ipv6=everywhere
            )
        except OSError as error:
            problem = os.strerror(error.errno or 0)
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                break
    raise InputError(
        f"cannot listen on {address}: {problem}", hint="choose another port or end who has it"
    )


def _is_name(address: Address) -> bool:
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        return address.host != "localhost"
    return False


def lookup(address: Address, flags: int = 0) -> list[Endpoint]:
    """The places that an address stands for; OSError where its name is not known. Blocks."""
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=flags | socket.AI_NUMERICSERV
    )
    return [(int(family), place) for family, _, _, _, place in found]


class Lookups(Generic[Asker]):
    """Names that are looked up in threads, because that blocks for as long as it likes.

    Readable, for ``poll``, when there are answers.
    """

    def __init__(self) -> None:
        self._answers: SimpleQueue[tuple[Asker, list[Endpoint] | str]] = SimpleQueue()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)

    def fileno(self) -> int:
        return self._woken.fileno()

    def at_once(self, address: Address) -> list[Endpoint] | None:
        """The places of an address that is no name; None where it is one."""
        try:
            return lookup(address, _NUMERIC)
        except OSError:
            return None

    def ask(self, asker: Asker, address: Address) -> None:
        """Look a name up; ``answers`` has what came of it, later."""

        def look() -> None:
            try:
                self._answers.put((asker, lookup(address)))
            except OSError as error:
                self._answers.put((asker, f"its name is not known ({error.strerror})"))
            with contextlib.suppress(OSError):
                self._wake.send(b"\0")

        threading.Thread(target=look, daemon=True).start()

    def answers(self) -> Iterator[tuple[Asker, list[Endpoint] | str]]:
        """Who asked, and the places or what is wrong."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(64)
        while not self._answers.empty():
            yield self._answers.get()

    def close(self) -> None:
        self._wake.close()
        self._woken.close()


def begin_connecting(one: socket.socket, place: Any) -> None:
    """Begin to connect a socket; it can be written to when that has ended. Raises OSError."""
    _check(one.connect_ex(place))


def end_connecting(one: socket.socket) -> None:
    """What came of it: a connection, or OSError."""
    _check(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def _check(code: int) -> None:
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))


def tune(one: socket.socket) -> None:
    """Small messages leave at once; a machine that owes no answer and is gone is noticed after 17 s
    (where it owes one: ``Connection.see_to_answers``)."""
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 4)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def peer_has_closed(one: socket.socket) -> bool:
    """Whether nothing more can come, but for what came already."""
    poll = select.poll()
    poll.register(one, select.POLLRDHUP)
    return bool(poll.poll(0))


def drain(one: socket.socket) -> bool:
    """Discard what came, a bounded part of it at a time; whether the peer has closed its end."""
    try:
        return any(not one.recv(65536) for _ in range(64))
    except BlockingIOError:
        return False
    except OSError:
        return True


def close_after_peers(sockets: Sequence[socket.socket], limit_s: float) -> None:
    """Close connections so that what was written last arrives: TCP discards it where a socket is
    closed with bytes unread, so the peer may close its end before us."""
    poll, left = select.poll(), {one.fileno(): one for one in sockets}
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_WR)
        poll.register(one, select.POLLIN)
    end = time.monotonic() + limit_s
    while left and (left_s := end - time.monotonic()) > 0:
        for number, _ in poll.poll(left_s * 1000):
            if drain(left[number]):
                poll.unregister(number)
                del left[number]
    for one in sockets:
        one.close()
