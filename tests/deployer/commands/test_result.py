"""``deployer result``: the model, to whom may enter the pod of the party that has it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from party.process.errors import ErrorDocument, JobError
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import MODEL, Release


def test_the_weights_are_shown(release: Release, deployer: Deployer) -> None:
    release.says("alice", "done")
    release.results("alice", MODEL)
    ran = deployer("result")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["age", "sum", "intercept"]


HEALTH = {
    "rows": 100,
    "rows_never_used": 40,
    "steps": 1,
    "largest_weight": 1.25,
    "warnings": ["training: one step is the whole training"],
}


@pytest.mark.parametrize("to_file", [False, True])
def test_its_health_and_what_warns_are_shown_below(
    release: Release, deployer: Deployer, tmp_path: Path, to_file: bool
) -> None:
    release.says("alice", "done")
    release.results("alice", MODEL | {"health": HEALTH})
    ran = deployer("result", *(["--output", tmp_path / "model.json"] if to_file else []))
    *_, health, warning = ran.out.splitlines()
    assert ran.code == 0
    assert health.startswith("health: 40 of 100 rows were in no batch")
    assert warning == "warning: training: one step is the whole training"


def test_health_that_cannot_be_read_is_no_traceback(release: Release, deployer: Deployer) -> None:
    release.says("alice", "done")
    release.results("alice", MODEL | {"health": {"rows": "many"}})
    ran = deployer("result")
    assert ran.code == 1 and not ran.out and "damaged, or of another kit" in ran.err


def test_for_machines_it_is_the_whole_model(release: Release, deployer: Deployer) -> None:
    release.says("alice", "done")
    release.results("alice", MODEL)
    assert deployer("result", "--json").document == MODEL


def test_a_file_of_it_is_its_owners_alone(
    release: Release, deployer: Deployer, tmp_path: Path
) -> None:
    release.says("alice", "done")
    release.results("alice", MODEL)
    file = tmp_path / "model.json"
    ran = deployer("result", "--output", file)
    assert ran.code == 0 and str(file) in ran.out
    assert json.loads(file.read_text()) == MODEL
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_before_it_is_there_the_party_says_so(release: Release, deployer: Deployer) -> None:
    release.says("alice", "running")
    told = ErrorDocument.of(JobError("there is no result yet")).to_json()
    release.program("alice", "env", told, exit_code=1)
    ran = deployer("result")
    assert ran.code == 1 and not ran.out
    assert "there is no result yet" in ran.err and "do: see deployer status" in ran.err


def test_the_party_that_the_job_names_has_it(memory: MemoryCluster, deployer: Deployer) -> None:
    release = Release(memory, {"job": {"result": "bob"}, "namespace": "work"}, name="scoring")
    release.says("bob", "done")
    release.results("bob", MODEL | {"intercept": None})
    ran = deployer("result", "--namespace", "work")
    assert ran.code == 0 and "intercept" not in ran.out
    ran = deployer("result", "--namespace", "work", "--party", "alice")
    assert ran.code == 2 and "the job gives it to bob" in ran.err


def test_a_model_that_nobody_gets_is_not_looked_for(
    memory: MemoryCluster, deployer: Deployer
) -> None:
    Release(memory, {"job": {"result": "nobody"}})
    ran = deployer("result")
    assert ran.code == 2 and "each party keeps its shares" in ran.err


def test_who_may_not_enter_the_pod_is_told_whose_it_is(
    release: Release, deployer: Deployer
) -> None:
    release.says("alice", "done")
    release.cluster.forbidden.add(("create", "pods/exec", "*"))
    ran = deployer("result")
    assert ran.code == 2
    assert "the model is alice's" in ran.err and "ask who runs alice" in ran.err


@pytest.mark.parametrize(
    "said",
    ['{"weights": [', json.dumps(MODEL | {"weights": [1.0]}), json.dumps(MODEL | {"version": 2})],
    ids=["half", "one weight of two", "of another version"],
)
def test_a_damaged_one_is_not_shown(release: Release, deployer: Deployer, said: str) -> None:
    release.says("alice", "done")
    release.program("alice", "env", said)
    ran = deployer("result", "--json")
    assert ran.code == 1 and not ran.out and "damaged" in ran.err and "party result" in ran.err


def test_without_a_pod_there_is_none(release: Release, deployer: Deployer) -> None:
    ran = deployer("result")
    assert ran.code == 1 and "alice has no pod" in ran.err
