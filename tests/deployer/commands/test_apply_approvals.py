"""``deployer apply --approvals``: what a pod would refuse never gets into its Secret."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from deployer.cluster.secrets import TABLE_DIGEST
from deployer.manifests.values import load_values
from party.agreement.job import PARTIES
from party.approval import Approval, moment, write_approval
from tests.approval.conftest import TABLE, Approved
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release

SECRET = "test-bob-approvals"


@pytest.fixture
def approved(tmp_path: Path) -> Approved:
    """All three have approved one run."""
    made = Approved(tmp_path / "approvals")
    for party in PARTIES:
        made.approve(party)
    return made


@pytest.fixture
def values(approved: Approved, memory: MemoryCluster, tmp_path: Path) -> Path:
    """Bob's own, whose table is in the cluster."""
    off = {"enabled": False}
    job = approved.job.model_dump(mode="json", exclude_none=True)
    document = {"name": "test", "demo": off, "job": job}
    document |= {"alice": off | {"address": "a:1"}, "server": off | {"address": "c:1"}}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(document))
    meta = {
        "name": "test-bob-table-0",
        "namespace": "default",
        "annotations": {TABLE_DIGEST: TABLE},
    }
    memory.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {}})
    return file


def test_a_pod_is_given_all_three_and_its_own_salt(
    memory: MemoryCluster, deployer: Deployer, approved: Approved, values: Path
) -> None:
    words = ("apply", "-f", values, "--approvals", approved.directory, "--no-wait")
    assert deployer(*words).out.startswith("bob     approvals created\n")
    assert set(memory.secrets()[SECRET]) == {*(f"{p}.json" for p in PARTIES), "bob.salt"}
    said = deployer("doctor", "-f", values, "--no-probes").out
    [line] = [line for line in said.splitlines() if " approvals " in line]
    assert line.startswith("ok") and "of all three, until 20" in line
    approved.approve("server", runs=2)
    again = deployer(*words, "--json")
    assert again.document["approvals"] == {"bob": "changed"}
    deployer("delete", "-f", values, "--secrets", "--yes")
    assert SECRET not in memory.secrets()


def test_a_table_on_a_volume_is_looked_at_by_the_pod_alone(
    memory: MemoryCluster, deployer: Deployer, approved: Approved, values: Path
) -> None:
    document = yaml.safe_load(values.read_text()) | {"bob": {"tableVolume": {"size": "1Gi"}}}
    values.write_text(yaml.safe_dump(document))
    ran = deployer("apply", "-f", values, "--approvals", approved.directory, "--no-wait")
    assert ran.code == 0 and SECRET in memory.secrets(), ran.err


def test_each_job_of_several_has_approvals_of_its_own(
    memory: MemoryCluster, deployer: Deployer, approved: Approved, values: Path, tmp_path: Path
) -> None:
    document = yaml.safe_load(values.read_text()) | {"jobs": [{"name": "one"}, {"name": "two"}]}
    values.write_text(yaml.safe_dump(document))
    one, two = load_values([values]).queue
    both = tmp_path / "both"
    both.mkdir()
    for job in (one, two):
        for party in PARTIES:
            approved.approve(party, job=job.digest)
        shutil.copytree(approved.directory, both / job.name)
    words = ("apply", "-f", values, "--approvals", both, "--no-wait")
    assert deployer(*words, "--json").document["approvals"] == {
        "bob/one": "created",
        "bob/two": "created",
    }
    assert {f"{SECRET}-one", f"{SECRET}-two"} <= memory.secrets().keys()
    shutil.rmtree(both / "two")
    shutil.copytree(both / "one", both / "two")
    ran = deployer(*words)
    assert ran.code == 2 and "it is for another job" in ran.err
    deployer("delete", "-f", values, "--secrets", "--yes")
    assert not [name for name in memory.secrets() if "approvals" in name]


def test_of_a_job_that_is_done_no_approvals_are_missed(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    document = yaml.safe_load(values.read_text()) | {"jobs": [{"name": "one"}, {"name": "two"}]}
    values.write_text(yaml.safe_dump(document))
    one, two = load_values([values]).queue
    queue = (
        {"name": "one", "job": one.digest, "state": "done"},
        {"name": "two", "job": two.digest},
    )
    Release(memory, document).says("bob", "joining", job=two.digest, queue=queue)
    said = deployer("doctor", "-f", values, "--no-probes").out
    done, waits = [line for line in said.splitlines() if " approvals " in line]
    assert done.startswith("ok") and "the job 'one' is done, and needs none any more" in done
    assert waits.startswith("wrong") and f"there is no Secret {SECRET}-two" in waits


def test_a_kept_model_is_opened_by_approvals_of_no_table(
    memory: MemoryCluster, deployer: Deployer, approved: Approved, values: Path
) -> None:
    document = yaml.safe_load(values.read_text())
    document["job"]["kept"] = "0" * 64
    values.write_text(yaml.safe_dump(document))
    job = load_values([values]).job
    for party in PARTIES:
        approval = Approval(
            party=party,
            job=job.digest,
            plan="1" * 64,
            kit="0.1.0",
            expires=moment(datetime.now(UTC) + timedelta(hours=1)),
            runs=1,
        )
        (approved.directory / f"{party}.salt").unlink(missing_ok=True)
        (approved.directory / f"{party}.json").unlink()
        write_approval(approved.directory, approval, None, approved.keys[party])
    words = ("apply", "-f", values, "--approvals", approved.directory, "--no-wait")
    ran = deployer(*words)
    assert ran.code == 0, ran.err
    assert set(memory.secrets()[SECRET]) == {f"{p}.json" for p in PARTIES}
    # Approvals of the training do not open what it kept.
    approved.approve("alice")
    ran = deployer(*words)
    assert ran.code == 2 and "it is for another job" in ran.err


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda a: (a.directory / "alice.json").unlink(), "alice has not approved"),
        (lambda a: (a.directory / "bob.salt").unlink(), "the salt of bob's commitment is missing"),
        (lambda a: a.approve("alice", key=a.keys["bob"]), "and the job pins"),
        (lambda a: a.approve("server", job="0" * 64), "it is for another job"),
        (lambda a: a.approve("server", kit="9.9.9"), "it is for version 9.9.9 of the kit"),
        (lambda a: a.approve("alice", image="sha256:" + "0" * 64), "it is for the image sha256:0"),
        (lambda a: a.approve("alice", hours=-1), "alice's approval expired at"),
        (lambda a: (a.directory / "bob.salt").write_text("0" * 64), "it is for another table"),
    ],
    ids=["missing", "salt", "signer", "job", "kit", "image", "expired", "table"],
)
def test_what_its_pod_would_refuse_is_refused_before_anything_changes(
    memory: MemoryCluster,
    deployer: Deployer,
    approved: Approved,
    values: Path,
    spoil: Callable[[Approved], object],
    says: str,
) -> None:
    spoil(approved)
    before = memory.names()
    ran = deployer("apply", "-f", values, "--approvals", approved.directory, "--no-wait")
    assert ran.code == 2 and says in ran.err and "do: " in ran.err
    assert memory.names() == before


def test_a_job_that_asks_for_none_takes_none(deployer: Deployer, approved: Approved) -> None:
    ran = deployer("apply", "--approvals", approved.directory, "--no-wait")
    assert ran.code == 2 and "the job names no keys of approvals" in ran.err


def test_what_a_pod_has_signed_is_checked_when_it_is_fetched(
    memory: MemoryCluster, deployer: Deployer, values: Path, tmp_path: Path
) -> None:
    from tests.deployer.memory import says

    memory.put({"kind": "Pod", "metadata": {"name": "test-bob-0", "namespace": "default"}})
    memory.programs["default", "test-bob-0", "cat"] = says(json.dumps({"payload": "changed"}))
    ran = deployer("receipt", "fetch", "-f", values, "--output", tmp_path / "bob")
    assert ran.code == 2 and "it is no signed document" in ran.err
    assert not (tmp_path / "bob").exists()
