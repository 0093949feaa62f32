"""The deployer's own way: keys, tables, apply, status, result; then again, changed, and away.

The tests of this page are one story of one deployment, in order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.kind.cluster import (
    EXAMPLE,
    PARTIES,
    Cluster,
    Deployment,
    Object,
    left_in,
    weights,
)
from tests.kind.conftest import example_job, plain_values

FIXED_POINT = 2e-3
"""How far two runs may be apart: each truncation may fall to either side of a bit."""


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with the real tables, done."""
    with cluster.namespace() as namespace:
        values = plain_values(cluster, namespace, example_job())
        deployment = Deployment(cluster, tmp_path_factory.mktemp("story"), values)
        deployment.put_keys()
        deployment.put_tables()
        said = deployment.deployer("apply", "--timeout", "300").stdout
        assert [line.split()[0] for line in said.splitlines()[:3]] == list(PARTIES)
        yield deployment


def local_model(deployment: Deployment) -> dict[str, Any]:
    """What the same job comes to on this machine alone."""
    job, output = deployment.room / "local.yaml", deployment.room / "local"
    job.write_text(yaml.safe_dump(deployment.document["job"], sort_keys=False))
    tables = [f"--{party}={EXAMPLE / f'{party}.csv'}" for party in ("alice", "bob")]
    deployment.cluster.deployer("run", job, *tables, "--output", output)
    return dict(json.loads((output / "alice" / "model.json").read_text()))


def test_the_cluster_trains_the_model_that_one_machine_trains(story: Deployment) -> None:
    assert {one["phase"] for one in story.status().values()} == {"done"}
    here, there = local_model(story), story.model()
    assert there["job"] == here["job"] and there["plan"] == here["plan"]
    assert weights(there) == pytest.approx(weights(here), abs=FIXED_POINT)


def test_the_doctor_finds_it_well(story: Deployment) -> None:
    found = json.loads(story.deployer("doctor", "--json").stdout)
    assert [check for check in found if check["outcome"] == "wrong"] == []
    ways = {(c["about"], c["what"]) for c in found if c["what"].startswith("way to")}
    assert ways == {("bob", "way to alice"), ("server", "way to alice"), ("server", "way to bob")}
    agreed = {c["about"] for c in found if c["what"] == "job" and c["outcome"] == "ok"}
    assert agreed == set(PARTIES)


def test_the_same_job_again_does_nothing(story: Deployment) -> None:
    pods, status = story.pods(), story.status()
    again = story.deployer("apply", "--timeout", "60").stdout
    assert "created" not in again and "changed" not in again.replace("unchanged", "")
    for party, pod in story.pods().items():
        assert pod["metadata"]["uid"] == pods[party]["metadata"]["uid"]
        assert story.status()[party]["own"]["started"] == status[party]["own"]["started"]


def test_a_finished_job_survives_its_pods(story: Deployment) -> None:
    first, model = story.status(), story.model()
    pods = [story.pod(party) for party in PARTIES]
    former = {pod["metadata"]["uid"] for pod in story.pods().values()}
    # kubectl's own wait can miss a pod that comes again under its name at once.
    words = ["delete", "pod", *pods, "--namespace", story.document["namespace"], "--wait=false"]
    story.cluster.kubectl(*words)
    end = time.monotonic() + 120
    while former & {pod["metadata"]["uid"] for pod in story.pods().values() if pod}:
        assert time.monotonic() < end, "a pod does not go"
        time.sleep(1)
    second = story.wait_until_done()
    assert second["alice"]["own"]["started"] == first["alice"]["own"]["started"]
    assert story.model() == model


def test_a_changed_job_starts_a_new_run_by_the_other_protocol_too(story: Deployment) -> None:
    first = story.status()
    story.document["job"]["training"]["epochs"] = 2
    story.document["job"]["protocol"] = "aby3"
    assert (
        "not the one in the values" in story.deployer("doctor", "--no-probes", check=False).stdout
    )
    story.deployer("apply", "--timeout", "300")
    second = story.status()
    for party in PARTIES:
        assert second[party]["own"]["job"] != first[party]["own"]["job"]
        assert second[party]["own"]["epochs"] == 2
    here, there = local_model(story), story.model()
    assert there["job"] == here["job"] == second["alice"]["own"]["job"]
    assert there["protocol"] == here["protocol"] == "aby3"
    assert weights(there) == pytest.approx(weights(here), abs=FIXED_POINT)


def test_delete_says_what_goes_and_asks(story: Deployment) -> None:
    unasked = story.deployer("delete", check=False)
    assert unasked.returncode == 2 and "--yes" in unasked.stderr
    assert "StatefulSet fraud-alice" in unasked.stdout
    assert "PersistentVolumeClaim" not in unasked.stdout and "Secret" not in unasked.stdout
    assert story.pods()["alice"] is not None


def test_delete_keeps_volumes_tables_and_keys_unless_told(story: Deployment) -> None:
    namespace = story.document["namespace"]
    story.deployer("delete", "--yes")
    kinds = {name.partition("/")[0] for name in left_in(story.cluster, namespace)}
    assert (
        {"persistentvolumeclaim", "secret"} <= kinds <= {"persistentvolumeclaim", "secret", "pod"}
    )

    # What is kept is found again: the job is done, and not run once more.
    story.deployer("apply", "--timeout", "120")
    assert story.model()["job"]

    story.deployer("delete", "--yes", "--volumes", "--secrets")
    story.cluster.kubectl(
        *("wait", "pvc", "--all", f"--namespace={namespace}", "--for=delete", "--timeout=120s")
    )
    assert left_in(story.cluster, namespace) == set()


def test_a_quota_and_a_limit_range_are_asked_before_anything_is_changed(
    deployment: Deployment,
) -> None:
    """No pod starts: what is tried is what the API says of those that would be made."""
    namespace, cluster = deployment.document["namespace"], deployment.cluster
    meta = {"namespace": namespace, "name": "small"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta}
    most = {"type": "PersistentVolumeClaim", "max": {"storage": "32Mi"}}
    spec: Object = {"limits": [most]}
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": spec}

    def refused(**hard: str) -> str:
        cluster.apply(quota | {"spec": {"hard": {k.replace("_", "."): v for k, v in hard.items()}}})
        for key, number in hard.items():
            path = f"{{.status.hard.{key.replace('_', chr(92) + '.')}}}={number}"
            words = ("wait", "resourcequota/small", f"--namespace={namespace}")
            cluster.kubectl(*words, f"--for=jsonpath={path}", "--timeout=60s")
        ran = deployment.deployer("apply", "--no-wait", check=False)
        assert ran.returncode == 2 and "nothing was changed" in ran.stderr
        assert left_in(cluster, namespace) <= {"resourcequota/small", "limitrange/small"}
        return ran.stderr

    assert "must specify limits.cpu for: party" in refused(limits_cpu="1")
    for party in PARTIES:
        deployment.document[party]["resources"]["limits"] = {"cpu": "2"}
    assert "exceeded quota: small, requested: limits.cpu=2" in refused(limits_cpu="1")
    assert "requested: requests.storage=64Mi" in refused(limits_cpu="6", requests_storage="1Mi")
    cluster.kubectl("delete", "resourcequota/small", f"--namespace={namespace}")
    cluster.apply(limits)
    assert "maximum storage usage per PersistentVolumeClaim is 32Mi" in refused(pods="9")
    cluster.kubectl("delete", "limitrange/small", f"--namespace={namespace}")
    deployment.deployer("apply", "--no-wait")
    assert cluster.get("statefulsets", namespace)
