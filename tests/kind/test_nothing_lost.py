"""What is done stays done, and what was begun goes on: kills, drains, pauses and deletions.

The tests of this page are one story of one deployment, in order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.kind.cluster import PARTIES, Cluster, Deployment, Object, Run
from tests.kind.conftest import example_job, plain_values

pytestmark = pytest.mark.in_turn

LONG = {"epochs": 100_000, "batch_size": 128, "learning_rate": 0.01, "order_seed": 18}
"""An hour of mini-batches: the story ends it long before."""


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A run at work, with a checkpoint on every volume."""
    with cluster.namespace() as namespace:
        values = plain_values(cluster, namespace, example_job() | {"training": LONG})
        deployment = Deployment(cluster, tmp_path_factory.mktemp("story"), values)
        deployment.put_keys()
        deployment.put_tables()
        deployment.deployer("apply", "--no-wait")
        deployment.wait(at_work)
        yield deployment


def at_work(found: dict[str, Object]) -> bool:
    return all(
        one["phase"] == "running" and one["own"]["checkpoint"] and one["own"]["step"]
        for one in found.values()
    )


def evict(story: Deployment, party: str) -> Run:
    """What a drain asks of the API server, for one pod."""
    meta = f'{{"name": "{story.pod(party)}", "namespace": "{story.namespace(party)}"}}'
    body = f'{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {meta}}}'
    path = f"/api/v1/namespaces/{story.namespace(party)}/pods/{story.pod(party)}/eviction"
    words = ("create", "--raw", path, "--filename", "-")
    return story.cluster.kubectl(*words, check=False, input=body)


def steps(found: dict[str, Object]) -> int:
    return min(int(one["own"]["step"]) for one in found.values())


def kept(story: Deployment) -> int:
    """Steps that the checkpoints on all three volumes have behind them."""
    found = story.wait(at_work)

    def are_newer(later: dict[str, Object]) -> bool:
        moments = [(later[p]["own"]["checkpoint"], found[p]["own"]["updated"]) for p in PARTIES]
        return at_work(later) and all(checkpoint > then for checkpoint, then in moments)

    story.wait(are_newer)
    return steps(found)


def gone(story: Deployment, former: Object, party: str) -> None:
    """Until a pod is another than it was."""
    end = time.monotonic() + 120
    while (pod := story.pods()[party]) is None or (
        pod["metadata"]["uid"] == former["metadata"]["uid"]
    ):
        assert time.monotonic() < end, "a pod does not go"
        time.sleep(1)


def test_a_node_waits_for_a_party_at_work(story: Deployment) -> None:
    tried = evict(story, "bob")
    assert tried.returncode != 0 and "disruption budget" in tried.stderr


def test_four_kills_in_a_row_lose_nothing(story: Deployment) -> None:
    before, others = story.status(), {party: story.pods()[party] for party in ("alice", "server")}
    behind = 0
    for _ in range(4):
        former, behind = story.pods()["bob"], kept(story)
        words = ("delete", "pod", story.pod("bob"), "--namespace", story.namespace("bob"))
        story.cluster.kubectl(*words, "--grace-period=0", "--force")
        gone(story, former, "bob")
        assert steps(story.wait(at_work)) >= behind > 0
    after = story.status()
    for party, pod in others.items():
        assert story.pods()[party]["metadata"]["uid"] == pod["metadata"]["uid"]
        assert after[party]["restarts"] == before[party]["restarts"]
        assert after[party]["own"]["rejoins"] >= before[party]["own"]["rejoins"] + 4


def test_what_is_paused_is_kept(story: Deployment) -> None:
    behind = kept(story)
    said = story.deployer("pause").stdout
    assert said.count("from which the run goes on") == 3
    assert {one["phase"] for one in story.status().values()} <= {"paused", "pending"}
    story.deployer("resume")
    assert steps(story.wait(at_work)) >= behind


def test_a_release_that_is_deleted_in_the_middle_goes_on(story: Deployment) -> None:
    behind = kept(story)
    story.deployer("delete", "--yes")
    story.cluster.kubectl(
        *("wait", "pod", "--all", "--namespace", story.document["namespace"]),
        *("--for=delete", "--timeout=120s"),
    )
    story.deployer("apply", "--no-wait")
    assert steps(story.wait(at_work)) >= behind


def test_who_is_done_is_ready_and_lets_its_node_go(story: Deployment) -> None:
    story.document["job"]["training"] = LONG | {"epochs": 2}
    story.deployer("apply", "--yes", "--timeout", "300")
    for party in PARTIES:
        story.cluster.kubectl(
            *("wait", f"pod/{story.pod(party)}", "--namespace", story.namespace(party)),
            *("--for=condition=Ready", "--timeout=60s"),
        )
    model, former = story.model(), story.pods()["alice"]
    end = time.monotonic() + 60
    while (tried := evict(story, "alice")).returncode:  # until the budget has counted
        assert time.monotonic() < end, tried.stderr
        time.sleep(1)
    gone(story, former, "alice")
    story.wait_until_done()
    assert story.model() == model
