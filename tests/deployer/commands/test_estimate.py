"""``deployer estimate JOB``: its bytes are those that a run reports; and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.estimate import Apart
from deployer.estimate.estimate import Model
from deployer.estimate.moves import moves
from deployer.estimate.simulation import Costs, Timed
from deployer.local.run import run_local
from party.agreement.job import PARTIES, Job, load_job
from party.compiler import prepared
from party.reporting.documents import EstimateDocument
from party.schedule.memory import rings
from tests.deployer.conftest import Deployer
from tests.harness.alignments import write_table
from tests.harness.processes import JOB, Processes

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


def estimated(deployer: Deployer, processes: Processes, *words: object) -> EstimateDocument:
    job = processes.directory / "job.yaml"
    ran = deployer("estimate", job, "--cache", processes.cache, "--json", *words)
    assert ran.code == 0, ran.err
    return EstimateDocument.parse(ran.out)


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "pond"},
        {"protocol": "aby3"},
        {"result": "nobody"},
        {"training": {"passes": 8}, "evaluation": {"minimum": 2}},
    ],
    ids=["pond", "aby3", "nobody", "evaluated"],
)
def test_its_traffic_is_what_the_parties_report_to_the_byte(
    processes: Processes, deployer: Deployer, change: dict[str, Any]
) -> None:
    path = processes.write_job("job.yaml", **change)
    found = estimated(deployer, processes)
    tables = {party: processes.directory / f"{party}.csv" for party in ("alice", "bob")}
    run = run_local(
        load_job(path), tables, processes.directory / "out", cache=processes.cache
    ).report
    for party in PARTIES:
        said, report = found.parties[party], run.parties[party]
        assert report.traffic is not None
        for name in ("bytes_sent", "bytes_received", "messages_sent", "messages_received"):
            assert getattr(said, name) == getattr(report.traffic, name), (party, name)
        assert said.memory.arena_bytes == report.arena_bytes
        assert said.memory.table_bytes == report.table_bytes
        assert 0.7 < said.memory.bytes / report.peak_bytes < 1.3
        if party != "alice":  # who has her own table in clear and no share of it
            assert 0 < said.memory.file_bytes < report.arena_bytes
    assert (found.bytes, found.messages) == (run.bytes, run.messages)
    assert sum(flow.bytes for flow in found.traffic) == found.bytes
    assert (found.job, found.plan, found.steps) == (run.job, run.plan, run.steps)


def test_of_matched_rows_it_is_the_traffic_from_their_alignment_on(
    processes: Processes, deployer: Deployer
) -> None:
    rows = 120
    names = [f"a{i}" for i in range(rows)]
    files = {
        party: write_table(
            processes.directory / f"matched-{party}.csv",
            ["who", column],
            [[name, (i * step) % 7 % 2 if column == "y" else i % 11] for i, name in some],
        )
        for party, column, step, some in (
            ("alice", "x", 1, enumerate(names)),
            ("bob", "y", 3, enumerate(reversed(names))),
        )
    }
    agreed = {"name": "tiny", "align": {"key": "who"}, "features": ["x"], "label": "y"}
    agreed |= {"training": {"passes": 8, "tolerance": 0}}
    path = processes.directory / "job.yaml"
    path.write_text(json.dumps(agreed))
    refused = deployer("estimate", path, "--cache", processes.cache)
    assert refused.code == 2 and "--rows-in-common" in refused.err
    assert deployer("estimate", path, "--rows-in-common", 99).code == 2
    found = estimated(deployer, processes, "--rows-in-common", rows)
    run = run_local(load_job(path), files, processes.directory / "out", cache=processes.cache)
    for party in PARTIES:
        said, report = found.parties[party], run.report.parties[party]
        assert report.traffic is not None
        assert said.bytes_sent == report.traffic.bytes_sent
        assert said.messages_received == report.traffic.messages_received
    assert found.plan == run.report.plan


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


@pytest.fixture(scope="module", params=["pond", "aby3"])
def model(request: pytest.FixtureRequest, cache: Path) -> Model:
    """The usual job, with so few steps that each is simulated, on a machine of known costs."""
    training = JOB["training"] | {"epochs": 3}
    words = JOB | {"protocol": request.param, "training": training}
    job = Job.model_validate_json(json.dumps(words))
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


def test_a_longer_way_costs_at_most_its_rounds_and_the_end(model: Model) -> None:
    rounds = 5 * model.job.steps  # of which the server deals one ahead
    longer_s = trained_s(model, 100, None) - trained_s(model, 0, None)
    assert 0.5 * rounds < longer_s / 0.05 < rounds + 5


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
