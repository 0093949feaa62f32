"""Where three parties that have joined go on: at the newest point that all of them hold."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from party.agreement.job import PARTIES, Party
from party.channel import Messages

_MOST = 6
_FORM = struct.Struct(f"<32s32sQQ{_MOST}Q")
_NOTHING = bytes(32)


@dataclass(frozen=True)
class Holding:
    """What a party has to go on from.

    Attributes:
        lineage: the run that its points are of; empty where it has none.
        shared: the name of the run in which the tables in its memory were shared; empty for a
            party that has none there, which was restarted or has just come.
        points: their numbers, the oldest first.
        every_ms: milliseconds from one checkpoint to the next, as the party wants it.
    """

    lineage: str = ""
    shared: str = ""
    points: tuple[int, ...] = ()
    every_ms: int = 5000

    def packed(self) -> bytes:
        """As it is sent, in one size."""
        points = self.points[-_MOST:]
        names = (bytes.fromhex(one) or _NOTHING for one in (self.lineage, self.shared))
        rest = [0] * (_MOST - len(points))
        return _FORM.pack(*names, self.every_ms, len(points), *points, *rest)

    @classmethod
    def unpacked(cls, data: bytes) -> Holding:
        """What another sent; of more points than there may be, those that can be."""
        lineage, shared, every_ms, count, *points = _FORM.unpack(data)
        names = ["" if one == _NOTHING else one.hex() for one in (lineage, shared)]
        return cls(names[0], names[1], tuple(points[: min(count, _MOST)]), every_ms)


@dataclass(frozen=True)
class Common:
    """What all three hold.

    Attributes:
        lineage: of the run that goes on; empty where a new one begins.
        number: of the newest point; None for the start.
        shared: whether the tables are still shared in the memory of all three.
        without: the parties that have nothing of the run that another has a part of.
        every_ms: milliseconds from one checkpoint to the next: what who wants most of them wants.
    """

    lineage: str
    number: int | None
    shared: bool
    without: tuple[Party, ...]
    every_ms: int


def meet(messages: Messages, party: Party, own: Holding) -> Common:
    """Tell each other what everybody has, and come to the same end.

    Raises PeerError where another is gone, or says something else.
    """
    others = [one for one in PARTIES if one != party]
    for other in others:
        messages.send(other, own.packed())
    held = {party: own}
    for other in others:
        held[other] = Holding.unpacked(messages.receive(other, _FORM.size))
    return common(held)


def common(held: dict[Party, Holding]) -> Common:
    """What all three hold; the same whoever asks."""
    every_ms = max(min(one.every_ms for one in held.values()), 1)
    lineages = {one.lineage for one in held.values()}
    if len(lineages) > 1 or lineages == {""}:
        # The newest is not known by its name: whoever has none, or another than two, lacks it.
        most = max(
            sorted(lineages - {""}), key=[o.lineage for o in held.values()].count, default=""
        )
        without = tuple(one for one in PARTIES if held[one].lineage != most)
        return Common("", None, False, without if most else (), every_ms)
    (lineage,) = lineages
    numbers = set.intersection(*(set(one.points) for one in held.values()))
    shared = {one.shared for one in held.values()}
    return Common(
        lineage,
        max(numbers, default=None),
        len(shared) == 1 and shared != {""},
        (),
        every_ms,
    )
