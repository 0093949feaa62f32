"""How a party ends, or stays."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from party.models.health import WrongModelError
from party.process.errors import JobError, KitError
from party.process.exit import Stop, place_of
from party.reporting.status import Status

ENDED = {
    "done": "this job was done before",
    "failed": "this job failed before, and would again: its model was wrong",
}

_DOING = {
    "starting": "starting",
    "table": "reading the table",
    "plan": "preparing the plan",
    "joining": "waiting for the others",
    "aligning": "aligning the tables",
    "rejoining": "looking for a party that was lost",
}

_MEMORY = "give this party more memory: deployer estimate says how much it takes"


@contextmanager
def told_in(status: Status) -> Iterator[None]:
    """Whatever ends the party is in its status before it is at the exit."""
    try:
        yield
    except Stop:
        raise _stopped(status) from None
    except KitError as failure:
        final = isinstance(failure, WrongModelError)
        told = {"where": failure.where, "hint": failure.hint, "cause": failure.cause}
        _fail(status, failure.what, **told, **({"final": True} if final else {}))
        raise
    except MemoryError:
        lack = JobError("out of memory", hint=_MEMORY, cause="out-of-memory")
        _fail(status, lack.what, hint=lack.hint, cause=lack.cause)
        raise lack from None
    except Exception as error:
        if Stop.asked:  # in the middle of an import
            raise _stopped(status) from None
        _fail(status, f"internal error: {place_of(error)}", cause="internal")
        raise


def _stopped(status: Status) -> JobError:
    """The error of a party that was asked to end, which its status has, too."""
    phase = status.snapshot().phase
    failure = JobError(f"stopped while {_DOING.get(phase, phase)}", cause="stopped")
    _fail(status, failure.what, cause=failure.cause)
    return failure


def _fail(status: Status, what: str, **told: Any) -> None:
    """How the party ends, in its status. A signal meanwhile comes too late to change it."""
    while True:
        try:
            status.enter("failed", what, **told)
            return
        except Stop:
            continue


@contextmanager
def staying(stays: bool) -> Iterator[None]:
    """Whoever is to stay does so behind the block, a wrong model or not."""
    try:
        yield
    except WrongModelError:
        if not stays:
            raise
    if stays:
        stay()


def stay() -> None:
    """Until asked to end."""
    try:
        forget()
        while True:
            signal.pause()
    except Stop:
        return


def forget() -> None:
    """What a job brought is gone with it. An error that was mended on the way refers to all of it
    by its traceback, in a circle, and who waits for nothing but a signal never looks for those.

    In a thread of its own, since a stop that is raised while objects are finalised is dropped."""
    collecting = Thread(target=gc.collect)
    collecting.start()
    collecting.join()
