"""``deployer status``: each party in a word, a sentence and a remedy."""

from __future__ import annotations

from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release


def test_a_run_is_told_party_by_party(release: Release, deployer: Deployer) -> None:
    release.all_say("running", step=270, rate=90.0, remaining_s=3.0)
    ran = deployer("status")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{party:<7} running    step 270 of 540, 90 a second, 3 s left"
        for party in ("alice", "bob", "server")
    ]


def test_for_machines_it_is_json_with_the_partys_own_words(
    release: Release, deployer: Deployer
) -> None:
    release.all_say("done", step=540)
    found = deployer("status", "--json").document
    assert [one["party"] for one in found["parties"]] == ["alice", "bob", "server"]
    assert {one["own"]["phase"] for one in found["parties"]} == {"done"}
    assert found["elsewhere"] == {}


def test_watching_ends_when_all_are_done(release: Release, deployer: Deployer) -> None:
    release.all_say("done")
    ran = deployer("status", "--watch")
    assert ran.code == 0 and len(ran.out.splitlines()) == 3


def test_watching_ends_with_its_time_and_says_who_is_late(
    release: Release, deployer: Deployer
) -> None:
    release.all_say("done")
    release.says("bob", "plan")
    ran = deployer("status", "--watch", "--timeout", "0")
    assert ran.code == 1
    assert "bob is plan" in ran.err and "alice is" not in ran.err
    assert "deployer status --watch" in ran.err


def test_a_pod_that_lacks_a_secret_is_told_what_to_put(
    release: Release, deployer: Deployer
) -> None:
    release.says("bob", "table", message="there is no table", where="/table")
    assert "do: put it there: deployer data put bob" in deployer("status", "--party", "bob").out


def test_a_cluster_that_refuses_is_named_with_what_to_ask_for(
    memory: MemoryCluster, release: Release, deployer: Deployer
) -> None:
    memory.forbidden.add(("get", "pods", "*"))
    ran = deployer("status", "--party", "alice")
    assert ran.code == 2
    assert "not allowed to read" in ran.err and "operator-role.yaml" in ran.err


def test_an_unknown_party_is_wrong_input(release: Release, deployer: Deployer) -> None:
    ran = deployer("status", "--party", "carol")
    assert ran.code == 2 and "there are alice, bob, server" in ran.err
