"""What ``deployer estimate`` says of a job is what a run of it takes: each byte, and all memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployer.local.run import run_local
from party.agreement.job import PARTIES, AlignedJob, Sizes, load_job
from tests.deployer.commands.test_estimate import estimated
from tests.deployer.conftest import Deployer
from tests.harness.alignments import write_table
from tests.harness.plans import cached
from tests.harness.processes import Processes

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


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
    cached(load_job(path), processes.cache)
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
    sizes = Sizes(alice=rows, bob=rows, common=rows)
    cached(AlignedJob.of(load_job(path), sizes), processes.cache)
    found = estimated(deployer, processes, "--rows-in-common", rows)
    run = run_local(load_job(path), files, processes.directory / "out", cache=processes.cache)
    for party in PARTIES:
        said, report = found.parties[party], run.report.parties[party]
        assert report.traffic is not None
        assert said.bytes_sent == report.traffic.bytes_sent
        assert said.messages_received == report.traffic.messages_received
    assert found.plan == run.report.plan
