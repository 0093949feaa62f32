"""Strangers: how many connections without a party's certificate are borne, for how long, and what
is told of those that were refused.

All of it is bounded, so that whoever reaches the port can cost neither memory nor a full disk, and
keeps none of the parties out.
"""

from __future__ import annotations

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
