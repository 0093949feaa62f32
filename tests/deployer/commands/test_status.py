"""``deployer status``: each party in a word, a sentence and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster, event
from tests.deployer.release import Release, moment


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


def test_it_needs_no_values_whatever_they_were(memory: MemoryCluster, deployer: Deployer) -> None:
    document = {"demo": {"enabled": False}, "namespace": "work", "job": {"rows": 128}}
    Release(memory, document, name="scoring").all_say("done")
    for words in ([], ["--name", "scoring"]):
        ran = deployer("status", "--namespace", "work", *words)
        assert ran.code == 0
        assert [line.split()[1] for line in ran.out.splitlines()] == ["done"] * 3


def test_parties_in_other_namespaces_are_found_by_the_one_that_is_named(
    memory: MemoryCluster, deployer: Deployer
) -> None:
    document = {"demo": {"enabled": False}, "alice": {"namespace": "bank"}}
    document |= {"bob": {"namespace": "police"}, "server": {"namespace": "third"}}
    Release(memory, document).all_say("done")
    found = deployer("status", "--namespace", "police", "--json").document
    assert [one["where"] for one in found["parties"]] == [
        "bank, memory",
        "police, memory",
        "third, memory",
    ]


def test_one_party_alone_is_found_where_the_others_know_it(
    memory: MemoryCluster, deployer: Deployer
) -> None:
    document = {"demo": {"enabled": False}, "bob": {"namespace": "police"}}
    Release(memory, document).all_say("done")
    (bob,) = deployer("status", "--party", "bob", "--json").document["parties"]
    assert bob["where"] == "police, memory"


def test_each_partys_context_is_looked_at_alone(memory: MemoryCluster, deployer: Deployer) -> None:
    Release(memory).all_say("done")
    ran = deployer("status", "--context", "alice=bank")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["alice", "done"],
        ["bob", "elsewhere"],
        ["server", "elsewhere"],
    ]


def test_who_may_not_look_at_the_others_is_told_where_they_are(
    memory: MemoryCluster, deployer: Deployer
) -> None:
    document = {"demo": {"enabled": False}, "bob": {"namespace": "police"}}
    Release(memory, document).all_say("done")
    memory.forbidden.add(("*", "*", "police"))
    ran = deployer("status")
    assert ran.code == 0
    assert "bob     elsewhere  at fraud-bob-0.fraud-bob.police.svc" in ran.out


def test_parties_in_other_clusters_are_told_by_their_addresses(
    memory: MemoryCluster, deployer: Deployer
) -> None:
    away = {"enabled": False, "address": "bob.example:7000"}
    release = Release(
        memory,
        {"demo": {"enabled": False}, "bob": away, "server": away | {"address": "c.example:1"}},
    )
    release.says("alice", "done")
    ran = deployer("status")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()] == [
        ["alice", "done", "is", "done"],
        ["bob", "elsewhere", "at", "bob.example:7000"],
        ["server", "elsewhere", "at", "c.example:1"],
    ]


def test_a_release_that_is_not_there_is_wrong_input(
    memory: MemoryCluster, deployer: Deployer
) -> None:
    ran = deployer("status")
    assert ran.code == 2 and "there is no release 'fraud'" in ran.err
    assert "deployer apply, or helm install" in ran.err
    Release(memory, name="scoring")
    ran = deployer("status", "--name", "fraud")
    assert ran.code == 2 and "there is scoring here: name it with --name" in ran.err
    assert "install" not in ran.err


def test_of_several_releases_one_is_to_be_named(memory: MemoryCluster, deployer: Deployer) -> None:
    for name in ("one", "two"):
        Release(memory, name=name).all_say("done")
    ran = deployer("status")
    assert ran.code == 2 and "there are one and two" in ran.err and "--name" in ran.err
    assert deployer("status", "--name", "two").code == 0


def test_a_party_of_three_that_is_absent_is_exit_code_1(
    release: Release, deployer: Deployer
) -> None:
    release.all_say("done")
    for key in [key for key in release.cluster.objects if key[2].startswith("fraud-bob")]:
        del release.cluster.objects[key]
    ran = deployer("status")
    assert ran.code == 1 and "bob     absent     is not installed here" in ran.out


@pytest.mark.parametrize("phase", ["failed", "broken"])
def test_a_party_that_failed_or_is_broken_is_exit_code_1(
    release: Release, deployer: Deployer, phase: str
) -> None:
    release.all_say("done")
    if phase == "failed":
        release.says("bob", "failed", message="broke", hint="put it right")
    else:
        release.pod("bob", state={"waiting": {"reason": "ErrImagePull", "message": "no"}})
    ran = deployer("status")
    assert ran.code == 1 and f"bob     {phase}" in ran.out and "do: " in ran.out


def test_another_job_than_that_of_the_values_is_told(
    release: Release, deployer: Deployer, tmp_path: Path
) -> None:
    release.all_say("running")
    values = tmp_path / "values.yaml"
    values.write_text("job: {rows: 6999}\n")
    assert "another job than the values have" in deployer("status", "-f", values).out
    assert "another job" not in deployer("status").out


def test_the_status_of_an_earlier_job_is_not_taken_for_this_ones(
    release: Release, deployer: Deployer
) -> None:
    release.all_say("done", job="f" * 64)
    ran = deployer("status")
    assert "done" not in ran.out and "has not begun with the job that is installed" in ran.out


def test_what_is_old_says_how_old_and_no_pace(release: Release, deployer: Deployer) -> None:
    release.all_say("running", step=12, rate=785.0, remaining_s=120.0)
    release.says("bob", "running", ago_s=40, step=12, rate=785.0, remaining_s=120.0)
    release.says("server", "plan", ago_s=40)
    ran = deployer("status")
    alice, bob, do, server = ran.out.splitlines()
    assert "785 a second" in alice and "last heard" not in alice
    assert bob == "bob     running    step 12 of 540, last heard of 40 s ago"
    assert "deployer doctor" in do
    assert server == "server  plan       builds its part of the plan, for 40 s"


def test_who_cannot_write_for_want_of_room_is_told_so(release: Release, deployer: Deployer) -> None:
    release.all_say("running", step=12)
    release.says("bob", "running", ago_s=40, room_kib=8, step=12)
    release.says("server", "running", room_kib=8, step=12)  # it has just written
    alice, bob, do, server = deployer("status").out.splitlines()
    assert "its volume is full" in bob and "last heard of 40 s ago" in bob
    assert "storage.size" in do
    assert "full" not in alice + server


def test_who_is_looked_for_and_since_when(release: Release, deployer: Deployer) -> None:
    since = moment(ago_s=200)
    release.says("alice", "rejoining", waiting_for=("bob",), since=since, step=12)
    told = deployer("status", "--party", "alice").out
    assert told.startswith("alice   rejoining  waits for bob, for 3 min")


def test_who_waits_for_parties_that_are_done_is_told_so(
    release: Release, deployer: Deployer
) -> None:
    release.says("bob", "done")
    release.says("server", "done")
    release.says("alice", "joining", waiting_for=("bob", "server"), since=moment(ago_s=30))
    assert deployer("status").code == 0, "they may still look for her"
    release.says("alice", "joining", waiting_for=("bob", "server"), since=moment(ago_s=90))
    ran = deployer("status")
    assert ran.code == 1
    told, do, *_ = ran.out.splitlines()
    assert told.startswith("alice   broken     waits for bob and server in vain: the job is done")
    assert "deployer delete --volumes" in do
    release.says("alice", "rejoining", waiting_for=("bob", "server"), since=moment(ago_s=90))
    assert deployer("status").code == 0, "she may have her result, and ends by herself"


def test_who_waits_for_parties_that_failed_for_good_is_told_so(
    release: Release, deployer: Deployer
) -> None:
    release.says("alice", "joining", waiting_for=("bob", "server"), since=moment(ago_s=90))
    release.says("server", "done")
    for final in (False, True):
        release.says("bob", "failed", message="the model is wrong", final=final)
        told, do, *_ = deployer("status").out.splitlines()
        assert told.startswith("alice   broken") == final
        assert ("in vain: the job failed for good at bob" in told) == final
        assert ("change the job as bob says" in do) == final


def test_a_restart_says_after_what(release: Release, deployer: Deployer) -> None:
    release.says("alice", "joining", last_cause="disk-full", last_failed=moment(ago_s=3))
    last = "error: cannot write the file: No space left on device\n  cause: disk-full"
    ended = {"terminated": {"exitCode": 1, "message": last}}
    release.pod("alice", lastState=ended, restartCount=2)
    told = deployer("status", "--party", "alice").out
    assert "(2 restarts, the last after: cannot write the file: No space left on device)" in told
    (one,) = deployer("status", "--party", "alice", "--json").document["parties"]
    assert one["cause"] == "disk-full"


@pytest.mark.parametrize(
    ("hours", "phase", "says"),
    [(20, "running", "ends in 20 h"), (-1, "joining", "has ended"), (30, "running", ""),
     (1, "done", "")],
)  # fmt: skip
def test_a_certificate_that_ends_within_a_day_is_to_be_renewed(
    release: Release, deployer: Deployer, hours: int, phase: str, says: str
) -> None:
    release.says("bob", phase, certificate_expires=moment(ago_s=-hours * 3600 - 60))
    told = deployer("status", "--party", "bob").out
    assert ("do: its certificate" in told) == bool(says)
    assert says in told and ("deployer certs renew" in told) == bool(says)


def test_an_event_of_an_earlier_object_of_the_name_is_not_told(
    release: Release, deployer: Deployer
) -> None:
    owner = release.cluster.objects["StatefulSet", "default", "fraud-bob"]
    former = owner | {"metadata": owner["metadata"] | {"uid": "of the former"}}
    release.cluster.put(event(former, "FailedCreate", "exceeded quota"))
    assert "exceeded quota" not in deployer("status", "--party", "bob").out
    release.cluster.put(event(owner, "FailedCreate", "exceeded quota"))
    assert "exceeded quota" in deployer("status", "--party", "bob").out


def test_a_party_of_another_authority_is_named(release: Release, deployer: Deployer) -> None:
    known = "bob's certificate is of another authority (10.0.0.7:1)"
    message = f"waiting for bob (12 s of 3600); {known}"
    release.says("alice", "joining", waiting_for=("bob",), message=message)
    ran = deployer("status", "--party", "alice")
    assert f"waits for bob; {known}" in ran.out
    assert "do: give all three parties keys of one authority" in ran.out


def test_an_unknown_party_is_wrong_input(release: Release, deployer: Deployer) -> None:
    ran = deployer("status", "--party", "carol")
    assert ran.code == 2 and "there are alice, bob, server" in ran.err
