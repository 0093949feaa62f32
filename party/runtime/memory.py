"""A party's own limit on its memory: what would go beyond it lies in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from party.models.interface import Stretch
from party.native.spill import Spill, mebibytes
from party.process.errors import InputError
from party.reporting.result import resident_bytes
from party.runtime import Assignment
from party.schedule import Schedule
from party.schedule.memory import largest, queues, rings, saved, tables

_ELSE_BYTES = 12 << 20
"""What a run takes beside tables, arena and buffers: TLS, threads, the order of some rows."""


def spilled(assignment: Assignment, schedule: Schedule, setup: Iterable[Stretch]) -> Spill | None:
    """The file for as many shares of tables as the limit asks for; None where it asks for none.

    Args:
        setup: the part of the course that shares the tables.

    Raises:
        InputError: there is no room for it, or all else is beyond the limit already.
    """
    limit = assignment.memory_limit_bytes
    if limit is None:
        return None
    sharing: Counter[str] = Counter()
    for stretch in setup:
        sharing[stretch.program] += stretch.runs
    buffers = sum(rings(schedule).values()) + sum(queues(schedule).values())
    taken = resident_bytes() + schedule.arena_bytes + buffers + _ELSE_BYTES
    shares = largest(tables(schedule, sharing), taken - limit)
    least = taken - sum(map(saved, shares))
    if least > limit:
        what = f"this job takes {mebibytes(least)} of memory, with its shares in a file"
        raise InputError(what, "--memory-limit", f"allow {-(-least // (1 << 20))} or more")
    if not shares:
        return None
    spill = Spill(assignment.spill, shares)
    assignment.status.enter("plan", f"{mebibytes(spill.bytes)} of shares go to a file")
    return spill
