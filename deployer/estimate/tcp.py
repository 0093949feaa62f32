"""What TCP makes of messages between parties that are far apart, over lines that lose nothing.

A sender begins with ten packets. Where those are not enough, twice as much may be under way a round
trip later (slow start: RFC 5681, RFC 6928). BBR besides spreads what it sends: not faster than some
times what once arrived in a round trip. Of messages that leave the line idle, as a training's do,
that is less than the line carries, and never becomes more.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

SEGMENT = 1448
"""Bytes of a packet on a path that carries 1500, without the headers of IP and TCP."""

FIRST_WINDOW = 10 * SEGMENT

_PACING_GAIN = 2 / math.log(2)
"""Of BBR until it has found out what the line carries."""

_PARTS = 10
"""Of a window, that are followed one by one."""

_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def is_paced() -> bool:
    """Whether this machine's TCP is BBR."""
    try:
        return _CONTROL.read_text(encoding="ascii").startswith("bbr")
    except OSError:
        return False


class Stream:
    """One direction of a connection.

    Args:
        round_trip_s: of the path; with 0, nothing is held back.
        bytes_per_s: what the sender's line carries.
        paced: by BBR.
    """

    def __init__(self, round_trip_s: float, bytes_per_s: float, paced: bool) -> None:
        self._round_trip_s = round_trip_s
        self._bytes_per_s = bytes_per_s
        self._paced = paced and round_trip_s > 0
        self._pace = _PACING_GAIN * FIRST_WINDOW / round_trip_s if self._paced else math.inf
        self._free = 0.0  # when the pace allows more
        self._last = 0.0  # when the last byte left
        self._window, self._flying, self._most = FIRST_WINDOW, 0, 0
        self._arrived, self._heard = 0, 0.0  # bytes, as far as the sender knows, and since when
        # Of each part under way: when it will be heard of, when that was of the last part before it
        # was sent, what had arrived then, bytes.
        self._acks: deque[tuple[float, float, int, int]] = deque()

    def leaves(self, begin: float, size: int) -> float:
        """When the last byte of a message leaves that may begin to at that time."""
        if not self._round_trip_s:
            return begin + size / self._bytes_per_s
        now = max(begin, self._last)
        while size:
            self._hear(now)
            part = min(size, self._window - self._flying, self._window // _PARTS)
            if part <= 0:
                now = self._acks[0][0]
                continue
            first = max(now, self._free)
            self._free = first + part / self._pace
            out = first + max(0, part - SEGMENT) / self._pace
            out = max(out, now + part / self._bytes_per_s)
            if not self._flying:  # what the line did before says nothing of what it carries
                self._heard = now
            self._acks.append((out + self._round_trip_s, self._heard, self._arrived, part))
            self._flying += part
            self._most = max(self._most, self._flying)
            size -= part
            now = out
        self._last = now
        return now

    def _hear(self, now: float) -> None:
        """Takes in what has arrived at the other end, as far as that is known by now."""
        while self._acks and self._acks[0][0] <= now:
            self._heard, since, before, part = self._acks.popleft()
            self._flying -= part
            self._arrived += part
            # Who sends less than the window holds learns nothing about how much it may hold.
            self._window = max(self._window, min(self._window + part, 2 * self._most))
            if self._paced:
                rate = (self._arrived - before) / (self._heard - since)
                self._pace = max(self._pace, _PACING_GAIN * rate)
