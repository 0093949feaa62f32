"""The memory that a schedule takes beside its arena, and what of the arena may lie in a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from party.native.instructions import Op, Type
from party.native.spill import SpilledShare
from party.schedule.schedule import HEADER_BYTES, Schedule, changed_by

SMALLEST_RING = 1 << 16
"""Bytes; as the executor has it."""

SLOT_BYTES = 4
"""For a row of a share in a file, which say where it is: they stay in memory (``spill.c``)."""


def rings(schedule: Schedule) -> dict[int, int]:
    """Bytes of the ring for what each peer sends, as the executor makes it."""
    found = {}
    for peer in schedule.peers:
        found[peer] = SMALLEST_RING
        while found[peer] < schedule.window[peer]:
            found[peer] *= 2
    return found


def queues(schedule: Schedule) -> dict[int, int]:
    """Bytes of the queue for each peer: the most that leaves in one write, and a last word."""
    largest = dict.fromkeys(schedule.peers, 0)
    for code in schedule.programs:
        queued = dict.fromkeys(schedule.peers, 0)
        for instruction in code.instructions:
            peer = int(instruction["p"][0])
            if instruction["op"] == Op.SEND:
                queued[peer] += HEADER_BYTES + int(instruction["p"][2])
                largest[peer] = max(largest[peer], queued[peer])
            elif instruction["op"] == Op.FLUSH:
                queued[peer] = 0
    return {peer: size + HEADER_BYTES for peer, size in largest.items()}


def tables(schedule: Schedule, sharing: Mapping[str, int]) -> tuple[SpilledShare, ...]:
    """The shares of tables, largest first: those that are put by rows while tables are shared, and
    only read from then on.

    Args:
        sharing: the programs that share tables, and how often each runs.
    """
    later = {code.name for code in schedule.programs} - set(sharing)
    changing = {held.place.offset for held in changed_by(schedule, later)}
    found: dict[int, SpilledShare] = {}
    for code in schedule.programs:
        for one in code.instructions[code.instructions["op"] == Op.PUT]:
            place, rows = int(one["out"]), int(one["p"][2])
            if place in changing:
                continue
            width = int(one["p"][1]) * Type(int(one["type"])).size
            before = found[place].capacity if place in found else 0
            put = before + int(one["p"][0]) * sharing[code.name]
            found[place] = SpilledShare(place, rows, width, put)
    return tuple(sorted(found.values(), key=lambda one: -one.rows * one.width))


def saved(share: SpilledShare) -> int:
    """Bytes of memory that a share in a file no longer takes."""
    return share.rows * (share.width - SLOT_BYTES)


def largest(shares: Collection[SpilledShare], excess: int) -> tuple[SpilledShare, ...]:
    """As few of the shares, which are in that order, as save so many bytes; or all that save."""
    chosen: list[SpilledShare] = []
    for one in shares:
        if excess <= 0:
            break
        if saved(one) > 0:
            chosen.append(one)
            excess -= saved(one)
    return tuple(chosen)
