"""Several jobs that a party does one after the other: where each has its files, and how all are.

Each job has a directory of its own in the party's output, with all that a single job has there, its
``status.json`` too. That one says, durably, whether the job is done: a party that is started again
goes on with the first job that is not. The output's own ``status.json`` is made from these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from party.agreement.job import Job, Party
from party.process.errors import KitError
from party.reporting.documents import Queued, StatusDocument
from party.reporting.status import now


def ended(output: Path, job: Job) -> StatusDocument | None:
    """The status of a former run of the same job after which there is nothing left to do: it is
    done, or its model was none, which another run would find again."""
    try:
        status = StatusDocument.read(output)
    except KitError:
        return None
    if status is None or status.job != job.digest:
        return None
    return status if status.phase == "done" or status.final else None


class Queue:
    """The jobs of a party in their order, of different names.

    Attributes:
        jobs: all of them.
        left: those that are not done, as far as is known when it is made.
    """

    def __init__(self, output: Path, jobs: Sequence[Job], party: Party) -> None:
        self.jobs, self._output = tuple(jobs), output
        self._known = {job.digest: Queued(name=job.name, job=job.digest) for job in jobs}
        former = {job.digest: ended(self.directory(job), job) for job in jobs}
        for status in former.values():
            if status is not None:
                self._note(status)
        self.left = tuple(job for job in jobs if self._known[job.digest].state != "done")
        at = (self.left or self.jobs[-1:])[0]
        first = former[at.digest] or StatusDocument.first(at, party, now())
        self._now: Callable[[], StatusDocument] = lambda: first

    def directory(self, job: Job) -> Path:
        """Where a job has its files."""
        return self._output / job.name

    def trained(self, job: Job) -> Path | None:
        """Where the job before it has its files by whose model a job scores rows; None where there
        is none."""
        wanted = None if job.scores is None else job.scores.trained_by
        before = self.jobs[: self.jobs.index(job)]
        found = next((one for one in before if one.digest == wanted), None)
        return None if found is None else self.directory(found)

    def snapshot(self) -> StatusDocument:
        """The state of the job at hand, and of all others; done is who has done all."""
        state = self._now()
        queue = tuple(self._known.values())
        waiting = [one for one in queue if one.state != "done" and one.job != state.job]
        if state.phase == "done" and waiting:
            done, following = self._known[state.job].name, waiting[0].name
            words = f"the job {done!r} is done, and {following!r} comes next"
            state = state.model_copy(update={"phase": "starting", "message": words})
        return state.model_copy(update={"queue": queue})

    def follow(self, snapshot: Callable[[], StatusDocument]) -> None:
        """From now on the job at hand is the one that this tells of."""
        self._now = snapshot

    def show(self, state: StatusDocument) -> None:
        """A state of the job at hand, which becomes the output's ``status.json``."""
        self._note(state)
        self.snapshot().write(self._output, 0o644)

    def _note(self, state: StatusDocument) -> None:
        phase = state.phase
        how = phase if phase in ("done", "failed") else "running"
        since = state.started if how == "running" else state.updated
        name = self._known[state.job].name
        one = Queued(name=name, job=state.job, state=how, since=since)
        self._known = self._known | {state.job: one}  # at once: the probes' thread reads it
