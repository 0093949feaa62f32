"""``deployer pause`` and ``resume``: pods go and come back, and it is said what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release, moment


def replicas(release: Release) -> dict[str, int]:
    """How many pods each party is to have."""
    return {
        name: one["spec"]["replicas"]
        for (kind, _, name), one in release.cluster.objects.items()
        if kind == "StatefulSet"
    }


ALL = ("fraud-alice", "fraud-bob", "fraud-server")


def test_a_run_with_checkpoints_is_paused_and_resumed(release: Release, deployer: Deployer) -> None:
    release.all_say("running", step=12, checkpoint=moment(ago_s=20))
    ran = deployer("pause")
    assert ran.code == 0 and replicas(release) == dict.fromkeys(ALL, 0)
    assert ran.out.count("has a checkpoint of 20 s ago, from which the run goes on") == 3
    pods = [key for key in release.cluster.objects if key[0] == "Pod"]
    for key in pods:
        del release.cluster.objects[key]
    said = deployer("status")
    assert said.code == 0 and said.out.count("paused     is paused") == 3
    assert "do: deployer resume" in said.out
    assert deployer("resume").out.count("resumed") == 3
    assert replicas(release) == dict.fromkeys(ALL, 1)


def test_one_party_alone_is_paused(release: Release, deployer: Deployer) -> None:
    release.all_say("done")
    ran = deployer("pause", "--party", "bob")
    assert ran.code == 0 and "its volume has the result" in ran.out
    assert replicas(release) == dict.fromkeys(ALL, 1) | {"fraud-bob": 0}
    again = deployer("pause", "--party", "bob")
    assert again.code == 0 and "paused already" in again.out
    assert "was not paused" in deployer("resume", "--party", "alice").out


NO_VOLUME = {"storage": {"enabled": False}}


@pytest.mark.parametrize(
    ("document", "phase", "more", "says"),
    [
        ({}, "running", {}, "the run at work (step 12 of 540) starts again"),
        (NO_VOLUME, "running", {"checkpoint": moment(0)}, "the run at work (step 12 of 540)"),
        (NO_VOLUME, "done", {}, "its result and its ledger go"),
    ],
    ids=["no checkpoint", "a checkpoint that goes with its pod", "a result that goes with its pod"],
)
def test_nothing_is_lost_unasked(
    memory: MemoryCluster,
    deployer: Deployer,
    document: dict[str, Any],
    phase: str,
    more: dict[str, Any],
    says: str,
) -> None:
    release = Release(memory, document)
    release.all_say(phase, step=12, **more)
    ran = deployer("pause")
    assert ran.code == 2 and says in ran.err and "--yes" in ran.err
    assert replicas(release) == dict.fromkeys(ALL, 1)
    assert deployer("pause", "--yes").code == 0
    assert replicas(release) == dict.fromkeys(ALL, 0)


def test_who_may_not_scale_is_told(release: Release, deployer: Deployer) -> None:
    release.all_say("done")
    release.cluster.forbidden.add(("patch", "statefulsets", "*"))
    ran = deployer("pause")
    assert ran.code == 2 and "not allowed to scale" in ran.err


def test_where_nothing_is_there_is_nothing_to_pause(
    memory: MemoryCluster, deployer: Deployer
) -> None:
    assert deployer("pause").code == 2 and deployer("resume").code == 2
