"""``deployer logs``: the lines of each party, with its name where there are several."""

from __future__ import annotations

import pytest

from party.agreement.job import PARTIES
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release


@pytest.fixture
def written(release: Release) -> Release:
    """Three parties that wrote something."""
    for party in PARTIES:
        release.pod(party)
        place = release.place(party)
        release.cluster.logs_of[place.namespace, place.pod] = f"{party} starts\nlast words"
    return release


@pytest.mark.parametrize("follow", [[], ["--follow"]], ids=["as it is", "followed"])
def test_each_line_has_its_partys_name(
    written: Release, deployer: Deployer, follow: list[str]
) -> None:
    ran = deployer("logs", *follow)
    assert ran.code == 0
    assert sorted(ran.out.splitlines()) == sorted(
        line for party in PARTIES for line in (f"{party}: {party} starts", f"{party}: last words")
    )


def test_lines_of_several_parties_stand_in_the_order_of_their_times(
    release: Release, deployer: Deployer
) -> None:
    events = {"alice": [1, 4, 5], "bob": [2, 6], "server": [3]}
    for party, moments in events.items():
        release.pod(party)
        place = release.place(party)
        lines = [f'{{"time": "2026-01-01T00:00:0{i}.000+00:00", "event": "{i}"}}' for i in moments]
        lines[-1] += f"\n{party} has no time"
        release.cluster.logs_of[place.namespace, place.pod] = "\n".join(lines)
    shown = deployer("logs").out.splitlines()
    timed = [line for line in shown if '"event"' in line]
    assert [line.rpartition('"event": ')[2][1] for line in timed] == list("123456")
    for party in events:
        own = [line for line in shown if line.startswith(party)]
        assert own[-1] == f"{party}: {party} has no time"


def test_of_one_party_they_are_as_they_were_written(written: Release, deployer: Deployer) -> None:
    assert deployer("logs", "--party", "bob").out == "bob starts\nlast words\n"


def test_they_need_no_values(memory: MemoryCluster, deployer: Deployer) -> None:
    release = Release(memory, {"namespace": "work"}, name="scoring")
    release.pod("bob")
    memory.logs_of["work", "scoring-bob-0"] = "bob starts"
    assert deployer("logs", "--namespace", "work", "--party", "bob").out == "bob starts\n"
    ran = deployer("logs", "--namespace", "wrong")
    assert ran.code == 2 and "there is no release" in ran.err


def test_without_a_pod_there_is_none_and_status_knows_why(
    release: Release, deployer: Deployer
) -> None:
    ran = deployer("logs", "--party", "alice")
    assert ran.code == 2
    assert "alice has no pod" in ran.err and "do: see deployer status" in ran.err


def test_those_that_there_are_are_shown_beside_one_that_is_missing(
    written: Release, deployer: Deployer
) -> None:
    del written.cluster.objects["Pod", "default", "fraud-alice-0"]
    ran = deployer("logs")
    assert ran.code == 2 and "alice has no pod" in ran.err
    assert {line.partition(":")[0] for line in ran.out.splitlines()} == {"bob", "server"}


def test_who_may_not_read_them_is_told(written: Release, deployer: Deployer) -> None:
    written.cluster.forbidden.add(("get", "pods/log", "*"))
    ran = deployer("logs", "--party", "alice")
    assert ran.code == 2 and "not allowed to read the log" in ran.err
