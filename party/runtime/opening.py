"""Compares copies of shares when a value is opened, where two parties hold each share.

Of a value in three parts each party holds two (``REPLICATED``). Who receives it lacks one part, and
is sent that by one of the two that hold it. Here both others tell the receiver the digests of all
that they hold of what is opened to it, and it compares: its own two parts, each with the copy of
one other, and the part that it was sent with both copies. A share that one party alone has changed,
by an error or on purpose, is found before the model is used.

It is no part of the plan, since it opens nothing: each digest is of a part that the receiver holds
or is sent anyway, bound to the run. What it cannot find is said in ``docs/security.md``.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import permutations

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES, Job
from party.models.registry import model_of
from party.native import Executor, frames
from party.plan.parameters import OPEN, PlanParameters
from party.process.errors import JobError
from party.protocols.interface import REPLICATED
from party.protocols.registry import protocol_of
from party.schedule import Schedule, shares_of

_DIGEST = 32
_MESSAGE = 2 * _DIGEST
"""Bytes of a message: the digests of a party's two parts."""

_KEY = 1
_SEATS = range(len(PARTIES))

ROOM = 2 * len(PARTIES) * _MESSAGE
"""Bytes behind a schedule's own in the arena."""

Shares = dict[str, npt.NDArray[np.int64]]


def compared(job: Job) -> dict[int, list[str]]:
    """The values whose copies are compared, by the party that they are opened to."""
    layout, model = PlanParameters.of(job).layout, model_of(job.parameters)
    protocol = protocol_of(job.protocol)
    parts = {value.name: value.parts or protocol.parts for value in model.state(layout, protocol)}
    found: dict[int, list[str]] = {}
    for name, to in sorted(model.opened(layout)):
        if parts[name] == REPLICATED:
            found.setdefault(to, []).append(name)
    return found


def messages(job: Job) -> list[tuple[int, int, int]]:
    """What is sent for that: sender, receiver and bytes of each message."""
    to = compared(job)
    return [(seat, other, _MESSAGE) for seat, other in permutations(_SEATS, 2) if other in to]


class Comparison:
    """One party's part in it."""

    def __init__(self, job: Job, seat: int, schedule: Schedule, room: npt.NDArray[np.uint8]):
        self._seat, self._schedule, self._room = seat, schedule, room
        self._names = compared(job)
        self._begin = len(room) - ROOM

    @property
    def is_any(self) -> bool:
        """Whether there is anything to compare."""
        return bool(self._names)

    def program(self, run: str) -> npt.NDArray[np.void]:
        """The instructions that exchange digests; those to send are put into the arena."""
        sent, awaited = [], []
        for to, names in self._names.items():
            if to == self._seat:
                others = [seat for seat in _SEATS if seat != to]
                for other in others:
                    awaited += frames.receive(other, _KEY, self._received(other), _MESSAGE)
                continue
            own = self._digests(names, shares_of(self._schedule, self._room, names), run)
            at = self._begin + to * _MESSAGE
            self._room[at : at + _MESSAGE] = np.frombuffer(b"".join(own.values()), np.uint8)
            sent += frames.send(to, _KEY, at, _MESSAGE)
        return frames.program(sent + awaited)

    def see_to_it(self, run: str) -> None:
        """Look at what was received. Raises JobError where copies differ."""
        names = self._names.get(self._seat)
        if names is None:
            return
        own = shares_of(self._schedule, self._room, names)
        known = self._digests(names, own, run)
        (lacking,) = {0, 1, 2} - set(known)
        known[lacking] = _digest(run, lacking, {name: self._sent(name, own) for name in names})
        for part, expected in known.items():
            holders = [seat for seat in _SEATS if part in REPLICATED[seat]]
            told = {seat: self._told(seat, part) for seat in holders if seat != self._seat}
            if any(one != expected for one in told.values()):
                who = " or ".join(PARTIES[seat] for seat in holders)
                raise JobError(
                    "what was opened is not what was computed: two copies of a share differ, and "
                    f"{who} has changed it",
                    "at the end",
                    "do not use the model; find out whose machine or software is at fault",
                )

    def _digests(self, names: list[str], shares: Shares, run: str) -> dict[int, bytes]:
        """Of the own parts, by part."""
        return {
            part: _digest(run, part, {name: shares[f"{name}/{place}"] for name in names})
            for place, part in enumerate(REPLICATED[self._seat])
        }

    def _sent(self, name: str, own: Shares) -> npt.NDArray[np.int64]:
        """The part of a value that the party was sent: what was opened less its own parts."""
        place = self._schedule.program(OPEN).opened[name]
        whole = self._room[place.offset : place.offset + place.bytes].view(np.int64)
        return whole - own[f"{name}/0"] - own[f"{name}/1"]

    def _received(self, sender: int) -> int:
        return self._begin + (len(PARTIES) + sender) * _MESSAGE

    def _told(self, sender: int, part: int) -> bytes:
        at = self._received(sender) + REPLICATED[sender].index(part) * _DIGEST
        return self._room[at : at + _DIGEST].tobytes()


def compare(
    comparison: Comparison, executor: Executor, step: int, run: str, left_s: float, silence_s: float
) -> None:
    """Exchange digests and look at them; nothing where no share is held twice.

    Raises:
        RunError: the exchange failed.
        JobError: copies differ.
    """
    if comparison.is_any:
        executor.run(comparison.program(run), step, 1, None, None, left_s, silence_s)
        comparison.see_to_it(run)


def _digest(run: str, part: int, shares: Shares) -> bytes:
    found = sha256(f"{run}/{part}".encode())
    for name, share in shares.items():
        found.update(f"/{name}/{share.size}/".encode())
        found.update(share.tobytes())
    return found.digest()
