"""The three schedules compute what TensorFlow computes on the uncut graphs, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.job import PARTIES, AlignedJob, Job, Sizes
from party.models.interface import Layout
from party.models.registry import model_of
from party.plan import Plan, PlanParameters, Share, Shared
from party.schedule import schedule, verify
from tests.harness import plans
from tests.harness.alignments import aligned_tables
from tests.harness.executors import ScheduledParties
from tests.harness.plans import scoring_job, shapes_of_tables, small_job
from tests.schedule.oracle import State, Uncut, with_injected_seeds

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

PROTOCOLS = ("pond", "aby3", "securenn")
SHAPES = ((1, 1, 1, 9), (3, 5, 1, 7), (16, 128, 1, 10), (7, 33, 819, 20))
"""Features, batch size, and the step width's factor and shift."""

SPLIT = {"features": {"alice": ["a0", "a1"], "bob": ["b0", "b1", "b2"]}, "result": "both"}
OTHERS: tuple[dict[str, Any], ...] = (
    SPLIT,
    SPLIT | {"model": "linear-regression", "result": "own"},
    {"features": {"bob": ["b0", "b1"]}, "label": {"alice": "y"}, "result": "bob"},
    SPLIT | {"label": {"alice": "y"}, "result": "nobody"},
)
"""Other models, holders and receivers."""


def parameters_of(protocol: str, shape: tuple[int, int, int, int]) -> PlanParameters:
    features, batch, factor, shift = shape
    found = PlanParameters.of(small_job(protocol, features, batch))
    return replace(found, layout=replace(found.layout, step_factor=factor, step_shift=shift))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=3)
@given(random=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 1.0, 4.0]))
def test_three_schedules_and_the_uncut_graphs_agree_bit_for_bit(
    protocol: str,
    shape: tuple[int, int, int, int],
    random: int,
    size: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    agree(parameters_of(protocol, shape), random, size, tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("change", OTHERS, ids=["split", "linear", "swapped", "kept"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_so_they_do_for_other_models_holders_and_receivers(
    protocol: str, change: dict[str, Any], tmp_path: Path
) -> None:
    agree(PlanParameters.of(small_job(protocol, 3, 5, **change)), 1, 1.0, tmp_path)


DESCENTS: dict[str, dict[str, Any]] = {
    "alice": {},
    "blocks": {"rows": 11},
    "weighted": SPLIT | {"training": {"passes": 3, "class_weight": {"0": 0.3, "1": 7.5}}},
    "sample": {"rows": 25},
    "split": SPLIT,
    "linear": SPLIT | {"model": "linear-regression", "result": "own"},
    "swapped": {"features": {"bob": ["b0", "b1"]}, "label": {"alice": "y"}, "result": "bob"},
    "kept": SPLIT | {"label": {"alice": "y"}, "result": "nobody"},
    "evaluated": SPLIT | {"evaluation": {"held_out": 0.4, "minimum": 2}},
    "folds": SPLIT | {"evaluation": {"folds": 2, "minimum": 2}, "training": {"passes": 2}},
    "informed": SPLIT | {"result": "both", "statistics": True, "rows": 11},
    "from a kept model": SPLIT | {"training": {"passes": 2, "start": "0" * 64}},
    "private": {
        "columns": {f"x{i}": {"scale": {"mean": 0, "deviation": 1}} for i in range(3)},
        "privacy": {"weights": {"epsilon": 10, "delta": 1e-3, "norm": 1}},
        "training": {"passes": 10, "tolerance": 0, "C": 0.01},
    },
    "residuals": SPLIT
    | {"model": "linear-regression", "result": "both", "statistics": True, "rows": 17},
}


DESCENDED = [
    *(("pond", name) for name in DESCENTS),
    *(("aby3", name) for name in ("alice", "split", "sample", "weighted", "evaluated", "informed")),
    ("aby3", "private"),
    ("aby3", "folds"),
    ("aby3", "from a kept model"),
    ("aby3", "residuals"),
    ("securenn", "alice"),
]


@pytest.mark.parametrize("protocol, name", DESCENDED)
def test_so_they_do_in_a_descent_over_all_rows(
    protocol: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("party.agreement.job.BLOCK_ROWS", 4)
    if name == "sample":
        for rule, number in (("WARM_PART", 3), ("SMALL_PART", 3), ("SAMPLED_ROWS", 1)):
            monkeypatch.setattr(f"party.agreement.job.{rule}", number)
    monkeypatch.setattr("party.agreement.job.EVALUATED_ROWS", 3)
    agreed = small_job(protocol, 3, 5).model_dump(mode="json", exclude_none=True)
    agreed |= {"training": {"passes": 10}} | DESCENTS[name]
    job = Job.model_validate_json(json.dumps(agreed))
    layout, draw = PlanParameters.of(job).layout, np.random.default_rng(5)
    tables = {}
    for party in range(2):
        if columns := layout.columns_of(party):
            table = draw.normal(size=(layout.rows, columns)).astype(np.float32)
            if party == layout.label:
                table[:, -1] = draw.integers(0, 2, layout.rows)
            start = draw.normal(size=(own_columns(layout, party),) * 2) if job.starts_from else None
            noise = draw.integers(-9999, 9999, layout.all_columns) if name == "private" else None
            model = model_of(job.parameters)
            tables[party] = model.at_home(job, PARTIES[party], table, start=start, noise=noise)
    descend(job, tables, tmp_path, short=name != "alice")


def own_columns(layout: Layout, party: int) -> int:
    return sum(block.columns for block in layout.blocks if block.party == party)


@pytest.mark.parametrize("counted", [False, True], ids=["plain", "weighted and evaluated"])
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_so_they_do_on_tables_that_were_aligned(
    protocol: str, counted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align = {"key": "id", "minimum": 10}
    change: dict[str, Any] = SPLIT | {"align": align, "rows": 0, "training": {"passes": 10}}
    if counted:
        monkeypatch.setattr("party.agreement.job.EVALUATED_ROWS", 3)
        change |= {"evaluation": {"held_out": 0.4, "minimum": 2}}
        change["training"] |= {"class_weight": {"0": 0.3, "1": 7.5}}
    job = AlignedJob.of(small_job(protocol, **change), Sizes(alice=20, bob=90, common=11))
    descend(job, aligned_tables(job, np.random.default_rng(5)), tmp_path, short=True)


@pytest.mark.parametrize("holder", ["alice", "bob"])
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_so_they_do_where_rows_are_scored(
    protocol: str, holder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of which the last takes rows of the one before."""
    monkeypatch.setattr("party.plan.parameters.SHARE_ROWS", 4)
    job = scoring_job(protocol, rows=11, holder=holder, result="both")
    draw = np.random.default_rng(5)
    tables = {
        party: draw.integers(-(2**30), 2**30, shape)
        for party, shape in shapes_of_tables(job).items()
    }
    descend(job, tables, tmp_path, short=False)


def descend(job: Job, tables: dict[int, Any], tmp_path: Path, short: bool) -> None:
    """A whole descent, by the schedules and by the uncut graphs."""
    with plans.shortened() if short else nullcontext():
        _descend(job, tables, tmp_path, short)


def _descend(job: Job, tables: dict[int, Any], tmp_path: Path, short: bool) -> None:
    parameters = PlanParameters.of(job)
    whole, layout = Uncut(parameters, short), parameters.layout
    parties = scheduled(with_injected_seeds(whole.plan), tmp_path)
    state, number = whole.fresh_state(), 0
    for value in model_of(job.parameters).weights(layout) if job.starts_from else ():
        shares = shares_of_a_value(whole.plan.shared(value))
        state |= shares
        for party, part in enumerate(parties.schedules):
            for held in part.state:
                if held.share in shares:
                    parties.write(party, held.place, shares[held.share])
    for stretch in model_of(job.parameters).course(job, layout):
        program = stretch.program
        if stretch.asks or stretch.told or stretch.vouches:
            _, opened = whole.run(program, state, tables, None, {})
            assert_equal(parties.opened(number, program), opened)
            assert len(opened) == (2 if stretch.told else 3), "all are told, or who is named"
            number += 1
            for (party, value), found in opened.items():
                if stretch.told:
                    stretch.told({value: found / whole.plan.scale}, tables[party])
            continue
        for rows in stretch.rows() if stretch.rows else [None] * stretch.runs:
            seeds = whole.fresh_seeds(program)
            inject(parties, program, seeds)
            state, _ = whole.run(program, state, tables, rows, seeds)
            parties.program(program, number, 1, tables, rows)
            assert_same_state(parties, state)
            number += 1
    all_rows = np.arange(layout.rows, dtype=np.int32) if job.scores is not None else None
    _, opened = whole.run("open", state, tables, all_rows, {})
    assert_equal(parties.opened(number, rows=all_rows), opened)


def shares_of_a_value(value: Shared) -> State:
    """Of random numbers; a part that two parties hold is the same at both."""
    draw = np.random.default_rng(7)
    parts = {part for held in value.parts for part in held}
    drawn = {part: draw.integers(-(2**63), 2**63 - 1, value.shape) for part in sorted(parts)}
    return {
        Share(value.name, party, position): drawn[part]
        for party, held in enumerate(value.parts)
        for position, part in enumerate(held)
    }


def assert_same_state(parties: ScheduledParties, state: State) -> None:
    for party, part in enumerate(parties.schedules):
        for held in part.state:
            found = parties.read(party, held.place).view(np.int64)
            np.testing.assert_array_equal(found, state[held.share].reshape(-1))


def assert_equal(given: dict[tuple[int, str], Any], opened: dict[tuple[int, str], Any]) -> None:
    assert given.keys() == opened.keys()
    for key, value in opened.items():
        np.testing.assert_array_equal(given[key], value.reshape(-1))


def agree(parameters: PlanParameters, random: int, size: float, directory: Path) -> None:
    whole, layout = Uncut(parameters), parameters.layout
    draw = np.random.default_rng(random)
    tables = {
        party: draw.normal(0, size, (layout.rows, layout.columns_of(party))).astype(np.float32)
        for party in range(2)
        if layout.columns_of(party)
    }
    for block in layout.blocks:
        if block.intercept:
            tables[block.party][:, block.features] = 1
    tables[layout.label][:, -1] = draw.integers(0, 2, layout.rows)
    parties = scheduled(with_injected_seeds(whole.plan), directory)
    state = whole.fresh_state()
    rows = draw.permutation(layout.rows).astype(np.int32)
    steps = rows.reshape(-1, layout.batch_size)
    blocks = [np.arange(layout.rows, dtype=np.int32)]
    for number, (name, batch) in enumerate(
        [("share", block) for block in blocks] + [("step", step) for step in steps]
    ):
        seeds = whole.fresh_seeds(name)
        inject(parties, name, seeds)
        state, _ = whole.run(name, state, tables, batch, seeds)
        parties.program(name, number, 1, tables, np.ascontiguousarray(batch))
        assert_same_state(parties, state)
    _, opened = whole.run("open", state, tables, rows, {})
    assert_equal(parties.opened(len(blocks) + len(steps)), opened)


def inject(parties: ScheduledParties, program: str, seeds: dict[str, Any]) -> None:
    """Feeds the seeds of a program to the parties that would draw them."""
    for party, part in enumerate(parties.schedules):
        for name, place in part.fed.items():
            if name.startswith(f"{program}/"):
                parties.write(party, place, seeds[name.removeprefix(f"{program}/")])


def scheduled(plan: Plan, directory: Path) -> ScheduledParties:
    schedules = [schedule(plan, party) for party in range(3)]
    for part in schedules:
        verify(part)
    return ScheduledParties(schedules, directory)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_plan_is_the_same_whoever_builds_it_and_when(protocol: str) -> None:
    agreed = small_job(protocol, 3, 5)
    here = plans.plan(PlanParameters.of(agreed))
    again = _built_in_a_fresh_process(agreed)
    assert again == here.digest


def _built_in_a_fresh_process(agreed: Job) -> str:
    plans.plan(PlanParameters.of(small_job(agreed.protocol, 4, 5)))  # other work in between
    code = (
        "import sys; from party.compiler.build import build;"
        "from party.agreement.job import Job;"
        "from party.plan.parameters import PlanParameters;"
        "print(build(PlanParameters.of(Job.model_validate_json(sys.argv[1]))).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(agreed.model_dump(mode="json"))],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
