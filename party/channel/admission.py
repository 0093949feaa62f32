"""Strangers: how many connections without a party's certificate are borne, for how long, and what
is told of those that were refused.

All of it is bounded, so that whoever reaches the port can cost neither memory nor a full disk, and
keeps none of the parties out.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

STRANGERS = 256
"""Connections at a time whose other end has not shown a party's certificate."""

HANDSHAKES = 64
"""Those of them that have said something: from then on a connection takes memory."""

STAGE_S = 10.0
"""How long a connection may take to shake hands, and then to say hello."""

NEWS_EVERY_S = 10.0
"""What strangers cause, and parties that come and go, is reported no more often."""


class _Stranger(Protocol):
    @property
    def source(self) -> str: ...


Stranger = TypeVar("Stranger", bound=_Stranger)


def deadline() -> float:
    """When a connection that enters its next stage now must have left it."""
    return time.monotonic() + STAGE_S


_SITE_BITS = 64
"""Of an IPv6 address, which name a network: the rest is anybody's in it to choose."""


def unmapped(host: str) -> str:
    """An address as people write it: one of IPv4 that a socket of IPv6 shows is one of IPv4."""
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def source(host: str) -> str:
    """Who counts as one: an address of IPv4, or a network of IPv6, of which a single machine may
    have every address."""
    address = ipaddress.ip_address(unmapped(host))
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    network = int(address) >> (128 - _SITE_BITS) << (128 - _SITE_BITS)
    # Of addresses on the link itself the interface is a part.
    scope = f"%{address.scope_id}" if address.scope_id else ""
    return f"{ipaddress.IPv6Address(network)}{scope}/{_SITE_BITS}"


def crowded_out(strangers: Sequence[Stranger], limit: int) -> Stranger | None:
    """Whose connection makes room for one more, the oldest first: the source with the most gives up
    its oldest, so that whoever floods from one place crowds out itself. None while there is room.
    """
    if len(strangers) < limit:
        return None
    source = Counter(one.source for one in strangers).most_common(1)[0][0]
    return next(one for one in strangers if one.source == source)


class Refusals:
    """Connections that were refused, counted by reason until they are reported.

    Attributes:
        last: the last one, as part of a sentence.
    """

    def __init__(self) -> None:
        self.last = ""
        self._counts: Counter[str] = Counter()
        self._told = float("-inf")

    def note(self, address: str, why: str) -> None:
        self._counts[why] += 1
        self.last = f" (last refused: {address}: {why})"

    def news(self, now: float) -> str | None:
        """A sentence about those since the last one, now and then."""
        if not self._counts or now - self._told < NEWS_EVERY_S:
            return None
        self._told = now
        count = self._counts.total()
        reasons = "; ".join(f"{why} ({n})" for why, n in self._counts.most_common(3))
        noun = "connection" if count == 1 else "connections"
        self._counts.clear()
        return f"refused {count} {noun}: {reasons}{self.last}"
