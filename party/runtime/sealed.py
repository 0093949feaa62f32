"""The sealed runtime: a party's own schedule, run by the native executor over its connections."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES, Job, Party
from party.channel import Joined, Messages, join, listen
from party.compiler import Prepared, prepared
from party.identity import reloaded
from party.models.interface import Stretch
from party.models.registry import model_of
from party.native import Executor, Kind, RunError
from party.plan.parameters import PlanParameters
from party.process import files
from party.process.errors import JobError, KitError
from party.process.exit import Stop
from party.reporting.documents import Aligned, Figures, Times
from party.runtime import BUILDING, Assignment, Outcome
from party.runtime.aligning import Rows, align, see_to_order
from party.schedule import ROW_INSTRUCTIONS, Schedule, arena, opened_values, shares_of

SILENCE_LIMIT_S = 120.0
"""A peer that is connected and awaited, and says nothing for so long, is taken for gone. One that
is alive has ten times as long for each message (``party.native.executor.PATIENCE``)."""

_BUILDING_S = 600.0
"""So long the others may be silent while they make their plans."""

_LOOK_EVERY_S = 0.5
_PACE_OVER = 10  # looks
_LONG = 4  # runs, from which a stretch beside the training is told of


def train(assignment: Assignment) -> Outcome:
    """Prepare the schedule, join the others, run every step, and open the model to whom it goes.

    Tables that are aligned come first: how many rows the plan is for, the parties find out.
    """
    job, clock, status = assignment.job, _Clock(), assignment.status
    model = model_of(job.parameters)
    table: Rows | None = None
    aligned: Aligned | None = None
    if not job.matches:
        found = _prepared(job, assignment)
        assignment.permit.check(found.schedule.plan_digest)
        plan_s = clock.lap()
        if assignment.table is not None:
            own = assignment.table
            table = model.at_home(job, assignment.party, own.matrix, own.room)
        joined = _join(assignment, found.schedule.plan_digest)
        connect_s = clock.lap()
    else:
        assignment.permit.check(None)
        joined = _join(assignment, job.digest)
        connect_s = clock.lap()
    with joined:
        messages = Messages(joined.connections)
        if job.align is not None and not job.matches:
            with _told(messages):
                see_to_order(assignment, joined.run, messages)
        if job.matches:
            with _told(messages):
                # How many rows are in common is a part of the result, and the first one.
                assignment.permit.open(None, joined.run)
                made = align(assignment, joined.run, messages)
                align_s = clock.lap()
                job, table = made.job, made.table
                found = _prepared(job, assignment)
                _agree(messages, assignment.party, found.schedule.plan_digest)
            aligned = Aligned(
                sizes=made.job.sizes,
                align_s=align_s,
                bytes_sent=messages.sent,
                bytes_received=messages.received,
            )
            plan_s = clock.lap()
        schedule = found.schedule
        room = arena(schedule)
        executor = Executor(
            room, schedule.index, joined.connections, assignment.index, schedule.window
        )
        status.enter("running", "all three are here and agree", run=joined.run[:16])
        try:
            run = _Run(assignment, job, executor, schedule, room, joined.run)
            run.through(table)
        finally:
            assignment.traffic.update(executor.counters)
    train_s = clock.lap()
    used = None if job.matches or assignment.table is None else assignment.table.room
    if used is not None:
        model.back_from_home(job, assignment.party, used)
    main = max(schedule.programs, key=lambda code: len(code.instructions))
    opened = run.told | opened_values(schedule, room, "open")
    kept = {} if job.receivers else shares_of(schedule, room, _model_values(job))
    room.fill(0)  # shares and batches, of which a party that stays has no more need

    return Outcome(
        job=job,
        opened=opened,
        kept=kept,
        steps=run.steps,
        settled=run.has_settled,
        plan_digest=schedule.plan_digest,
        run=joined.run,
        keys=joined.keys,
        peers=joined.peers,
        alignment=aligned,
        times=Times(
            plan_s=plan_s,
            connect_s=connect_s,
            train_s=train_s,
            import_s=found.import_s,
            build_s=found.build_s,
            step_s=train_s / run.steps,
        ),
        figures=Figures(
            plan_from_cache=found.from_cache,
            rounds=main.rounds,
            messages_per_step=len(main.messages),
            instructions=len(main.instructions),
            arena_bytes=schedule.arena_bytes,
        ),
    )


def _prepared(job: Job, assignment: Assignment) -> Prepared:
    assignment.status.enter("plan", "preparing the plan")
    # Where one machine is all three parties, one builder serves them all and holds this lock.
    with files.locked(assignment.cache / BUILDING, shared=True):
        return prepared(job, assignment.index, assignment.cache)


def _join(assignment: Assignment, plan_digest: str) -> Joined:
    """Meet the others; without a plan yet, the job's digest stands for it."""
    known = not assignment.job.matches
    assignment.status.enter(
        "joining", f"plan {plan_digest[:12]} is ready; joining" if known else "joining"
    )
    listener = listen(assignment.listen) if assignment.index < len(PARTIES) - 1 else None
    return join(
        assignment.job,
        assignment.party,
        assignment.hosts,
        assignment.keys,
        plan_digest,
        listener,
        assignment.wait_s,
        assignment.status.waiting,
        reload=reloaded,
    )


@contextmanager
def _told(messages: Messages) -> Iterator[None]:
    """Whatever ends the party here, the others are told."""
    try:
        yield
    except Stop:
        messages.give_up(JobError("it was stopped"))
        raise
    except JobError as error:
        messages.give_up(error)
        raise
    except KitError:
        # What is wrong with its table is this party's own affair.
        messages.give_up(JobError("its table does not fit"))
        raise


def _agree(messages: Messages, party: Party, plan_digest: str) -> None:
    """See that all three have made the same plan of what they found."""
    others = [one for one in PARTIES if one != party]
    for other in others:
        messages.send(other, bytes.fromhex(plan_digest))
    for other in others:
        digest = messages.receive(other, len(plan_digest) // 2, _BUILDING_S).hex()
        if digest != plan_digest:
            raise JobError(
                f"{party} and {other} have different plans",
                f"{party} has {plan_digest[:16]}, {other} has {digest[:16]}",
                "install the same image at all three parties, with nothing changed",
            )


def _model_values(job: Job) -> list[str]:
    """The values of the state that make up the model, and not the tables."""
    layout = PlanParameters.of(job).layout
    return model_of(job.parameters).weights(layout)


@dataclass(frozen=True)
class _Position:
    """Where a run is.

    Attributes:
        first: runs of programs before the present stretch.
        stretch: the present one; None after the last.
        steps: steps of the training before it.
    """

    first: int
    stretch: Stretch | None
    steps: int

    def steps_by(self, runs: int) -> int:
        """Steps of the training among so many runs, of which the last are the stretch's."""
        if self.stretch is None or not self.stretch.counted:
            return self.steps
        return self.steps + min(max(runs - self.first, 0), self.stretch.runs)

    @property
    def beside(self) -> str:
        """What a longer stretch is that is no step of the training; empty for all others."""
        if self.stretch is None or self.stretch.counted or self.stretch.runs < _LONG:
            return ""
        return "counting held-out rows" if self.steps else "sharing the tables"


class _Run:
    """The executor's work, in a thread of its own, so that signals and progress need not wait."""

    def __init__(
        self,
        assignment: Assignment,
        job: Job,
        executor: Executor,
        schedule: Schedule,
        room: npt.NDArray[np.uint8],
        name: str,
    ) -> None:
        self.name, self.permitted = name, assignment.job.matches  # where rows were matched
        self.assignment, self.job = assignment, job
        self.executor, self.schedule, self.room = executor, schedule, room
        self.steps = 0
        self.settled: str | None = None  # the last phase that has
        self.done = threading.Event()
        self.failure: BaseException | None = None
        self.revealing = False
        self.told: dict[str, npt.NDArray[np.float64]] = {}  # between the training and the end
        self.at = _Position(0, None, 0)
        self.asked: str | None = None  # the last phase that was asked about
        limit = assignment.time_limit_s
        self.deadline = None if limit is None else time.monotonic() + limit

    def through(self, table: Rows | None) -> None:
        """Every program in its order. Raises JobError where a party, a peer or a clock ends it."""
        worker = threading.Thread(target=self._work, args=(table,), name="executor")
        worker.start()
        try:
            self._watch()
        except Stop:
            self.executor.stop()
            raise JobError(f"stopped at step {self._step()} of {self.job.steps}") from None
        except BaseException:
            self.executor.stop()
            raise
        finally:
            worker.join()
        if isinstance(self.failure, RunError):
            raise self._explained(self.failure) from None
        if self.failure is not None:
            raise self.failure
        self.assignment.status.step(self.steps, None, self.job.steps_per_epoch)

    @property
    def has_settled(self) -> bool | None:
        """Whether the last phase has; None where nobody was told."""
        return None if self.asked is None else self.settled == self.asked

    def _permit(self) -> None:
        """Writes down, once and before anything of the result leaves, that it is opened."""
        if not self.permitted:
            self.assignment.permit.open(self.schedule.plan_digest, self.name)
            self.permitted = True

    def _work(self, table: Rows | None) -> None:
        try:
            first = 0
            for stretch, rows in self._with_rows():
                if stretch.phase is not None and stretch.phase == self.settled:
                    continue
                self.at = _Position(first, stretch, self.steps)
                if stretch.told is not None:  # what is opened then is a part of the result
                    self._permit()
                self._run(stretch.program, first, stretch.runs, rows, table)
                first += stretch.runs
                if stretch.counted:
                    self.steps += stretch.runs
                if stretch.told is not None and table is not None:
                    self.told |= opened_values(self.schedule, self.room, stretch.program)
                    stretch.told(self.told, table)
                if stretch.asks:
                    self.asked = stretch.phase
                    told = opened_values(self.schedule, self.room, stretch.program)
                    if all(value.all() for value in told.values()):
                        self.settled = stretch.phase
            self.at = _Position(first, None, self.steps)
            self.revealing = True
            if self.job.receivers:
                self._permit()
                self._run("open", first, 1, None, None)
            self.executor.finish(self._left())
        except BaseException as failure:
            self.failure = failure
        finally:
            self.done.set()

    def _run(
        self,
        name: str,
        first: int,
        steps: int,
        rows: npt.NDArray[np.int32] | None,
        table: Rows | None,
    ) -> None:
        code = self.schedule.program(name).instructions
        flat = None if rows is None else np.ascontiguousarray(rows.reshape(-1))
        self.executor.run(code, first, steps, flat, table, self._left(), SILENCE_LIMIT_S)

    def _left(self) -> float:
        return 0.0 if self.deadline is None else max(self.deadline - time.monotonic(), 1e-3)

    def _with_rows(self) -> Iterator[tuple[Stretch, npt.NDArray[np.int32] | None]]:
        """Each stretch and its order of rows, made while the stretch before runs."""
        takes_rows = {
            code.name
            for code in self.schedule.programs
            if any(op in ROW_INSTRUCTIONS for op in code.instructions["op"])
        }

        def rows(of: Stretch) -> npt.NDArray[np.int32] | None:
            return of.rows() if of.rows and of.program in takes_rows else None

        layout = PlanParameters.of(self.job).layout
        course = model_of(self.job.parameters).course(self.job, layout)
        with ThreadPoolExecutor(1) as ahead:
            stretch = next(course)
            coming = ahead.submit(rows, stretch)
            for following in course:
                its_rows = coming.result()
                coming = ahead.submit(rows, following)
                yield stretch, its_rows
                stretch = following
            yield stretch, coming.result()

    def _watch(self) -> None:
        status, said = self.assignment.status, False
        what, looks = "", deque([(time.monotonic(), 0)], maxlen=_PACE_OVER)
        while not self.done.wait(_LOOK_EVERY_S):
            position = self.at
            if position.beside != what:
                what = position.beside
                looks.clear()
            runs = self.executor.progress
            done = max(runs - position.first, 0) if what else position.steps_by(runs)
            looks.append((time.monotonic(), done))
            (then, before), (now, at) = looks[0], looks[-1]
            rate = (at - before) / (now - then) if now > then else None
            if what:
                assert position.stretch is not None
                status.beside(what, at, position.stretch.runs, rate)
            else:
                status.step(at, rate, self.job.steps_per_epoch)
            self.assignment.traffic.update(self.executor.counters)
            if self.revealing and not said:
                said = True
                status.enter("revealing", "opening the model")

    def _step(self) -> int:
        return self.at.steps_by(self.executor.progress)

    def _explained(self, error: RunError) -> JobError:
        """The executor's error in the job's terms: who, what, and when."""
        steps = self.job.steps
        at = f"at step {self.at.steps_by(error.step) + 1} of {steps}"
        if self.at.stretch is None or (self.at.stretch.phase is None and self.steps):
            at = "at the end"
        elif self.at.stretch.phase is None:
            at = "while the tables were shared"
        what, _, detail = error.what.partition(": ")
        if error.kind is Kind.PEER_GONE and error.peer is not None:
            what = f"{PARTIES[error.peer]} went away"
        elif error.kind in (Kind.TIME_LIMIT, Kind.STOPPED):
            at = f"at step {self._step()} of {steps}"
        return JobError(f"{what} {at} ({datetime.now():%H:%M:%S})", detail or None)


class _Clock:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        """Seconds since the last lap."""
        before, self._last = self._last, time.monotonic()
        return self._last - before
