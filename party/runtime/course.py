"""A party's way through the programs of a plan, and what it keeps of it on the way."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from party.agreement.job import PARTIES, Job, Party
from party.channel import Joined
from party.checkpoints import KeptModel, Point, newest, pruned
from party.models.interface import FOLD, Stretch
from party.models.registry import model_of
from party.native import Executor, Kind, RunError, wipe
from party.plan import sharing
from party.plan.parameters import OPEN, PlanParameters
from party.process.errors import JobError
from party.process.exit import Stop
from party.runtime import Assignment, opening
from party.runtime.aligning import Rows
from party.runtime.meeting import Common, Holding
from party.runtime.memory import spilled
from party.runtime.pace import Heard, Pace, said
from party.schedule import (
    ROW_INSTRUCTIONS,
    Schedule,
    arena,
    changed_by,
    opened_values,
    shares_of,
)

SILENCE_LIMIT_S = 120.0
"""A peer that is connected and awaited, and says nothing for so long, is taken for gone. One that
is alive has ten times as long for each message (``party.native.executor.PATIENCE``)."""

_FIRST_RUNS = 16
"""After which the parties meet first, to know how long a run takes."""
_GROWTH = 16

_LOOK_EVERY_S = 0.5
_PACE_OVER = 10  # looks
_LONG = 4  # runs, from which a stretch beside the training is told of


class LostError(JobError):
    """A peer is gone, and may come back."""


@dataclass(frozen=True)
class _Position:
    """Where a run is.

    Attributes:
        before: runs that this executor has done before the piece at hand.
        number: runs of the course before it.
        runs: its runs.
        stretch: the one that it is of; None after the last.
        ahead: runs of the stretch before the piece.
        steps: steps of the training before it.
    """

    before: int
    number: int
    runs: int
    stretch: Stretch | None
    ahead: int
    steps: int

    def steps_by(self, runs: int) -> int:
        """Steps of the training after so many runs of the piece."""
        if self.stretch is None or not self.stretch.counted:
            return self.steps
        return self.steps + min(max(runs, 0), self.runs)

    @property
    def beside(self) -> str:
        """What a longer stretch is that is no step of the training; empty for all others."""
        if self.stretch is None or self.stretch.counted or self.stretch.runs < _LONG:
            return ""
        return "counting rows" if self.steps else "sharing the tables"


class Course:
    """One party's run, which outlives its connections.

    The executor works in a thread of its own, so that signals and progress need not wait.

    The three meet at runs of the course that they agree on as they go: each says how long it took,
    the slowest counts, and all keep a point there. One that lies about five seconds behind the last
    that did goes to the disk too. Nobody passes a meeting before all have kept the point of the one
    before, so that the two newest points of any two parties have one in common.

    Attributes:
        lineage: the name of the run that began at the start.
        steps: steps of the training that are done.
        told: what was opened to the party, by name of the value.
        has_all: whether the party needs nothing more of the others.
        all_have_all: whether it knows the same of them.
    """

    def __init__(self, assignment: Assignment, job: Job, schedule: Schedule) -> None:
        self.assignment, self.job, self.schedule = assignment, job, schedule
        setup = sharing(self._course())
        self._setup = len(setup)
        self.spill = spilled(assignment, schedule, setup)
        self.room = arena(schedule, opening.ROOM, sparse=self.spill is not None)
        later = {code.name for code in schedule.programs} - {one.program for one in setup}
        self._changing = changed_by(schedule, later)
        self.points: list[Point] = []
        self.lineage = self._shared = ""
        self.peers: dict[Party, tuple[str, str]] = {}
        self._deadline: float | None = None
        self._traffic: dict[str, int] = {}
        self._wrote_us = 0
        self._restore(None)

    def _course(self) -> Iterator[Stretch]:
        return model_of(self.job.parameters).course(self.job, PlanParameters.of(self.job).layout)

    # What it holds, and where it starts.

    def holding(self) -> Holding:
        """What the party can go on from."""
        numbers = dict.fromkeys(one.number for one in self.points)
        every_ms = self.assignment.checkpoint_every_ms
        return Holding(self.lineage, self._shared, tuple(sorted(numbers)), every_ms)

    def take_up(self, points: list[Point]) -> None:
        """Points that were read from the disk, of which those of another plan are left."""
        self.points = [one for one in points if one.plan == self.schedule.plan_digest]
        self.lineage = self.points[-1].lineage if self.points else ""
        for point in self.points:
            if point.final:  # nobody need come for it
                self._restore(point)
                self.peers = dict(point.peers)

    def begin(self, lineage: str) -> None:
        """Start at the start."""
        if self.lineage:
            in_file = () if self.spill is None else self.spill.shares
            for held in self.schedule.state:
                if held.place.offset not in {share.place for share in in_file}:
                    self.room[held.place.offset : held.place.offset + held.place.bytes] = 0
        self.lineage, self._shared, self.points = lineage, "", []
        self._restore(None)

    def _restore(self, point: Point | None) -> None:
        self._from = point
        self._done = 0 if point is None else point.number
        self.steps = 0 if point is None else point.steps
        self.asked = None if point is None else point.asked
        self.settled = None if point is None else point.settled
        self._unsettled = [] if point is None else list(point.unsettled)
        self.told = {} if point is None else dict(point.told)
        self.has_all = point is not None and point.final
        self._opening = 0 if point is None else point.opening
        self.all_have_all = self.revealing = False

    def go_to(self, common: Common, run: str) -> None:
        """Start where all can.

        Raises JobError where another result would be opened than an approval is left for.
        """
        self._every_us = common.every_ms * 1000
        begun = max((one.opening for one in self.points), default=0)
        self.assignment.checkpoints.forget_after(common.number)
        if common.number is None:
            self.begin(common.lineage or run)
        else:
            point = newest(self.points, common.number)
            self.points = [one for one in self.points if one.number <= common.number]
            if not common.shared:
                self._shared = ""
            self._restore(point)
        self.assignment.status.kept(self.assignment.checkpoints.newest)
        if self.has_all:
            return  # it opens nothing any more
        # Whoever goes back behind an opening that had begun may come to another result. Where rows
        # were matched, that was the first opening, and it lies before every point.
        behind = self._from is not None and self._from.opening == begun > 0
        same = behind or (self.assignment.job.matches and begun == 0)
        permit = self.assignment.permit
        permit.goes_on(self.lineage if same else None)
        self._permitted = same and permit.ledger.has_opened(self.lineage)

    def write_down(self) -> None:
        """What is in memory alone goes to the disk, where the party is asked to end: the others
        have it in theirs."""
        self.assignment.checkpoints.keep_briefly(self.points)

    @property
    def has_settled(self) -> bool | None:
        """Whether the last phase has; None where nobody was told."""
        return None if self.asked is None else self.settled == self.asked

    @property
    def unsettled(self) -> tuple[str, ...]:
        """The folds whose trainings have not settled."""
        return tuple(phase for phase in self._unsettled if phase.startswith(FOLD))

    def shares(self, values: list[str]) -> dict[str, npt.NDArray[np.int64]]:
        """Copies of the party's shares of some values."""
        if self._from is not None and self._from.final:
            self._put_back(self._from)
        return shares_of(self.schedule, self.room, values)

    def forget(self) -> None:
        """Shares and batches, of which a party that stays has no more need."""
        wipe(self.room, self.spill)
        if self.spill is not None:
            self.spill.close()
        for point in (*self.points, *([] if self._from is None else [self._from])):
            for share in point.state.values():
                share.fill(0)
        self.points, self._from = [], None

    # The way.

    def through(self, joined: Joined, table: Rows | None) -> None:
        """Every program that is left, in its order. Raises JobError where a party, a peer or a
        clock ends it, and LostError where a peer is gone that may come back."""
        limit = self.assignment.time_limit_s
        if limit is not None and self._deadline is None:  # once, whatever is lost on the way
            self._deadline = time.monotonic() + limit
        made = self.schedule
        if self.spill is not None and not self._shared:
            self.spill.renew()
        self._executor = Executor(
            self.room,
            made.index,
            joined.connections,
            self.assignment.index,
            made.window,
            spill=self.spill,
        )
        self._before, self.peers = dict(self._traffic), joined.peers
        self.at = _Position(0, self._done, 0, None, 0, self.steps)
        self._ran = 0
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        worker = threading.Thread(target=self._work, args=(table, joined.run), name="executor")
        worker.start()
        try:
            self._watch()
        except Stop:
            self._executor.stop()
            what = f"stopped at step {self._step()} of {self.job.steps}"
            raise JobError(what, cause="stopped") from None
        except BaseException:
            self._executor.stop()
            raise
        finally:
            worker.join()
            self._count()
        self._raise_failure()
        self.assignment.status.step(self.steps, None)

    def _raise_failure(self) -> None:
        """What ended the executor, if it failed. It is let go: by its traceback it refers to all
        that the run has."""
        failure, self._failure = self._failure, None
        try:
            if isinstance(failure, RunError):
                raise self._explained(failure) from None
            if failure is not None:
                raise failure
        finally:
            del failure

    def _work(self, table: Rows | None, run: str) -> None:
        try:
            if self.assignment.kept is not None:
                self._take(self.assignment.kept)
            if self._shared:
                self._set_out()
            index = self._opened = 0
            for index, stretch, rows in self._with_rows(table):
                if index >= self._setup and not self._shared:
                    self._has_shared(run)
                if stretch.phase is not None and stretch.phase == self.settled:
                    continue
                self._stretch(index, stretch, rows, table)
            if not self._shared:
                self._has_shared(run)
            self._reveal(index + 1 if self._from is None else max(index + 1, self._from.stretch))
            self._executor.finish(self._left())
        except BaseException as failure:
            self._failure = failure
        finally:
            self._ended.set()

    def _take(self, model: KeptModel) -> None:
        """Put the party's shares of a kept model where its programs read them."""
        weights = model_of(self.job.parameters).weights(PlanParameters.of(self.job).layout)
        for held in self.schedule.state:
            if held.share.value in weights:
                place = held.place
                own = model.shares[f"{held.share.value}/{held.share.position}"]
                self.room[place.offset : place.offset + place.bytes] = own.view(np.uint8)

    def _has_shared(self, run: str) -> None:
        """The tables are in the state now, of all three: from here on there are points."""
        self._shared = run
        if self._from is not None:
            self._done = self._from.number
        self._set_out()

    def _set_out(self) -> None:
        """From the point that was agreed on, or from the first one, which needs no disk."""
        if self._from is not None:
            self._put_back(self._from)
        else:
            self._keep(self._setup, 0, durable=False)
        self._met, self._met_at = self._done, time.monotonic()
        self._pace = Pace(self._every_us)
        self._meeting = self._done + _FIRST_RUNS

    def _put_back(self, point: Point) -> None:
        for held in self._changing:
            place = held.place
            name = f"{held.share.value}/{held.share.position}"
            self.room[place.offset : place.offset + place.bytes] = point.state[name]

    def _stretch(
        self,
        index: int,
        stretch: Stretch,
        rows: npt.NDArray[np.int32] | None,
        table: Rows | None,
    ) -> None:
        if stretch.told is not None:  # what is opened then is a part of the result
            self._before_opening(index)
        here = self._from is not None and self._from.stretch == index and index >= self._setup
        runs = self._from.runs if here and self._from is not None else 0
        while runs < stretch.runs:
            piece = stretch.runs - runs
            if index >= self._setup:
                piece = min(piece, max(self._meeting - self._done, 1))
            part = None if rows is None else rows[runs : runs + piece]
            self._run(stretch, stretch.program, runs, piece, part, table)
            runs += piece
            if stretch.counted:
                self.steps += piece
            if runs < stretch.runs and index >= self._setup:
                self._meet_if_due(index, runs)
        if stretch.told is not None and table is not None:
            self.told |= opened_values(self.schedule, self.room, stretch.program)
            stretch.told(self.told, table)
        if stretch.told is not None:
            self._opened += 1
        if stretch.vouches and not self._all_are_one(stretch.program):
            self._executor.finish(self._left())
            raise model_of(self.job.parameters).no_model(self.job)
        if stretch.asks and stretch.phase is not None:
            self.asked = stretch.phase
            if stretch.phase not in self._unsettled:
                self._unsettled.append(stretch.phase)
            if self._all_are_one(stretch.program):
                self.settled = stretch.phase
                self._unsettled.remove(stretch.phase)
        if index >= self._setup:
            self._meet_if_due(index + 1, 0)

    def _all_are_one(self, program: str) -> bool:
        """Whether what a program opened says yes."""
        told = opened_values(self.schedule, self.room, program)
        return all(value.all() for value in told.values())

    def _reveal(self, end: int) -> None:
        """What is to be opened at the end; and, before anybody leaves, that everybody has it."""
        self.at = _Position(self._ran, self._done, 0, None, 0, self.steps)
        self.revealing = True
        if self.job.receivers:
            self._before_opening(end)
            self._run(None, OPEN, 0, 1, self._all_rows(OPEN), None)
            copies = opening.Comparison(self.job, self.assignment.index, self.schedule, self.room)
            opening.compare(
                copies, self._executor, self._done, self.lineage, self._left(), SILENCE_LIMIT_S
            )
            self.told |= opened_values(self.schedule, self.room, OPEN)
        else:
            self._done += 1  # so that the last point has a number of its own
        self._keep(end, 0, durable=True, needed=True, final=True)
        self.has_all = True
        self._meet()
        self.all_have_all = True

    def _all_rows(self, program: str) -> npt.NDArray[np.int32] | None:
        """Those of one run of a program that takes all of them; None where it takes none."""
        codes = self.schedule.program(program).instructions["op"]
        if not any(op in ROW_INSTRUCTIONS for op in codes):
            return None
        layout = PlanParameters.of(self.job).layout
        rows = model_of(self.job.parameters).rows_of(program, layout)
        return np.arange(rows, dtype=np.int32)

    def _before_opening(self, index: int) -> None:
        """Whatever happens from here on, the parties go on from no point before this one, and what
        they open is what they would have opened; it is written down, durably and before anything
        of the result leaves."""
        self._meet()
        self._opening = self._opened + 1
        self._keep(index, 0, durable=True, needed=True)
        self._meet()
        if not self._permitted:
            self.assignment.permit.open(self.schedule.plan_digest, self.lineage)
            self._permitted = True

    def _run(
        self,
        stretch: Stretch | None,
        program: str,
        ahead: int,
        runs: int,
        rows: npt.NDArray[np.int32] | None,
        table: Rows | None,
    ) -> None:
        self.at = _Position(self._ran, self._done, runs, stretch, ahead, self.steps)
        code = self.schedule.program(program).instructions
        flat = None if rows is None else np.ascontiguousarray(rows.reshape(-1))
        left = self._left()
        self._executor.run(code, self._done, runs, flat, table, left, SILENCE_LIMIT_S)
        self._ran += runs
        self._done += runs

    @property
    def time_left_s(self) -> float:
        """Until the party's own time limit."""
        return float("inf") if self._deadline is None else self._deadline - time.monotonic()

    def _left(self) -> float:
        return 0.0 if self._deadline is None else max(self._deadline - time.monotonic(), 1e-3)

    def _with_rows(
        self, table: Rows | None
    ) -> Iterator[tuple[int, Stretch, npt.NDArray[np.int32] | None]]:
        """The stretches that are left, with their place in the course and their order of rows,
        which is made while the stretch before runs."""
        takes_rows = {
            code.name
            for code in self.schedule.programs
            if any(op in ROW_INSTRUCTIONS for op in code.instructions["op"])
        }
        first = self._setup if self._from is None else self._from.stretch

        def left() -> Iterator[tuple[int, Stretch]]:
            for index, stretch in enumerate(self._course()):
                if index >= first or (index < self._setup and not self._shared):
                    yield index, stretch
                elif stretch.told is not None:
                    self._opened += 1
                    if table is not None:  # a restarted party's is as it was read
                        stretch.told(self.told, table)

        def rows(of: Stretch) -> npt.NDArray[np.int32] | None:
            if of.phase is not None and of.phase == self.settled:
                return None  # it is left out
            return of.rows() if of.rows and of.program in takes_rows else None

        with ThreadPoolExecutor(1) as ahead:
            coming: deque[tuple[int, Stretch, Future[npt.NDArray[np.int32] | None]]] = deque()
            for index, stretch in left():
                coming.append((index, stretch, ahead.submit(rows, stretch)))
                if len(coming) > 1:
                    place, before, its_rows = coming.popleft()
                    yield place, before, its_rows.result()
            for place, before, its_rows in coming:
                yield place, before, its_rows.result()

    # Meetings, and points.

    def _meet_if_due(self, stretch: int, runs: int) -> None:
        if self._done >= self._meeting:
            heard = self._meet()
            self._keep(stretch, runs, self._pace.is_due(heard))
            behind = max(self._done - self._met, 1)
            coming = behind * self._every_us // max(heard.took_us, 1)
            coming = min(max(coming, behind // _GROWTH, 1), behind * _GROWTH)
            self._met, self._meeting = self._done, self._done + coming

    def _meet(self) -> Heard:
        """Until all three are here; what they say of the time since the last time."""
        number = said(int((time.monotonic() - self._met_at) * 1e6), self._wrote_us)
        heard = self._executor.meet(self._done, number, self._left(), SILENCE_LIMIT_S)
        self._met_at = time.monotonic()
        return Heard.of(heard)

    def _keep(
        self,
        stretch: int,
        runs: int,
        durable: bool,
        needed: bool = False,
        final: bool = False,
    ) -> None:
        """Raises JobError or InputError where a point is needed on the disk, which does not take
        it: who came back without it could not open the same result again, or had lost it."""
        state = {
            f"{held.share.value}/{held.share.position}": self.room[
                held.place.offset : held.place.offset + held.place.bytes
            ].copy()
            for held in self._changing
        }
        point = Point(
            lineage=self.lineage,
            plan=self.schedule.plan_digest,
            number=self._done,
            stretch=stretch,
            runs=runs,
            steps=self.steps,
            asked=self.asked,
            settled=self.settled,
            unsettled=tuple(self._unsettled),
            durable=durable,
            opening=self._opening,
            final=final,
            peers=self.peers,
            state=state,
            told=dict(self.told),
        )
        self.points = pruned([*self.points, point])
        if not durable:
            return
        self._pace.kept()
        begin = time.monotonic()
        if self.assignment.checkpoints.keep(point, needed):
            self.assignment.status.kept(self.assignment.checkpoints.newest)
        self._wrote_us = int((time.monotonic() - begin) * 1e6)

    # What is seen of it.

    def _count(self) -> None:
        now = self._executor.counters
        self._traffic = {name: self._before.get(name, 0) + n for name, n in now.items()}
        self.assignment.traffic.update(self._traffic)

    def _watch(self) -> None:
        status, said = self.assignment.status, False
        what, looks = "", deque([(time.monotonic(), self._step())], maxlen=_PACE_OVER)
        while not self._ended.wait(_LOOK_EVERY_S):
            position = self.at
            if position.beside != what:
                what = position.beside
                looks.clear()
            runs = max(self._executor.progress - position.before, 0)
            done = position.ahead + runs if what else position.steps_by(runs)
            looks.append((time.monotonic(), done))
            (then, before), (now, at) = looks[0], looks[-1]
            rate = (at - before) / (now - then) if now > then else None
            if what:
                assert position.stretch is not None
                status.beside(what, at, position.stretch.runs, rate)
            else:
                status.step(at, rate)
            self._count()
            if self.revealing and not said:
                said = True
                what_for = "the model" if self.job.scores is None else "the scores"
                status.enter("revealing", f"opening {what_for}")

    def _step(self) -> int:
        return self.at.steps_by(self._executor.progress - self.at.before)

    def _explained(self, error: RunError) -> JobError:
        """The executor's error in the job's terms: who, what, and when."""
        steps = self.job.steps
        done = self.at.steps_by(error.step - self.at.number)
        at = f"at step {min(done + 1, steps)} of {steps}"
        if self.at.stretch is None or (self.at.stretch.phase is None and self.steps):
            at = "at the end"
        elif self.at.stretch.phase is None:
            at = "while the tables were shared"
        what, _, detail = error.what.partition(": ")
        if error.kind is Kind.PEER_GONE and error.peer is not None:
            what = f"{PARTIES[error.peer]} went away"
        elif error.kind in (Kind.TIME_LIMIT, Kind.STOPPED):
            at = f"at step {self._step()} of {steps}"
        what = f"{what} {at} ({datetime.now():%H:%M:%S})"
        if error.final or error.kind is Kind.STOPPED:
            return JobError(what, detail or None, cause=error.cause)
        return LostError(what, detail or None, cause=error.cause)
