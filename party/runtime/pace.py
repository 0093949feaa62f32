"""When a point goes to the disk: rarely enough that all the writing takes little of the time.

A party waits for its disk in the middle of the training, and the others for it. So all three put
the next point off until the last write of whoever has the slowest disk is a small part of the time
since. They decide it alike, from numbers that all have heard: points of two parties that lie at
different runs would be of no use to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_PART = 0.03
"""Of the time, for writing."""

_TICK_US = 100
_TOOK_BITS, _WROTE_BITS = 40, 24


@dataclass(frozen=True)
class Heard:
    """What the slowest took since the last meeting, and its last point took the slowest disk."""

    took_us: int
    wrote_us: int

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Heard:
        """From what each party said."""
        low = (1 << _TOOK_BITS) - 1
        wrote = max(number >> _TOOK_BITS for number in numbers)
        return cls(max(number & low for number in numbers), wrote * _TICK_US)


def said(took_us: int, wrote_us: int) -> int:
    """What a party says at a meeting, in 64 bits; its disk's time is rounded up."""
    ticks = min(-(-wrote_us // _TICK_US), (1 << _WROTE_BITS) - 1)
    return ticks << _TOOK_BITS | min(took_us, (1 << _TOOK_BITS) - 1)


@dataclass
class Pace:
    """Since the last point that went to the disk.

    Attributes:
        every_us: how far apart these points are at least, about.
        since_us: how long the slowest has taken.
    """

    every_us: int
    since_us: int = 0

    def is_due(self, heard: Heard) -> bool:
        """Whether the point of this meeting goes to the disk."""
        self.since_us += heard.took_us
        is_late = 5 * self.since_us >= 3 * self.every_us  # a meeting may be somewhat early
        return is_late and heard.wrote_us <= MOST_PART * self.since_us

    def kept(self) -> None:
        """A point goes there now."""
        self.since_us = 0
