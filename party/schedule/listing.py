"""A schedule as text that a person can read and review."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from party.agreement.job import PARTIES
from party.native.instructions import Mode, Op, Type
from party.schedule.schedule import Schedule

_PARAMETERS = {
    Op.MATMUL: ("rows", "inner", "columns"),
    Op.SUM: ("outer", "length", "inner"),
    Op.UNIFORM: ("lowest", "range"),
    Op.BITSPLIT: ("stride",),
    Op.BITGATHER: ("start", "stride"),
    Op.INPUT: ("rows", "columns", "first"),
    Op.TAKE: ("rows", "columns", "of"),
    Op.PUT: ("rows", "columns", "of"),
}


def listing(schedule: Schedule) -> Iterator[str]:
    """The lines of the listing: a head, then each program, round by round."""
    mine = PARTIES[schedule.party]
    yield f"schedule of {mine}, plan {schedule.plan_digest}"
    yield f"arena {schedule.arena_bytes} bytes, {schedule.constants.size} of them constants"
    for code in schedule.programs:
        sent = sum(m.bytes for m in code.messages if m.sender == schedule.party)
        got = sum(m.bytes for m in code.messages if m.receiver == schedule.party)
        yield ""
        yield (
            f"{code.name}: {code.instructions.size} instructions, {code.rounds} rounds, "
            f"{sent} bytes out, {got} bytes in"
        )
        shown = -1
        lines = zip(code.instructions, code.notes, strict=True)
        for position, (instruction, (depth, note)) in enumerate(lines):
            if depth != shown:
                shown = depth
                yield f"round {depth}"
            yield f"  {position:4}  {_line(instruction):72}  {note}".rstrip()


def _line(instruction: np.void) -> str:
    op, type_ = Op(int(instruction["op"])), Type(int(instruction["type"]))
    p = [int(value) for value in instruction["p"]]
    words = [f"{op.name:10}"]
    if op in (Op.SEND, Op.RECV):
        words.append(f"{'to' if op is Op.SEND else 'from'} {PARTIES[p[0]]}")
        words.append(f"message {p[1]}, {p[2]} bytes")
    elif op is Op.FLUSH:
        words.append(f"to {PARTIES[p[0]]}")
    else:
        kind = type_.name.lower()
        if op is Op.CAST:
            kind += f" to {Type(int(instruction['type2'])).name.lower()}"
        words.append(f"{int(instruction['n'])} x {kind}")
    words += [f"{name} {value}" for name, value in zip(_PARAMETERS.get(op, ()), p, strict=False)]
    reads = [
        f"@{int(offset)}{_HOW[Mode(int(mode))]}"
        for offset, mode in zip(instruction["input"], instruction["mode"], strict=True)
        if offset >= 0
    ]
    if reads:
        words.append(" ".join(reads))
    if instruction["out"] >= 0:
        words.append(f"-> @{int(instruction['out'])}")
    return "  ".join(words)


_HOW = {Mode.EACH: "", Mode.ONE: " (one)", Mode.LIST: " (list)"}
