"""Several jobs in one release: each is told of, and each has its own log and result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deployer.cluster.client import Execution
from party.agreement.job import PARTIES
from tests.chart.rendering import scoring_queue
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import MODEL, Release, moment

JOBS: dict[str, Any] = {"jobs": [{"name": "first"}, {"name": "second", "result": "bob"}]}


@pytest.fixture
def queue(memory: MemoryCluster) -> Release:
    """A release of two jobs, at the second one."""
    release = Release(memory, JOBS, name="fraud")
    first, second = release.values.queue
    for party in PARTIES:
        done = {"name": "first", "job": first.digest, "state": "done", "since": moment(300)}
        now = {"name": "second", "job": second.digest, "state": "running", "since": moment(240)}
        release.says(party, "running", job=second.digest, queue=(done, now), step=27)
    return release


def test_each_job_is_told_with_its_age(queue: Release, deployer: Deployer) -> None:
    ran = deployer("status", "--name", "fraud", "--party", "bob")
    assert ran.code == 0
    first, second = ran.out.splitlines()
    assert first.startswith("bob     running    step 27 of 540")
    assert second.strip() == "jobs: first done 5 min ago, second running for 4 min"
    (found,) = deployer("status", "--name", "fraud", "--party", "bob", "--json").document["parties"]
    assert [one["state"] for one in found["own"]["queue"]] == ["done", "running"]


def test_another_queue_than_the_installed_one_is_told(queue: Release, deployer: Deployer) -> None:
    queue.says("alice", "running")
    assert "has not begun with the job that is installed" in deployer("status").out


def test_a_result_is_that_of_the_job_that_is_named(queue: Release, deployer: Deployer) -> None:
    asked = {party: queue.results(party, MODEL) for party in PARTIES}
    ran = deployer("result")
    assert ran.code == 2 and "--job" in ran.err and "first, second" in ran.err
    assert deployer("result", "--job", "first", "--json").document == MODEL
    assert deployer("result", "--job", "second", "--json").document == MODEL
    assert [command[-1] for command in asked["alice"]] == ["/state/output/first"]
    assert [command[-1] for command in asked["bob"]] == ["/state/output/second"]
    ran = deployer("result", "--job", "third")
    assert ran.code == 2 and "there is no job 'third'" in ran.err


def test_a_longer_list_does_not_end_the_job_at_work(
    memory: MemoryCluster, deployer: Deployer, tmp_path: Path
) -> None:
    document = {"demo": {"enabled": False}, "namespace": "work"}
    release = Release(memory, document | JOBS, managed_by="deployer")
    _, second = release.values.queue
    queue = tuple({"name": job.name, "job": job.digest} for job in release.values.queue)
    for party in PARTIES:
        release.says(party, "running", job=second.digest, queue=queue, checkpoint=moment(20))
    values = tmp_path / "values.yaml"
    jobs = [*JOBS["jobs"], {"name": "third"}]
    values.write_text(json.dumps(document | {"jobs": jobs}))
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0 and "the run at work ends" not in ran.err
    assert ran.err.count("its run goes on from a checkpoint of 20 s ago") == len(PARTIES)

    values.write_text(json.dumps(document | {"jobs": [{"name": "other"}]}))
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and "the run at work ends at alice" in ran.err


def test_a_log_can_be_that_of_one_job(queue: Release, deployer: Deployer) -> None:
    place = queue.place("bob")
    lines = [json.dumps({"event": f"of {job}", "job": job}) for job in ("first", "second")]
    queue.cluster.logs_of[place.namespace, place.pod] = "\n".join(lines)
    assert deployer("logs", "--party", "bob", "--job", "second").out.splitlines() == lines[1:]
    assert deployer("logs", "--party", "bob").out.splitlines() == lines


def test_a_receipt_is_that_of_the_job_that_is_named(
    queue: Release, deployer: Deployer, tmp_path: Path
) -> None:
    place, asked = queue.place("bob"), list[Sequence[str]]()

    def lacks(command: Sequence[str]) -> Execution:
        asked.append(command)
        return Execution(1, "", "")

    queue.cluster.programs[place.namespace, place.pod, "cat"] = lacks
    words = ("receipt", "fetch", "--party", "bob", "--output", tmp_path / "bob")
    assert deployer(*words).code == 2 and not asked
    assert deployer(*words, "--job", "second").code == 1
    assert asked[0][-1] == "/state/output/second/receipt.json"


def test_a_queue_of_one_has_its_receipt_where_its_job_is(
    memory: MemoryCluster, deployer: Deployer, tmp_path: Path
) -> None:
    release, asked = Release(memory, {"jobs": [{"name": "only"}]}, name="fraud"), []
    release.says("bob", "done")
    place = release.place("bob")

    def lacks(command: Sequence[str]) -> Execution:
        asked.append(command[-1])
        return Execution(1, "", "")

    memory.programs[place.namespace, place.pod, "cat"] = lacks
    deployer("receipt", "fetch", "--party", "bob", "--output", tmp_path / "bob")
    assert asked == ["/state/output/only/receipt.json"]


def test_a_pod_runs_the_jobs_in_their_order(queue: Release, memory: MemoryCluster) -> None:
    owner = memory.objects["StatefulSet", "default", "fraud-alice"]
    (container,) = owner["spec"]["template"]["spec"]["containers"]
    given = [word for word in container["command"] if word.startswith("--job=")]
    assert given == ["--job=/job/job-1.yaml", "--job=/job/job-2.yaml"]
    files = memory.objects["ConfigMap", "default", "fraud-alice"]["data"]
    jobs = [json.loads(files[word.rpartition("/")[2]]) for word in given]
    assert [job["name"] for job in jobs] == ["first", "second"]
    assert {job["trust_domain"] for job in jobs} == {"fraud"}


@pytest.mark.usefixtures("tables_read_here")
def test_a_table_that_a_job_of_the_list_could_not_score_is_not_put(
    memory: MemoryCluster, deployer: Deployer, tmp_path: Path
) -> None:
    """A training takes it without names."""
    values, table = tmp_path / "values.yaml", tmp_path / "bob.csv"
    values.write_text(json.dumps(scoring_queue(matched=False)))
    rows = "".join(f"{i % 2},{i * 7 % 13}\n" for i in range(900))
    table.write_text(rows)
    ran = deployer("data", "put", "bob", table, "-f", values)
    assert ran.code == 2 and "for 'all', a job of the list: the first row is not one" in ran.err
    assert not memory.objects
    table.write_text(f"d,b\n{rows}")
    ran = deployer("data", "put", "bob", table, "-f", values)
    assert ran.code == 0, ran.err
