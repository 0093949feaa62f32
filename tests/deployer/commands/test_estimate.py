"""``deployer estimate JOB``: what it says, of which network, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.estimate import Apart
from deployer.estimate.estimate import Model
from deployer.estimate.moves import moves
from deployer.estimate.simulation import Costs, Timed
from party.agreement.job import PARTIES, Job
from party.compiler import prepared
from party.reporting.documents import EstimateDocument
from party.schedule.memory import rings
from tests.deployer.conftest import Deployer
from tests.harness.plans import cached
from tests.harness.processes import JOB, Processes

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


def estimated(deployer: Deployer, processes: Processes, *words: object) -> EstimateDocument:
    job = processes.directory / "job.yaml"
    ran = deployer("estimate", job, "--cache", processes.cache, "--json", *words)
    assert ran.code == 0, ran.err
    return EstimateDocument.parse(ran.out)


def test_a_network_changes_nothing_but_the_time(processes: Processes, deployer: Deployer) -> None:
    here = estimated(deployer, processes)
    near = estimated(deployer, processes, "--rtt", 1)
    far = estimated(deployer, processes, "--rtt", 200, "--bandwidth", 10)
    assert here.apart is None and near.apart is not None and far.apart is not None
    assert (far.apart.rtt_ms, far.apart.bandwidth_mbit) == (200, 10)
    for one in (near, far):
        assert one.traffic == here.traffic
        assert (one.rounds, one.messages, one.bytes) == (here.rounds, here.messages, here.bytes)
    assert here.rounds == sum(program.runs * program.rounds for program in here.programs)


def test_people_see_tables(processes: Processes, deployer: Deployer) -> None:
    job = processes.directory / "job.yaml"
    ran = deployer("estimate", job, "--cache", processes.cache, "--rtt", 40, "--bandwidth", 100)
    assert ran.code == 0
    assert "'tiny' (pond, 80 steps" in ran.out
    for words in (
        "server -> bob",
        "rounds each",
        "on this machine",
        "40 ms round trip, 100 Mbit/s",
    ):
        assert words in ran.out


def modelled(words: dict[str, Any], cache: Path) -> Model:
    """A job on a machine of known costs; each of its runs is simulated."""
    job = Job.model_validate_json(json.dumps(words))
    cached(job, cache)
    schedules = [prepared(job, party, cache).schedule for party in range(len(PARTIES))]
    works = [
        {
            code.name: [Timed(2e-6, one.op, one.peer, one.bytes) for one in moves(code)]
            for code in schedule.programs
        }
        for schedule in schedules
    ]
    costs = Costs(7e-6, 5e-10, 7e-6, 3e-10, 4e-5)
    return Model(job, works, [rings(one) for one in schedules], costs, [1e-3] * 3, 2e-3)


@pytest.fixture(scope="module", params=["pond", "aby3"])
def model(request: pytest.FixtureRequest, cache: Path) -> Model:
    """The usual job, with few steps."""
    training = JOB["training"] | {"epochs": 3}
    return modelled(JOB | {"protocol": request.param, "training": training}, cache)


def trained_s(model: Model, rtt_ms: float, bandwidth_mbit: float | None) -> float:
    apart = Apart(rtt_ms, bandwidth_mbit)
    return model.time(apart, apart.network).train_s


@settings(max_examples=30)
@given(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), st.floats(0.1, 1e5))
def test_a_longer_way_is_never_faster(
    model: Model, ways: tuple[float, float], bandwidth: float
) -> None:
    near, far = sorted(ways)
    assert trained_s(model, near, bandwidth) <= trained_s(model, far, bandwidth) + 1e-6
    assert trained_s(model, near, None) <= trained_s(model, near, bandwidth) + 1e-6


def test_who_writes_before_an_opening_waits_for_the_disk(model: Model) -> None:
    """For the status, a point, the ledger's line of the only opening, and the last point."""
    slow = replace(model, writing_s=1.0)
    assert trained_s(slow, 0, None) == pytest.approx(trained_s(model, 0, None) + 4)


FEW_STEPS, PASSES = JOB["training"] | {"epochs": 3}, {"passes": 60, "tolerance": 0.0}
AT_BOTH = {"features": {"alice": JOB["features"], "bob": ["b0", "b1"]}}


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ({"protocol": "pond", "training": FEW_STEPS}, 4),
        ({"protocol": "aby3", "training": FEW_STEPS}, 4),
        ({"protocol": "pond", "training": FEW_STEPS} | AT_BOTH, 4),
        ({"protocol": "aby3", "training": FEW_STEPS} | AT_BOTH, 4),
        ({"protocol": "aby3", "training": PASSES}, 4),
        ({"protocol": "pond", "training": PASSES}, 4),
        ({"protocol": "aby3", "training": PASSES} | AT_BOTH, 4),
        ({"protocol": "pond", "training": PASSES} | AT_BOTH, 4),
    ],
    ids=lambda given: None if isinstance(given, int) else "-".join(map(str, given.values()))[:40],
)
def test_a_step_or_pass_waits_for_so_many_messages_one_after_the_other(
    cache: Path, words: dict[str, Any], messages: int
) -> None:
    model = modelled(JOB | words, cache)
    turns = PASSES["passes"] if model.job.descent else model.job.steps
    waited = (trained_s(model, 100, None) - trained_s(model, 0, None)) / 0.05
    assert (messages - 0.5) * turns < waited < messages * turns + 21  # sharing, meeting and opening


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--rtt", "-1"], "-1 is no such number\n  where: --rtt\n  do: give a number, 0 or more"),
        (["--rtt", "nan"], "nan is no such number\n  where: --rtt"),
        (["--bandwidth", "0"], "0 is no such number\n  where: --bandwidth\n  do: give a number"),
        (["--bandwidth", "inf"], "inf is no such number\n  where: --bandwidth"),
        (["--rtt", "far"], "Invalid value for '--rtt'"),
    ],
)
def test_a_number_that_no_network_has_is_refused(
    processes: Processes, deployer: Deployer, words: list[str], what: str
) -> None:
    job = processes.directory / "job.yaml"
    ran = deployer("estimate", job, "--cache", processes.cache, *words)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.err


def test_a_wrong_job_is_refused(tmp_path: Path, deployer: Deployer) -> None:
    assert deployer("estimate", tmp_path / "job.yaml").code == 2
    (tmp_path / "job.yaml").write_text(json.dumps({"name": "tiny"}))
    ran = deployer("estimate", tmp_path / "job.yaml")
    assert ran.code == 2 and "the job is wrong" in ran.err
