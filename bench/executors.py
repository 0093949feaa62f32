"""Three executors in one process, which run a job's programs and nothing else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from deployer.estimate.measuring import linked, table_columns, table_type
from party.agreement.job import PARTIES, Job
from party.compiler import build_schedules, is_cached, prepared
from party.native import Executor, Spill
from party.plan import PlanParameters, sharing
from party.schedule import Schedule, arena
from party.schedule.memory import tables

_LIMIT_S = 600.0

Took = tuple[float, float]
"""Seconds on the clock, and of the processor by all parties together."""


class Parties:
    """The executors, each with a table of ones."""

    def __init__(
        self,
        job: Job,
        schedules: list[Schedule],
        executors: list[Executor],
        threads: ThreadPoolExecutor,
    ) -> None:
        self.job = job
        self._schedules, self._executors, self._threads = schedules, executors, threads
        rows = PlanParameters.of(job).trained.rows_at_home(job)
        self._tables = [
            np.ones((rows, max(1, table_columns(one))), table_type(one)) for one in schedules
        ]
        self._first = 0

    def run(self, program: str, times: int, rows: npt.NDArray[np.int32] | None) -> Took:
        """Runs a program so many times, on these rows: [times, rows]."""

        def one(party: int) -> float:
            began = time.thread_time()
            self._executors[party].run(
                self._schedules[party].program(program).instructions,
                self._first,
                times,
                None if rows is None else rows.reshape(-1),
                self._tables[party],
                _LIMIT_S,
            )
            return time.thread_time() - began

        began = time.perf_counter()
        running = [self._threads.submit(one, party) for party in range(len(PARTIES))]
        cpu_s = sum(each.result() for each in running)
        self._first += times
        return time.perf_counter() - began, cpu_s


@contextmanager
def together(job: Job, cache: Path, spill: Path | None = None) -> Iterator[Parties]:
    """The parties of a job, whose plan is built if the cache lacks it; ``spill`` is a folder for
    all their shares of tables, which lie in memory without one."""
    if not is_cached(job, cache):
        build_schedules(job, cache, range(len(PARTIES)))
    schedules = [prepared(job, party, cache).schedule for party in range(len(PARTIES))]
    parameters = PlanParameters.of(job)
    counts: Counter[str] = Counter()
    for stretch in sharing(parameters.trained.course(job, parameters.layout)):
        counts[stretch.program] += stretch.runs
    with linked() as (links, _), ThreadPoolExecutor(len(schedules)) as threads:
        executors = []
        for one in schedules:
            shares = tables(one, counts)
            kept = Spill(spill, shares) if spill is not None and shares else None
            if kept is not None:
                kept.renew()
            peers = [links[one.party].get(peer) for peer in range(len(PARTIES))]
            room = arena(one, sparse=kept is not None)
            executors.append(Executor(room, one.index, peers, one.party, one.window, spill=kept))
        yield Parties(job, schedules, executors, threads)


def compare(
    protocol: str, ways: Mapping[str, Callable[[], list[Took]]], turns: int, ratio: str
) -> None:
    """Measure two ways turn by turn, and print a line for each and one for the second's medians by
    those of the first."""
    took: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            took[name].append([median(column) * 1e3 for column in zip(*way(), strict=True)])
    for name, found in took.items():
        wall_ms, cpu_ms = (median(column) for column in zip(*found, strict=True))
        print(f"| {protocol} | {name} | {cpu_ms:.3g} | {wall_ms:.3g} |")
    pairs = list(zip(*took.values(), strict=True))
    wall, cpu = (median(second[k] / first[k] for first, second in pairs) for k in range(2))
    print(f"|  | {ratio} | **{cpu:.3g}** | **{wall:.3g}** |", flush=True)
