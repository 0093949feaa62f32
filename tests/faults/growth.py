"""Whether processes hold more and more: memory, descriptors, threads.

A process that trains has more than one between two jobs, so that it is looked at while it trains.
The connections of who asks how it is come and go: what it has at one look, or at most, says
nothing, and more of them are open where a machine is busy. What is never given back is in the least
that it has; not in the very least, since a look may fall on the moment in which a job ends. And
processes come and go: of the second one of a party nothing can be seen in the first. So each
process is compared with itself, by a low one of its looks in the last half of its life and one in
the first, once it has warmed up; and of all the processes of a party, by the median.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

MEASURES = ("memory_kib", "descriptors", "threads")

WARM_UP = 9
"""Looks, in which a process imports, reads tables, and takes what it needs for its first jobs."""

LEAST = 24
"""Looks behind them, for a life to count."""

_LOW = 0.1
"""Which part of the looks may be of less than what is taken for the least."""

ROOM = {"memory_kib": 0.1, "descriptors": 0.05, "threads": 0.05}
"""By how much, relative to the first half, the last may have more: pages come and go a little."""


@dataclass
class Growth:
    """What processes held, by party and process, in the order of looking."""

    held: dict[tuple[str, str], list[Sequence[int]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def take(self, party: str, process: str, seen: Sequence[int]) -> None:
        """Note what a process held just now, as ``MEASURES`` has it."""
        self.held[party, process].append(seen)

    @property
    def looks(self) -> int:
        """How often anything was looked at."""
        return sum(map(len, self.held.values()))

    def parts(self, party: str) -> list[list[float]]:
        """For each process of a party that lived long enough, by which part of what it held at
        least in the first half of its life it held more in the last, as ``MEASURES`` has them."""
        found = []
        for (whose, _), looks in self.held.items():
            life = looks[WARM_UP:]
            if whose != party or len(life) < LEAST:
                continue
            half = len(life) // 2
            sides = (zip(*some, strict=True) for some in (life[:half], life[-half:]))
            first, last = ([_least(column) for column in side] for side in sides)
            found.append([after / before - 1 for before, after in zip(first, last, strict=True)])
        return found

    def grown(self, parties: Sequence[str]) -> list[str]:
        """What grows, by party; and whose processes all lived too shortly to tell."""
        found = []
        for party in parties:
            parts = self.parts(party)
            if not parts:
                found.append(f"no process of {party}'s was looked at for long enough")
                continue
            for name, grows in zip(MEASURES, map(median, zip(*parts, strict=True)), strict=True):
                if grows > ROOM[name]:
                    words = f"grew by {grows:.0%} in the median of {len(parts)} processes"
                    found.append(f"{party}'s {name} {words}")
        return found


def _least(held: Sequence[int]) -> int:
    return sorted(held)[int(_LOW * len(held))]
