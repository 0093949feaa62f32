"""How a party is doing: ``status.json``, the log, and (``party.reporting.probes``) HTTP.

Nothing in it comes from anybody's data: phases, counts, names of parties and the texts of errors.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from party.agreement.job import AlignedJob, Job, Party
from party.process import streams
from party.process.errors import JobError, KitError
from party.reporting.documents import Phase, StatusDocument

_FILE_EVERY_S = 0.5
_LOG_EVERY_S = 10.0


class Log:
    """What happens, one line each: for people on a terminal, as JSON for machines elsewhere."""

    def __init__(self, party: Party, stream: TextIO | None = None) -> None:
        self._party = party
        self._stream = stream or sys.stdout
        self.terminal = self._stream.isatty()
        self.job = ""  # which of several the events are of
        self._escaped = not streams.takes_unicode(self._stream)
        self._open_line = False

    def say(self, message: str, **fields: object) -> None:
        """An event."""
        if self.terminal:
            self._print(f"{datetime.now():%H:%M:%S} {self._party}: {message}\n")
        else:
            moment = datetime.now(UTC).isoformat(timespec="milliseconds")
            known = {"time": moment, "party": self._party, "event": message}
            known |= {"job": self.job} if self.job else {}
            self._print(json.dumps(known | fields, ensure_ascii=self._escaped) + "\n")

    def progress(self, message: str, **fields: object) -> None:
        """An event that the next one of its kind takes the place of, on a terminal."""
        if self.terminal:
            self._print(f"\r\033[K{datetime.now():%H:%M:%S} {self._party}: {message}")
            self._open_line = True
        else:
            self.say(message, **fields)

    def _print(self, text: str) -> None:
        if self._open_line and not text.startswith("\r"):
            text = "\n" + text
            self._open_line = False
        self._stream.write(text)
        self._stream.flush()


class Status:
    """A party's present state, kept in ``status.json`` and told to the log.

    Written by the party's main thread; read by any through ``snapshot``. ``also`` is given each
    state that is written, as a part of the writing; ``told`` each one then, written or not.
    """

    def __init__(
        self,
        output: Path,
        job: Job,
        party: Party,
        log: Log,
        also: Callable[[StatusDocument], None] = lambda _: None,
        told: Callable[[StatusDocument], None] = lambda _: None,
    ) -> None:
        self._output, self._also, self._told = output, also, told
        self._log = log
        self._lock = threading.Lock()
        self._written = self._logged = 0.0
        self._expires: Callable[[], datetime | None] = lambda: None
        self._state = StatusDocument.first(job, party, now(), **_of_former(output, job))
        self._write()

    def snapshot(self) -> StatusDocument:
        """The state as ``status.json`` has it."""
        expires = self._expires()
        told = None if expires is None else expires.isoformat(timespec="seconds")
        with self._lock:
            if told != self._state.certificate_expires:
                self._state = self._state.model_copy(update={"certificate_expires": told})
            return self._state

    def watch_certificate(self, expires: Callable[[], datetime | None]) -> None:
        """From now on the state has the end of the certificate, by a function that is cheap."""
        self._expires = expires

    def enter(self, phase: Phase, message: str, **fields: object) -> None:
        """A new phase."""
        moment = now() if phase != self._state.phase else self._state.since
        said: dict[str, object] = {
            "since": moment,
            "message": message,
            "waiting_for": (),
            "where": None,
            "hint": None,
        }
        self._set(phase=phase, **said | fields)
        self._logged = float("-inf")
        self._write()
        self._log.say(message, phase=phase, **fields)

    def aligned(self, job: AlignedJob) -> None:
        """How large the job is, now that it is known."""
        self._set(steps=job.steps, sizes=job.sizes)
        self._write()

    def kept(self, moment: str | None) -> None:
        """When the newest checkpoint on the disk was written; None where there is none."""
        self._set(checkpoint=moment)

    def rejoined(self) -> None:
        """The run goes on after a fault."""
        self._set(rejoins=self._state.rejoins + 1)

    def waiting(self, message: str, waiting_for: Sequence[Party]) -> None:
        """What the join is waiting for."""
        news = tuple(waiting_for) != self._state.waiting_for or not message.startswith("waiting")
        self._set(message=message, waiting_for=tuple(waiting_for))
        self._write()
        moment = time.monotonic()
        if news or self._log.terminal or moment - self._logged >= _LOG_EVERY_S:
            self._logged = moment
            self._log.progress(message, waiting_for=list(waiting_for))

    def step(self, done: int, rate: float | None) -> None:
        """How far the training is; ``rate`` in steps a second."""
        steps, epochs = self._state.steps, self._state.epochs
        epoch = min(done * epochs // steps + 1, epochs)
        stepped = self._state.stepped if done == self._state.step else now()
        self._set(stepped=stepped, epoch=epoch, step=done, aside="", **_pace(done, steps, rate))
        self._tell(f"epoch {epoch} of {epochs}, ", epoch=epoch, step=done)

    def beside(self, what: str, done: int, of: int, rate: float | None) -> None:
        """How far something is that is no step of the training; ``rate`` of it a second."""
        aside = f"{what}, {done} of {of}"
        stepped = self._state.stepped if aside == self._state.aside else now()
        self._set(stepped=stepped, aside=aside, **_pace(done, of, rate))
        self._tell("")

    def _tell(self, at: str, **fields: object) -> None:
        moment = time.monotonic()
        if moment - self._written >= _FILE_EVERY_S:
            self._write()
        if self._log.terminal or moment - self._logged >= _LOG_EVERY_S:
            self._logged = moment
            state = self._state
            pace = {"rate": state.rate, "remaining_s": state.remaining_s}
            self._log.progress(at + state.doing, **fields, **pace)

    def _set(self, **fields: object) -> None:
        with self._lock:
            self._state = self._state.model_copy(update={**fields, "updated": now()})

    def _write(self) -> None:
        """A full disk ends no run: that is said once, and the probes tell how the party is. But who
        is done is so on the disk, since nobody brings back what is removed then."""
        self._written = time.monotonic()
        state, was_full = self.snapshot(), self._state.disk_full
        try:
            self._put(state.model_copy(update={"disk_full": False}))
        except JobError as error:
            if error.cause != "disk-full" or state.phase == "done":
                raise
            self._set(disk_full=True)
            if not was_full:
                words = f"{error.what}; the party goes on, and its status is an old one"
                self._log.say(words, where=error.where, hint=error.hint)
        self._told(self.snapshot())

    def _put(self, state: StatusDocument) -> None:
        try:
            state.write(self._output, 0o644)
            if self._state.disk_full:
                self._set(disk_full=False)
        finally:
            self._also(state)


def _pace(done: int, of: int, rate: float | None) -> dict[str, float | None]:
    return {
        "rate": None if rate is None else round(rate, 1),
        "remaining_s": round((of - done) / rate, 1) if rate else None,
    }


def _of_former(output: Path, job: Job) -> dict[str, Any]:
    """Why and when the party failed before, and when its checkpoint was written, by the status that
    this one takes the place of."""
    try:
        former = StatusDocument.read(output)
    except KitError:
        return {}
    if former is None or former.job != job.digest:
        return {}
    checkpoint = None if former.phase == "done" else former.checkpoint
    cause, failed = former.last_cause, former.last_failed
    if former.phase == "failed":
        cause, failed = former.cause, former.updated
    return {"last_cause": cause, "last_failed": failed, "checkpoint": checkpoint}


def now() -> str:
    """This moment, as a document tells it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
