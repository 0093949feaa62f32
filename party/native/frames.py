"""Messages beyond a plan's own: instructions that send and receive some bytes of the arena."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from party.native.instructions import INSTRUCTION, Op


def send(peer: int, key: int, at: int, size: int) -> list[Any]:
    """Sends ``size`` bytes from offset ``at``."""
    queued = _instruction(Op.SEND, (peer, key, size))
    queued["input"][0] = at
    return [queued, _instruction(Op.FLUSH, (peer,))]


def receive(peer: int, key: int, at: int, size: int) -> list[Any]:
    """Waits for the peer's next message, which must be this one."""
    awaited = _instruction(Op.RECV, (peer, key, size))
    awaited["out"] = at
    return [awaited]


def program(instructions: list[Any]) -> npt.NDArray[Any]:
    """Instructions, one after the other."""
    return np.array(instructions, INSTRUCTION)


def _instruction(op: Op, p: tuple[int, ...]) -> Any:
    made = np.zeros((), INSTRUCTION)
    made["op"], made["out"], made["input"], made["index"] = op, -1, -1, -1
    made["p"][: len(p)] = p
    return made
