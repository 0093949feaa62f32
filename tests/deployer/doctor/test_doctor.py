"""``deployer doctor``: what is missing before an installation, and what is wrong after it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from deployer.certs.authority import make_all
from deployer.cluster.client import Execution, Object
from deployer.cluster.secrets import keys_secret
from party.agreement.job import PARTIES
from party.identity import load_keys
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release

OWN = {"demo": {"enabled": False}}


@pytest.fixture(autouse=True)
def storage(memory: MemoryCluster) -> None:
    """The cluster has a default storage class."""
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    meta = {"name": "standard", "annotations": annotations}
    memory.put({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": meta})


@pytest.fixture
def values(tmp_path: Path) -> Path:
    file = tmp_path / "values.yaml"
    file.write_text("demo: {enabled: false}\n")
    return file


def checks(ran: Any) -> dict[tuple[str, str], Any]:
    """By whom and what they are about."""
    return {(one["about"], one["what"]): one for one in ran.document}


def put_keys(release: Release, directory: Path, *parties: str) -> None:
    make_all("fraud", directory, 30, 30)
    for party in parties or PARTIES:
        place = release.place(party)
        keys = load_keys(directory / party, "fraud", place.party)
        release.cluster.put(keys_secret(place, keys.files()))


def test_before_an_installation_it_says_what_to_put_and_exits_with_1(
    deployer: Deployer, values: Path
) -> None:
    ran = deployer("doctor", "-f", values, "--no-probes")
    assert ran.code == 1
    assert any(line.split()[:3] == ["wrong", "alice", "keys"] for line in ran.out.splitlines())
    assert "do: deployer certs put alice DIR" in ran.out
    assert "do: deployer data put bob CSV" in ran.out


def test_a_release_that_is_well_is_found_well(
    memory: MemoryCluster, deployer: Deployer, values: Path, tmp_path: Path
) -> None:
    release = Release(memory, OWN)
    put_keys(release, tmp_path / "keys")
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    for party in PARTIES:
        assert found[party, "keys"]["outcome"] == "ok"
        assert found[party, "job"]["outcome"] == "ok"
        assert found[party, "rights"]["outcome"] == "ok"
    assert found["memory", "version"]["says"] == "Kubernetes 1.33"
    assert "standard" in found["memory", "storage"]["says"]


def test_a_right_that_is_missing_is_named(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.forbidden = {("patch", "statefulsets", "*"), ("get", "pods/log", "*")}
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    says = found["alice", "rights"]["says"]
    assert "patch StatefulSet" in says and "get Pod/log" in says
    assert "operator-role.yaml" in found["alice", "rights"]["do"]


def test_who_asks_for_events_needs_the_rights_that_are_given(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.forbidden = {("create", "events", "*"), ("*", "roles", "*")}
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["bob", "rights"]["outcome"] == "ok"
    values.write_text(values.read_text() + "\nevents: {apiServer: [192.0.2.1/32]}\n")
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    says = found["bob", "rights"]["says"]
    assert "create Event" in says and "create Role," in says and "RoleBinding" not in says


@pytest.mark.parametrize(
    ("hard", "says"),
    [
        ({"pods": "0"}, "exceeded quota: small, requested: pods=1"),
        ({"persistentvolumeclaims": "0"}, "requested: persistentvolumeclaims=1"),
        ({"count/statefulsets.apps": "0"}, "requested: count/statefulsets.apps=1"),
    ],
)
def test_a_quota_that_leaves_no_room_is_wrong_and_nothing_is_made(
    memory: MemoryCluster, deployer: Deployer, values: Path, hard: dict[str, str], says: str
) -> None:
    before = dict(memory.objects)
    memory.admission.quotas["default"] = hard
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert {found[party, "quotas"]["outcome"] for party in PARTIES} == {"wrong"}
    assert says in found["bob", "quotas"]["says"] and found["bob", "quotas"]["do"]
    assert memory.objects == before


def test_a_quota_with_room_is_no_hindrance_before_and_after_and_without_a_right_unknown(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.admission.quotas["default"] = {"pods": "3", "count/statefulsets.apps": "3"}
    for installed in (False, True):
        if installed:
            Release(memory, OWN)
        found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
        assert {found[party, "quotas"]["outcome"] for party in PARTIES} == {"ok"}
    memory.forbidden.add(("create", "pods", "*"))
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["alice", "quotas"]["outcome"] == "unknown"


def test_another_job_than_that_of_the_values_is_wrong(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    Release(memory, OWN | {"job": {"rows": 6999}})
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["bob", "job"]["outcome"] == "wrong"


def test_a_storage_class_that_is_not_there_is_wrong(deployer: Deployer, values: Path) -> None:
    values.write_text("demo: {enabled: false}\nstorage: {className: fast}\n")
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["memory", "storage"]["do"] == "set storage.className to one of: standard"


def damaged(secret: Object) -> None:
    secret["data"]["tls.key"] = base64.b64encode(b"no key").decode()


def incomplete(secret: Object) -> None:
    del secret["data"]["ca.crt"]


@pytest.mark.parametrize("damage", [damaged, incomplete])
def test_keys_that_the_party_will_refuse_are_wrong(
    memory: MemoryCluster, deployer: Deployer, values: Path, tmp_path: Path, damage: Any
) -> None:
    release = Release(memory, OWN)
    put_keys(release, tmp_path / "keys")
    damage(memory.objects["Secret", "default", "fraud-bob-keys"])
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["bob", "keys"]["outcome"] == "wrong"
    assert "certs put bob" in found["bob", "keys"]["do"]
    assert found["alice", "keys"]["outcome"] == "ok"


def test_a_certificate_of_another_authority_is_named(
    memory: MemoryCluster, deployer: Deployer, values: Path, tmp_path: Path
) -> None:
    release = Release(memory, OWN)
    put_keys(release, tmp_path / "keys")
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["alice", "authority"]["outcome"] == "ok"
    put_keys(release, tmp_path / "others", "bob")
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["bob", "keys"]["outcome"] == "ok"
    assert found["bob", "authority"]["outcome"] == "wrong"
    assert "than alice and server's" in found["bob", "authority"]["says"]
    assert ("alice", "authority") not in found


def test_a_way_that_is_shut_is_wrong(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    release = Release(memory, OWN)
    release.all_say("joining", waiting_for=("alice",))
    for party in PARTIES:
        release.program(party, "date", "0")

    def silent(command: Any) -> Execution:
        answers = ", ".join(f'"{address}": "silent"' for address in command[3:])
        return Execution(0, f"{{{answers}}}", "")

    memory.programs["default", "fraud-bob-0", "python"] = silent
    found = checks(deployer("doctor", "-f", values, "--no-probes", "--json"))
    assert found["bob", "way to alice"]["outcome"] == "wrong"
    assert found["bob", "clock"]["outcome"] == "wrong"
    assert found["server", "peers"]["outcome"] == "unknown"


def test_a_cluster_that_does_not_know_who_asks_is_wrong(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.forbidden.add(("*", "*", "*"))
    ran = deployer("doctor", "-f", values)
    assert ran.code == 1 and "not allowed in namespace default" in ran.out
