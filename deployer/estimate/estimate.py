"""What a job will take: traffic and memory from its schedules, time from a simulation of them."""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from deployer.estimate.measuring import (
    linked,
    message_costs,
    paces,
    table_columns,
    table_type,
    works,
    writing_s,
)
from deployer.estimate.simulation import Costs, Network, Timed, simulate
from deployer.estimate.tcp import is_paced
from party.agreement.job import PARTIES, Job
from party.compiler import build_schedules, is_cached, prepared
from party.native.instructions import Op
from party.plan import PlanParameters, runs, sharing
from party.process import children, files
from party.process.errors import JobError
from party.reporting.documents import (
    EstimateDocument,
    Flow,
    MemoryEstimate,
    PartyEstimate,
    ProgramEstimate,
    TimeEstimate,
)
from party.runtime import BUILDING
from party.runtime.opening import messages as messages_of_opening
from party.schedule import HEADER_BYTES, ROW_INSTRUCTIONS, Schedule
from party.schedule.memory import largest, queues, rings, saved, tables

_MOST_RUNS = 64
"""Of each program are simulated. The rest keeps the pace of the second half of these, when whoever
runs ahead is as far ahead as its peers' rings let it be."""

_MOST_TURNS = 100
"""Turns of programs that are simulated, and the first of each kind; a later one takes as long as
one of its kind."""

Turn = tuple[str, int]
"""A program, and how many times it runs before the next one does."""

_CONNECT_ROUND_TRIPS = 3.5
"""Until all are ready: TCP's handshake, TLS's, the hellos both ways, and one half for ready."""

_MEETING_ROUND_TRIPS = 0.5
"""Each tells both others something, and hears them."""

_CLOSING_ROUND_TRIPS = 1.0
"""From the last step until the peers have closed their ends, too."""


@dataclass(frozen=True)
class Apart:
    """A network between the parties: milliseconds of a round trip between any two, and what the
    line of each carries each way, in Mbit/s; None for more than they send."""

    rtt_ms: float = 0.0
    bandwidth_mbit: float | None = None

    @property
    def network(self) -> Network:
        """As the simulation takes it."""
        rate = math.inf if self.bandwidth_mbit is None else self.bandwidth_mbit * 1e6 / 8
        return Network(self.rtt_ms / 2e3, rate)


def estimate(job: Job, cache: Path, apart: Apart | None) -> EstimateDocument:
    """What a job will take, on this machine's loopback and with the parties apart.

    Builds what the cache lacks; reads no table.

    Raises:
        JobError: the schedules cannot be built, or fail where they are tried.
    """
    with files.locked(cache / BUILDING):
        if not is_cached(job, cache):
            build_schedules(job, cache, range(len(PARTIES)))
        began = time.monotonic()
        schedules = [prepared(job, party, cache).schedule for party in range(len(PARTIES))]
        plan_s = (time.monotonic() - began) / len(PARTIES)
    model = Model.measured(job, schedules, writing_s(cache))
    flows = _flows(job, schedules[0], schedules[1])
    base_bytes = _base_bytes()
    programs = tuple(
        ProgramEstimate(name=name, runs=times, rounds=schedules[0].program(name).rounds)
        for name, times in _counted(job).items()
    )
    return EstimateDocument(
        job=job.digest,
        plan=schedules[0].plan_digest,
        protocol=job.protocol,
        steps=job.steps,
        programs=programs,
        rounds=sum(program.runs * program.rounds for program in programs),
        messages=sum(flow.messages for flow in flows),
        bytes=sum(flow.bytes for flow in flows),
        traffic=flows,
        parties={PARTIES[one.party]: _party(job, one, flows, base_bytes) for one in schedules},
        plan_s=plan_s,
        loopback=model.time(Apart(), Network(cores=_cores())),
        apart=None if apart is None else model.time(apart, _paced(apart.network)),
    )


def _paced(network: Network) -> Network:
    """With TCP as it is on this machine."""
    return replace(network, paced=is_paced())


def _counted(job: Job) -> Counter[str]:
    """How often each program runs in all."""
    counted: Counter[str] = Counter()
    for name, times in runs(job):
        counted[name] += times
    return counted


def _flows(job: Job, *schedules: Schedule) -> tuple[Flow, ...]:
    """Messages and bytes by direction. Every message is known to two of the three parties."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for name, times in _counted(job).items():
        messages = {m.key: m for one in schedules for m in one.program(name).messages}
        for message in messages.values():
            found = sizes.setdefault((message.sender, message.receiver), [0, 0])
            found[0] += times
            found[1] += times * (HEADER_BYTES + message.bytes)
    for sender, receiver, size in messages_of_opening(job):
        found = sizes.setdefault((sender, receiver), [0, 0])
        found[0] += 1
        found[1] += HEADER_BYTES + size
    return tuple(
        Flow(sender=PARTIES[sender], receiver=PARTIES[receiver], messages=count, bytes=size)
        for (sender, receiver), (count, size) in sorted(sizes.items())
    )


def _party(job: Job, schedule: Schedule, flows: Sequence[Flow], base_bytes: int) -> PartyEstimate:
    me = PARTIES[schedule.party]
    sent = [flow for flow in flows if flow.sender == me]
    received = [flow for flow in flows if flow.receiver == me]
    shares = tables(schedule, _sharing(job))
    return PartyEstimate(
        messages_sent=sum(flow.messages for flow in sent),
        messages_received=sum(flow.messages for flow in received),
        bytes_sent=sum(flow.bytes for flow in sent),
        bytes_received=sum(flow.bytes for flow in received),
        memory=MemoryEstimate(
            arena_bytes=schedule.arena_bytes,
            buffer_bytes=sum(rings(schedule).values()) + sum(queues(schedule).values()),
            table_bytes=job.rows * table_columns(schedule) * table_type(schedule).itemsize,
            base_bytes=base_bytes,
            file_bytes=sum(map(saved, largest(shares, schedule.arena_bytes))),
        ),
    )


def _sharing(job: Job) -> Counter[str]:
    """How often each program runs that shares tables."""
    parameters = PlanParameters.of(job)
    counted: Counter[str] = Counter()
    for stretch in sharing(parameters.trained.course(job, parameters.layout)):
        counted[stretch.program] += stretch.runs
    return counted


def _base_bytes() -> int:
    """Memory of a party's process that has nothing to do."""
    command = children.command("deployer.estimate.idle")
    done = subprocess.run(
        command, env=children.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        what = "the process failed that is started to see how much memory a party takes"
        raise JobError(what, done.stderr[-200:] or None)
    return int(done.stdout)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, eq=False)
class Model:
    """What the simulation of a job starts from.

    Attributes:
        job: the job.
        works: for each party the moves of each program.
        rings: for each party the bytes of the rings by peer.
        costs: of a message.
        orders_s: for each party the seconds for an epoch's order of rows. Only the first one is
            waited for, but on one machine the others take a core from who trains.
        handshake_s: seconds for one connection's handshake.
        writing_s: seconds until a checkpoint is on the disk.
    """

    job: Job
    works: list[dict[str, list[Timed]]]
    rings: list[dict[int, int]]
    costs: Costs
    orders_s: list[float]
    handshake_s: float
    writing_s: float = 0.0

    @classmethod
    def measured(cls, job: Job, schedules: Sequence[Schedule], writing_s: float) -> Model:
        """Measures on this machine, for some moments, what is not in the schedules."""
        with linked() as (links, handshake_s):
            costs = message_costs(links)
            measured = paces(links, schedules, job.training_rows)
        made = cls(
            job,
            [works(one, job.training_rows) for one in schedules],
            [rings(one) for one in schedules],
            costs,
            [_order_s(job, one) for one in schedules],
            handshake_s,
            writing_s,
        )
        return replace(made, costs=made.fitted(measured))

    def fitted(self, measured: dict[str, float]) -> Costs:
        """The costs with the time to wake up that explains the pace of the program that runs most:
        all the waiting, of a party for its core above all, that cannot be measured by itself."""
        if self.job.kept is not None:  # an opening runs once, and has no pace
            return self.costs
        name = self._main

        def pace_s(wake_s: float) -> float:
            costs = replace(self.costs, wake_s=wake_s)
            alone = replace(self, costs=costs, orders_s=[0.0] * len(PARTIES))
            return _pace_s(alone._ends([(name, _MOST_RUNS)], Network(cores=_cores())))

        asleep_s, awake_s = pace_s(measured[name]), pace_s(0.0)
        if awake_s >= min(measured[name], asleep_s):
            return self.costs
        wake_s = measured[name] * (measured[name] - awake_s) / (asleep_s - awake_s)
        return replace(self.costs, wake_s=wake_s)

    def time(self, apart: Apart, network: Network) -> TimeEstimate:
        """How long connecting and training take on a network."""
        round_trip_s = 2 * network.latency_s
        train_s = max(self.orders_s) + self._programs_s(network)
        train_s += self._meetings * _MEETING_ROUND_TRIPS * round_trip_s
        train_s += self._writings * self.writing_s
        train_s += _CLOSING_ROUND_TRIPS * round_trip_s
        return TimeEstimate(
            rtt_ms=apart.rtt_ms,
            bandwidth_mbit=apart.bandwidth_mbit,
            connect_s=2 * self.handshake_s + _CONNECT_ROUND_TRIPS * round_trip_s,
            train_s=train_s,
            step_s=train_s / self.job.steps,
        )

    @cached_property
    def _openings(self) -> int:
        """How often the parties open something that is a part of the result."""
        parameters = PlanParameters.of(self.job)
        course = parameters.trained.course(self.job, parameters.layout)
        told = sum(stretch.told is not None for stretch in course)
        return told + bool(self.job.receivers)

    @property
    def _meetings(self) -> int:
        """At the begin; before each opening, and once it is on all disks; for its copies; and when
        all have all."""
        return 1 + 2 * self._openings + 2

    @property
    def _writings(self) -> int:
        """Durable, and waited for: that the run begins, a point before each opening, the ledger's
        line before the first one, and the last point."""
        return 1 + self._openings + bool(self._openings) + 1

    def _programs_s(self, network: Network) -> float:
        """All programs: some turns, and some runs of each, are simulated; the others go at their
        pace."""
        kept, left = _first_of_each(runs(self.job))
        turns = [(name, min(times, _MOST_RUNS)) for name, times in kept]
        ends = self._ends(turns, network)
        after, first, more_s = [], 0, 0.0
        for (name, times), (_, simulated) in zip(kept, turns, strict=True):
            own, first = ends[first : first + simulated], first + simulated
            if times > simulated:
                line_s = self._received(name) / network.bytes_per_s
                more_s += (times - simulated) * max(_pace_s(own), line_s)
            after.append(own[-1] + more_s)
        took: dict[Turn, list[float]] = {}
        for turn, begin, end in zip(kept, [0.0, *after], after, strict=False):
            took.setdefault(turn, []).append(end - begin)
        return after[-1] + sum(count * _settled_s(took[turn]) for turn, count in left.items())

    def _ends(self, turns: Sequence[tuple[str, int]], network: Network) -> list[float]:
        """When each run of the programs is over at all parties."""
        parties = [
            [move for name, times in turns for move in self._moves(party, name, network) * times]
            for party in range(len(self.works))
        ]
        ends = simulate(parties, self.rings, self.costs, network)
        return [max(own) for own in zip(*ends, strict=True)]

    def _moves(self, party: int, name: str, network: Network) -> list[Timed]:
        """A party's moves in a run of a program, with a step's part of the order of rows."""
        first, *others = self.works[party][name]
        if name != self._main or network.cores is None:
            return [first, *others]
        order_s = self.orders_s[party] / self.job.steps_per_epoch
        return [replace(first, work_s=first.work_s + order_s), *others]

    @property
    def _main(self) -> str:
        """The program that runs most."""
        return _counted(self.job).most_common(1)[0][0]

    def _received(self, name: str) -> int:
        """The most bytes that a party receives in a run of a program."""
        sizes = [0] * len(self.works)
        for own in self.works:
            for move in own[name]:
                if move.op is Op.FLUSH:
                    sizes[move.peer] += move.bytes
        return max(sizes)


def _first_of_each(every: Sequence[Turn]) -> tuple[list[Turn], Counter[Turn]]:
    """The turns that are simulated, and how many of each kind are not."""
    kept: list[Turn] = []
    left = Counter[Turn]()
    seen = set[Turn]()
    for turn in every:
        if len(kept) < _MOST_TURNS or turn not in seen:
            kept.append(turn)
        else:
            left[turn] += 1
        seen.add(turn)
    return kept, left


def _settled_s(took: Sequence[float]) -> float:
    """What a turn takes once the run has found its pace."""
    later = took[len(took) // 2 :]
    return sum(later) / len(later)


def _pace_s(ends: Sequence[float]) -> float:
    """Seconds a run, once it is steady."""
    middle = len(ends) // 2 - 1
    return (ends[-1] - ends[middle]) / (len(ends) - 1 - middle)


def _order_s(job: Job, schedule: Schedule) -> float:
    codes = [code.instructions["op"] for code in schedule.programs]
    if job.batches_of is None or not np.isin(np.concatenate(codes), list(ROW_INSTRUCTIONS)).any():
        return 0.0
    began = time.perf_counter()
    job.batches(0)
    return time.perf_counter() - began
