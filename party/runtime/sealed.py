"""The sealed runtime: a party's own schedule, run by the native executor over its connections.

Connections come and go; what the party holds stays. Whoever loses a peer looks for it again, and
the three go on from the newest point that all of them have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from party.agreement.job import PARTIES, AlignedJob, Job, Party
from party.channel import AheadError, Joined, Messages, PeerError, join, listen
from party.checkpoints import AlignedRows, Point
from party.compiler import Prepared, prepared
from party.identity import reloaded
from party.models.registry import model_of
from party.plan.parameters import PlanParameters
from party.process import files
from party.process.errors import TIME_IS_UP, JobError, KitError
from party.process.exit import Stop
from party.reporting.documents import Aligned, Figures, Times
from party.runtime import BUILDING, Assignment, Outcome
from party.runtime.aligning import Rows, align, see_to_order
from party.runtime.course import Course, LostError
from party.runtime.meeting import Common, Holding, meet

_BUILDING_S = 600.0
"""So long the others may be silent while they make their plans."""

LINGER_S = 20.0
"""So long who has all that it needs still looks for a peer that may lack something."""


def train(assignment: Assignment) -> Outcome:
    """Prepare the schedule, join the others, run every step, and open the model to whom it goes.

    Tables that are aligned come first: how many rows the plan is for, the parties find out.
    """
    party = _Party(assignment)
    try:
        return _trained(party)
    except Stop:
        party.write_down()
        raise
    except JobError as error:
        if error.cause == "stopped":
            party.write_down()
        raise


def _trained(party: _Party) -> Outcome:
    assignment = party.assignment
    if assignment.job.matches:
        assignment.permit.check(None)
        party.take_up_end()
    else:
        party.prepare(assignment.job)
    wait_s = LINGER_S if party.has_all else assignment.wait_s
    while True:
        try:
            with party.joined(wait_s) as joined:
                party.go_on(joined)
                return party.outcome()
        except (LostError, PeerError) as error:
            wait_s = party.after(error)
        except AheadError:
            if party.has_all:  # and so has whoever is at the next job
                return party.outcome()
            raise
        except JobError as error:
            if error.cause == "peer-unreachable" and party.has_all:
                return party.outcome()
            if error.cause == "peer-unreachable" and party.lost is not None:
                raise party.not_back(error) from None
            raise


@dataclass
class _Party:
    """A party through all its connections.

    Attributes:
        lost: in words what ended the last ones, and when the first ended without which the run
            has not come on since. The error itself would hold all that it went through.
        number: of the point beyond which it has come on.
    """

    assignment: Assignment
    course: Course | None = None
    found: Prepared | None = None
    table: Rows | None = None
    rows: AlignedRows | None = None
    aligned: Aligned | None = None
    points: list[Point] = field(default_factory=list)
    last: Joined | None = None
    lost: tuple[str, float] | None = None
    number: int = -1
    over_time: bool = False
    train_s: float = 0.0

    def __post_init__(self) -> None:
        self.clock = _Clock()
        self.plan_s = self.connect_s = 0.0
        store = self.assignment.checkpoints
        self.points = store.points()
        if self.assignment.job.matches:
            self.rows = store.rows()

    @property
    def has_all(self) -> bool:
        """Whether the party needs nothing more of the others."""
        return self.course is not None and self.course.has_all

    def prepare(self, job: Job) -> None:
        """The schedule, and what the party's programs read."""
        assignment = self.assignment
        self.clock.lap()
        self.found = _prepared(job, assignment)
        if not job.matches:
            assignment.permit.check(self.found.schedule.plan_digest)
        if not job.matches and job.kept is None and assignment.table is not None:
            own = assignment.table
            self.table = own.ring
            if own.ring is None:
                self.table = model_of(job.parameters).at_home(
                    job, assignment.party, own.matrix, own.room, own.start, own.noise
                )
        self.course = Course(assignment, job, self.found.schedule)
        self.course.take_up(self.points)
        self.plan_s += self.clock.lap()

    def take_up_end(self) -> None:
        """Whoever has all of a job of matched rows needs nobody to say so, and no alignment."""
        rows, last = self.rows, self.points[-1] if self.points else None
        if rows is not None and last is not None and last.final and last.lineage == rows.lineage:
            self._take_up_rows(rows)

    def _take_up_rows(self, rows: AlignedRows) -> None:
        made = AlignedJob.of(self.assignment.job, rows.sizes)
        self.table = rows.table
        self.assignment.status.aligned(made)
        self.prepare(made)

    @contextmanager
    def joined(self, wait_s: float) -> Iterator[Joined]:
        """Connections to both others, who agree."""
        self.clock.lap()
        digest = self.assignment.job.digest
        if not self.assignment.job.matches and self.found is not None:
            digest = self.found.schedule.plan_digest
        with _join(self.assignment, digest, wait_s, again=self.lost is not None) as self.last:
            self.connect_s += self.clock.lap()
            yield self.last

    def go_on(self, joined: Joined) -> None:
        """From where all three can, to the end."""
        messages, assignment = Messages(joined.connections), self.assignment
        job = assignment.job
        with _told(messages):
            common = meet(messages, assignment.party, self._holding())
            if self._is_done(common):
                return
            if not common.lineage and job.compares_order:
                see_to_order(assignment, joined.run, messages)
            if job.matches:
                self._see_to_rows(joined, messages, common)
            assert self.course is not None
            self.course.go_to(common, joined.run)
        # From there the run comes on, however far it had been.
        self.number = min(self.number, -1 if common.number is None else common.number)
        if self.has_all:
            return
        self._say_where(common)
        try:
            self.course.through(joined, self.table)
        finally:
            self.train_s = self.clock.lap()

    def _holding(self) -> Holding:
        if self.course is not None:
            return self.course.holding()
        if self.rows is None:
            return Holding()
        lineage = self.rows.lineage
        numbers = tuple(one.number for one in self.points if one.lineage == lineage)
        return Holding(lineage, "", numbers, self.assignment.checkpoint_every_ms)

    def _is_done(self, common: Common) -> bool:
        """Whether the party has all, and another has lost what it would take to do it again."""
        if not self.has_all:
            return False
        assert self.course is not None
        return common.number is None

    def _see_to_rows(self, joined: Joined, messages: Messages, common: Common) -> None:
        """Align, unless all three have the rows of one alignment; then the plan for them."""
        assignment = self.assignment
        if common.lineage:
            assert self.rows is not None
            if self.course is None:
                self._take_up_rows(self.rows)
        else:
            self.points = []
            assignment.checkpoints.clear()
            # How many rows are in common is a part of the result, and the first one.
            assignment.permit.goes_on(None)
            assignment.permit.open(None, joined.run)
            self.clock.lap()
            found = align(assignment, joined.run, messages)
            align_s = self.clock.lap()
            self.table = found.table
            self.rows = AlignedRows(joined.run, found.job.sizes, found.table, found.order)
            assignment.checkpoints.keep_rows(self.rows)
            self.aligned = Aligned(
                sizes=found.job.sizes,
                align_s=align_s,
                bytes_sent=messages.sent,
                bytes_received=messages.received,
            )
            self.prepare(found.job)
        assert self.found is not None
        _agree(messages, assignment.party, self.found.schedule.plan_digest)

    def _say_where(self, common: Common) -> None:
        assert self.course is not None
        status, run = self.assignment.status, self.course.lineage[:16]
        words = "all three are here and agree"
        if common.number is not None:
            words = f"all three are here again, and go on at step {self.course.steps}"
            status.rejoined()
        elif common.without:
            who = " and ".join(common.without)
            has = "has" if len(common.without) == 1 else "have"
            words = f"{words}; {who} {has} nothing of the run before, so that all begin again"
        status.enter("running", words, run=run)

    # Losing peers.

    def after(self, error: KitError) -> float:
        """How long to look for who was lost. Raises the error where there is no use in it."""
        assignment, now = self.assignment, time.monotonic()
        limit = assignment.rejoin_s
        final = isinstance(error, PeerError) and error.final
        course, self.over_time = self.course, False
        if course is not None and course.all_have_all:
            limit = min(limit, LINGER_S)
            if not limit:
                return 0.0
        if not limit or final:
            raise error
        number = -1 if course is None or not course.points else course.points[-1].number
        if self.lost is None or number > self.number:
            self.lost, self.number = (error.what, now), number
        self.lost = (error.what, self.lost[1])
        left = self.lost[1] + limit - now
        if course is not None and course.time_left_s < left:
            left = course.time_left_s
            self.over_time = True
        if left <= 0:
            raise error
        assignment.status.enter(
            "rejoining", f"{error.what}; looking for the others, for {left:.0f} s at most"
        )
        return left

    def write_down(self) -> None:
        """The party is asked to end, and is to go on from where it is."""
        if self.course is not None:
            self.course.write_down()

    def not_back(self, error: JobError) -> JobError:
        """Nobody came back in time."""
        assert self.lost is not None
        if self.over_time:
            words = f"{TIME_IS_UP}: {self.lost[0]}, and {error.what}"
            return JobError(words, error.where, error.hint, cause="time-limit")
        what = f"{self.lost[0]}, and {error.what}"
        return JobError(what, error.where, error.hint, cause="peer-unreachable")

    def outcome(self) -> Outcome:
        """What came of it."""
        assignment, course, found = self.assignment, self.course, self.found
        assert course is not None and found is not None
        job, schedule = course.job, found.schedule
        model = model_of(job.parameters)
        if not job.matches and assignment.table is not None and assignment.table.room is not None:
            model.back_from_home(assignment.job, assignment.party, assignment.table.room)
        main = max(schedule.programs, key=lambda code: len(code.instructions))
        kept = {} if job.receivers else course.shares(_model_values(job))
        steps = max(course.steps, 1)
        course.forget()
        return Outcome(
            job=job,
            opened=course.told,
            kept=kept,
            steps=course.steps,
            settled=course.has_settled,
            unsettled=course.unsettled,
            plan_digest=schedule.plan_digest,
            run=course.lineage,
            keys=assignment.keys if self.last is None else self.last.keys,
            peers=course.peers,
            alignment=self.aligned,
            order=None if self.rows is None else self.rows.order,
            times=Times(
                plan_s=self.plan_s,
                connect_s=self.connect_s,
                train_s=self.train_s,
                import_s=found.import_s,
                build_s=found.build_s,
                step_s=self.train_s / steps,
            ),
            figures=Figures(
                plan_from_cache=found.from_cache,
                rounds=main.rounds,
                messages_per_step=len(main.messages),
                instructions=len(main.instructions),
                arena_bytes=schedule.arena_bytes,
                file_bytes=None if course.spill is None else course.spill.bytes,
            ),
        )


def _prepared(job: Job, assignment: Assignment) -> Prepared:
    assignment.status.enter("plan", "preparing the plan")
    # Where one machine is all three parties, one builder serves them all and holds this lock.
    with files.locked(assignment.cache / BUILDING, shared=True):
        return prepared(job, assignment.index, assignment.cache)


def _join(assignment: Assignment, plan_digest: str, wait_s: float, again: bool) -> Joined:
    """Meet the others; without a plan yet, the job's digest stands for it."""
    known = not assignment.job.matches
    if not again:
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
        wait_s,
        assignment.status.waiting,
        reload=reloaded,
        queue=assignment.queue,
    )


@contextmanager
def _told(messages: Messages) -> Iterator[None]:
    """Whatever ends the party here, the others are told."""
    try:
        yield
    except Stop:
        messages.give_up(JobError("it was stopped"), final=False)
        raise
    except JobError as error:
        messages.give_up(error, final=not isinstance(error, PeerError) or error.final)
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
                cause="refused",
            )


def _model_values(job: Job) -> list[str]:
    """The values of the state that make up the model, and not the tables."""
    layout = PlanParameters.of(job).layout
    return model_of(job.parameters).weights(layout)


class _Clock:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        """Seconds since the last lap."""
        before, self._last = self._last, time.monotonic()
        return self._last - before
