"""A schedule's program as what others notice of it: stretches of computing, and messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES
from party.native.instructions import Op
from party.schedule import HEADER_BYTES, Code

_MESSAGES = (Op.SEND, Op.FLUSH, Op.RECV)


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
