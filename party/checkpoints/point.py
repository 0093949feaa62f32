"""A place in a run's course, and what a party holds there."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from party.agreement.job import Party

_HEAD = struct.Struct("<Q")
KEPT = 2
"""The newest points that are kept: of three parties that meet at each, one may be a point ahead."""


@dataclass(frozen=True, eq=False)
class Point:
    """A place in the course.

    Attributes:
        lineage: the name of the run that began at the course's start, whatever went on since.
        plan: the digest of the plan.
        number: runs of programs before it.
        stretch: the stretch of the course that is next, or at hand.
        runs: runs of that stretch that are done.
        steps: steps of the training that are done.
        asked, settled: the last phase that was asked about, and the last that has settled.
        unsettled: those that were asked about, and have not.
        opening: openings of a part of the result that had begun: those before it, and the one that
            it was kept for.
        durable: whether a party with a disk has it there.
        final: whether nothing is left to do.
        peers: the digests of the others' keys and authorities.
        state: the party's own shares that change from program to program, by value and position.
        told: what was opened to it so far.
    """

    lineage: str
    plan: str
    number: int
    stretch: int
    runs: int
    steps: int
    asked: str | None
    settled: str | None
    unsettled: tuple[str, ...]
    opening: int
    durable: bool
    final: bool
    peers: dict[Party, tuple[str, str]]
    state: dict[str, npt.NDArray[np.uint8]] = field(repr=False)
    told: dict[str, npt.NDArray[np.float64]] = field(repr=False)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The point as bytes."""
        sizes = {name: array.nbytes for name, array in self.state.items()}
        told = {name: array.nbytes for name, array in self.told.items()}
        plain = {name: getattr(self, name) for name in _PLAIN}
        head = json.dumps({**plain, "state": sizes, "told": told}).encode()
        yield _HEAD.pack(len(head)) + head
        for array in (*self.state.values(), *self.told.values()):
            yield np.ascontiguousarray(array).view(np.uint8).reshape(-1).data

    @classmethod
    def parse(cls, content: bytearray) -> Point:
        """The point in these bytes, which ``pieces`` has given."""
        (length,) = _HEAD.unpack_from(content)
        head: dict[str, Any] = json.loads(content[_HEAD.size : _HEAD.size + length])
        at = _HEAD.size + length

        def arrays(sizes: dict[str, int], dtype: Any) -> dict[str, Any]:
            nonlocal at
            found = {}
            for name, size in sizes.items():
                found[name] = np.frombuffer(content[at : at + size], np.uint8).view(dtype).copy()
                at += size
            return found

        state = arrays(head.pop("state"), np.uint8)
        told = arrays(head.pop("told"), np.float64)
        head["peers"] = {party: (key, signer) for party, (key, signer) in head["peers"].items()}
        head["unsettled"] = tuple(head["unsettled"])
        return cls(**head, state=state, told=told)


_PLAIN = [one.name for one in fields(Point) if one.name not in ("state", "told")]


def pruned(points: Sequence[Point]) -> list[Point]:
    """The newest of a party's points, in their order: of all, and of those that are on disks, since
    a party that was restarted has only these."""
    durable = [one for one in points if one.durable]
    kept = {id(one) for one in (*points[-KEPT:], *durable[-KEPT:])}
    return [one for one in points if id(one) in kept]


def newest(points: Iterable[Point], number: int) -> Point:
    """The point of a number; the last that was made."""
    return [one for one in points if one.number == number][-1]
