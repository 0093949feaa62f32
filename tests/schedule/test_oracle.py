"""The three schedules compute what TensorFlow computes on the uncut graph, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from party.plan.parameters import PlanParameters
from party.schedule import schedule, verify
from tests.harness import plans
from tests.harness.executors import ScheduledParties
from tests.schedule.oracle import Uncut, with_injected_seeds

PROTOCOLS = ("pond", "aby3", "securenn")
SHAPES = ((1, 1, 1, 9), (3, 5, 1, 7), (16, 128, 1, 10), (7, 33, 819, 20))
"""Features, batch size, and the step width's factor and shift."""


def uncut(protocol: str, features: int, batch: int, factor: int, shift: int) -> Uncut:
    return Uncut(
        PlanParameters(protocol, "logistic-regression", features, batch, factor, shift, "alice")
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(random=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 1.0, 4.0]))
def test_three_schedules_and_the_uncut_graph_agree_bit_for_bit(
    protocol: str,
    shape: tuple[int, int, int, int],
    random: int,
    size: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole = uncut(protocol, *shape)
    features, batch = shape[:2]
    steps = 3
    draw = np.random.default_rng(random)
    x = np.hstack([draw.normal(0, size, (steps * batch, features)), np.ones((steps * batch, 1))])
    tables = {
        0: x.astype(np.float32),
        1: draw.integers(0, 2, (steps * batch, 1)).astype(np.float32),
    }
    rows = draw.permutation(steps * batch).astype(np.int32)

    fed_plan = with_injected_seeds(whole.plan)
    parties = _parties(fed_plan, tmp_path_factory.mktemp("keys"))
    expected = [
        [np.zeros(place.bytes // 8, np.int64).reshape(-1, 1) for place in s.state]
        for s in parties.schedules
    ]
    for step in range(steps):
        seeds = whole.fresh_seeds()
        for party, part in enumerate(parties.schedules):
            for name, place in part.fed.items():
                parties.write(party, place, seeds[name])
        picked = rows[step * batch : (step + 1) * batch]
        batches = {party: table[picked] for party, table in tables.items()}
        expected = whole.step(expected, batches, seeds)
        parties.steps(step, 1, tables, np.ascontiguousarray(picked))
        for party, part in enumerate(parties.schedules):
            found = [parties.read(party, place).view(np.int64) for place in part.state]
            for share, wanted in zip(found, expected[party], strict=True):
                np.testing.assert_array_equal(share, wanted.reshape(-1))
    np.testing.assert_array_equal(parties.reveal(steps), whole.reveal(expected).reshape(-1))


def _parties(plan: object, directory: Path) -> ScheduledParties:
    schedules = [schedule(plan, party) for party in range(3)]  # type: ignore[arg-type]
    for part in schedules:
        verify(part)
    return ScheduledParties(schedules, directory)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_plan_is_the_same_whoever_builds_it_and_when(protocol: str) -> None:
    parameters = uncut(protocol, *SHAPES[1]).parameters
    here = plans.plan(parameters)
    again = _built_in_a_fresh_process(parameters)
    assert again == here.digest


def _built_in_a_fresh_process(parameters: PlanParameters) -> str:
    plans.plan(replace(parameters, features=parameters.features + 1))  # other work in between
    code = (
        "import sys, json; from party.compiler.build import build;"
        "from party.plan.parameters import PlanParameters;"
        "print(build(PlanParameters(**json.loads(sys.argv[1]))).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(asdict(parameters))],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
