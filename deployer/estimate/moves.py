"""A schedule's program as what others notice of it: stretches of computing, and messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES
from party.native.instructions import Op
from party.schedule import HEADER_BYTES, Code, Schedule

_MESSAGES = (Op.SEND, Op.FLUSH, Op.RECV)
_SMALLEST_RING = 1 << 16  # bytes; as the executor has it


@dataclass(frozen=True, eq=False)
class Move:
    """What a party does between two messages, and the one at its end.

    Attributes:
        code: the instructions of its own that come first.
        op: FLUSH, RECV, or None at the end of the program.
        peer: to whom, or from whom; its index.
        bytes: those that leave in one write, or the message that is awaited, headers included.
    """

    code: npt.NDArray[np.void]
    op: Op | None = None
    peer: int = -1
    bytes: int = 0


def moves(code: Code) -> list[Move]:
    """A program as moves; the last one has no message."""
    made: list[Move] = []
    queued = dict.fromkeys(range(len(PARTIES)), 0)
    begin = 0
    for position, instruction in enumerate(code.instructions):
        op = Op(int(instruction["op"]))
        if op not in _MESSAGES:
            continue
        peer, size = int(instruction["p"][0]), HEADER_BYTES + int(instruction["p"][2])
        if op is Op.SEND:
            queued[peer] += size
            continue
        if op is Op.FLUSH:
            size, queued[peer] = queued[peer], 0
        made.append(Move(computing(code.instructions[begin:position]), op, peer, size))
        begin = position + 1
    made.append(Move(computing(code.instructions[begin:])))
    return made


def computing(instructions: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Those of the instructions that no peer has to do with."""
    return np.ascontiguousarray(instructions[~np.isin(instructions["op"], _MESSAGES)])


def rings(schedule: Schedule) -> dict[int, int]:
    """Bytes of the ring for what each peer sends, as the executor makes it."""
    found = {}
    for peer in schedule.peers:
        found[peer] = _SMALLEST_RING
        while found[peer] < schedule.window[peer]:
            found[peer] *= 2
    return found


def queues(schedule: Schedule) -> dict[int, int]:
    """Bytes of the queue for each peer: the most that leaves in one write, and a last word."""
    largest = dict.fromkeys(schedule.peers, 0)
    for code in schedule.programs:
        for move in moves(code):
            if move.op is Op.FLUSH:
                largest[move.peer] = max(largest[move.peer], move.bytes)
    return {peer: size + HEADER_BYTES for peer, size in largest.items()}
