"""TensorFlow for tests, in a process of its own, as in the product.

In one process TensorFlow's BoringSSL and OpenSSL get in each other's way; and a party never has
TensorFlow beside it while it runs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from party.agreement.job import PARTIES, Job
from party.compiler import is_cached
from party.plan import Plan
from party.plan.parameters import PlanParameters
from party.process import children, files
from party.schedule import cache as store
from party.schedule.schedule import schedule

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _process() -> ProcessPoolExecutor:
    """It ends with this one, whatever ends it."""
    pool = ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=children.end_with_parent,
        initargs=(signal.SIGKILL,),
    )
    with patch.dict(os.environ, children.environment()):
        pool.submit(os.getpid).result()
    return pool


def compiled(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What a module's function returns when it is called where TensorFlow is."""
    result: R = _process().submit(_called, function, args, kwargs).result()
    return result


def _called(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    from party.compiler import compat

    compat.load()
    return function(*args, **kwargs)


MADE = Path(__file__).resolve().parents[2] / "build" / "test-plans"
"""Plans and schedules that tests made, for the next process of tests: to make one takes longer than
most of what is tried on it. Their names follow from the sources that made them."""

_KEPT_S = 24 * 3600.0


def _kept(kind: str, parameters: PlanParameters, build: Callable[[PlanParameters], Plan]) -> Plan:
    """A plan from the disk; built and put there where it is new."""
    of = store.path(MADE, parameters, 0).stem + Path(__file__).read_text(encoding="utf-8")
    file = MADE / f"{kind}-{sha256(of.encode()).hexdigest()[:40]}.plan"
    if file.exists():
        found: Plan = pickle.loads(file.read_bytes())
        return found
    made = compiled(build, parameters)
    MADE.mkdir(parents=True, exist_ok=True)
    files.replace(file, pickle.dumps(made))
    for old in MADE.iterdir():  # of sources that have changed since
        with suppress(FileNotFoundError):
            if old.stat().st_mtime < time.time() - _KEPT_S:
                old.unlink()
    return made


@cache
def plan(parameters: PlanParameters) -> Plan:
    """The plan for the parameters, built once."""
    return _kept("whole", parameters, _build)


def _build(parameters: PlanParameters) -> Plan:
    from party.compiler.build import build

    return build(parameters)


@cache
def short_plan(parameters: PlanParameters) -> Plan:
    """The plan of a job whose sum of sines has two terms, and, of a descent, whose answer is looked
    up in few and small windows, as held-out rows are: the same programs, with less of what repeats
    in them."""
    return _kept("short", parameters, _build_short)


def _build_short(parameters: PlanParameters) -> Plan:
    with shortened():
        return _build(parameters)


@contextmanager
def shortened() -> Iterator[None]:
    """Meanwhile plans are built short. Whoever computes with what their model makes of them, and
    not with the plan alone, needs this too."""
    from party.models import descent, reach
    from party.protocols import sines

    with (
        patch.object(sines, "WIDE", replace(sines.WIDE, terms=2)),
        patch.object(sines, "NARROW", replace(sines.NARROW, terms=2)),
        patch.object(sines, "STEADY", replace(sines.STEADY, terms=2)),
        small_grid(),
        patch.object(descent, "_WINDOW_BITS", 5),
        patch.object(descent, "_SQUARE_BITS", 30),
        patch.object(reach, "_RING_BITS", 48),
        patch.object(reach, "_COUNT_WINDOWS", ((32, 4), (35, 5))),
    ):
        yield


@contextmanager
def small_grid() -> Iterator[None]:
    """Meanwhile held-out rows are counted in six bins, and two small windows say what lies outside.
    Whoever makes something of the evaluation in a ``short_plan`` needs this too."""
    from party.models.evaluation import bins, program

    with (
        patch.object(bins, "GRID", bins.Grid(2, 1, ((0, 0), (1, 1)))),
        patch.object(program, "WINDOWS", ((0, 3, -2, 4), (1, 3, -2, 3))),
    ):
        yield


def small_job(protocol: str, columns: int = 2, batch: int = 4, **change: Any) -> Job:
    """A job of a few rows and columns: features at Alice, the label at Bob."""
    agreed: dict[str, Any] = {
        "name": "small",
        "protocol": protocol,
        "rows": 3 * batch,
        "features": [f"x{i}" for i in range(columns)],
        "label": "y",
        "training": {"epochs": 1, "batch_size": batch, "learning_rate": batch * 5 / 512},
    }
    return Job.model_validate_json(json.dumps(agreed | change))


def scoring_job(protocol: str, rows: int, holder: str = "alice", result: str = "alice") -> Job:
    """A job that scores rows of two columns at each holder."""
    agreed = {
        "name": "scores",
        "protocol": protocol,
        "rows": rows,
        "features": {"alice": ["x0", "x1"], "bob": ["z0", "z1"]},
        "model": {"kind": "joint-scores", "holder": holder, "trained_by": "0" * 64},
        "result": result,
    }
    return Job.model_validate_json(json.dumps(agreed))


def shapes_of_tables(job: Job) -> dict[int, tuple[int, int]]:
    """What the programs of a job that scores read at each holder: the sums of its own columns and
    the weights of the other's, or its rows."""
    layout = PlanParameters.of(job).layout
    assert job.scores is not None
    holder = PARTIES.index(job.scores.holder)
    (columns,) = (block.features for block in layout.blocks if block.party != holder)
    return {holder: (layout.rows + columns, 1), 1 - holder: (layout.rows, columns)}


def small_plan(protocol: str, columns: int = 2, batch: int = 4, **change: Any) -> Plan:
    """The plan of a job of a few rows and columns."""
    return plan(PlanParameters.of(small_job(protocol, columns, batch, **change)))


def cached(job: Job, cache: Path) -> None:
    """Puts the job's schedules into a cache, by the one process that has TensorFlow already."""
    parameters = PlanParameters.of(job)
    if not is_cached(job, MADE):
        made = plan(parameters)
        MADE.mkdir(parents=True, exist_ok=True)
        for party in range(len(PARTIES)):
            store.save(store.path(MADE, parameters, party), schedule(made, party))
    if cache != MADE:
        cache.mkdir(parents=True, exist_ok=True)
        for party in range(len(PARTIES)):
            shutil.copy(store.path(MADE, parameters, party), cache)
