"""``deployer apply``: what it changes, and what it says before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release


@pytest.fixture
def values(tmp_path: Path) -> Path:
    """Three parties of one organisation, without the demo."""
    file = tmp_path / "values.yaml"
    file.write_text("demo: {enabled: false}\nnamespace: work\n")
    return file


def test_it_installs_every_party_and_says_how_much(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0
    assert ran.out.splitlines() == [f"{party:<7} 6 created" for party in ("alice", "bob", "server")]
    assert {"StatefulSet fraud-alice", "ConfigMap fraud-bob"} <= memory.names()


def test_the_same_again_changes_nothing(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    deployer("apply", "-f", values, "--no-wait")
    before = dict(memory.objects)
    ran = deployer("apply", "-f", values, "--no-wait", "--json")
    assert ran.document == {
        "changes": {party: {"unchanged": 6} for party in ("alice", "bob", "server")}
    }
    assert memory.objects == before


def test_the_demo_is_applied_too(memory: MemoryCluster, deployer: Deployer) -> None:
    ran = deployer("apply", "--no-wait")
    assert ran.code == 0 and ran.out.splitlines()[-1].startswith("demo")
    assert "ServiceAccount fraud-demo" in memory.names()


def test_one_party_alone_leaves_the_others_alone(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    deployer("apply", "-f", values, "--party", "bob", "--no-wait")
    assert {name.split()[1] for name in memory.names()} == {"fraud-bob"}


def test_waiting_ends_when_the_job_is_done(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    Release(memory, {"demo": {"enabled": False}, "namespace": "work"}).all_say("done")
    ran = deployer("apply", "-f", values, "--force")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()[-3:]] == [
        [party, "done"] for party in ("alice", "bob", "server")
    ]


def test_waiting_gives_up_when_told_and_stops_nothing(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    ran = deployer("apply", "-f", values, "--timeout", "0")
    assert ran.code == 1 and "nothing was stopped" in ran.err
    assert "StatefulSet fraud-alice" in memory.names()


def test_a_wrong_value_is_named_and_nothing_is_applied(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    values.write_text("imagee: {}\n")
    ran = deployer("apply", "-f", values)
    assert ran.code == 2 and "did you mean 'image'?" in ran.err
    assert not memory.objects
