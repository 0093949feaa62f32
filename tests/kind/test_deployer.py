"""The deployer's own way: keys, tables, apply, status, result; and the way out."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.kind.cluster import EXAMPLE, PARTIES, Deployment, left_in, weights

FIXED_POINT = 2e-3
"""How far two runs may be apart: each truncation may fall to either side of a bit."""


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_the_cluster_trains_the_model_that_one_machine_trains(
    deployment: Deployment, protocol: str
) -> None:
    deployment.document["job"]["protocol"] = protocol
    deployment.put_keys()
    deployment.put_tables()
    said = deployment.deployer("apply", "--timeout", "240").stdout
    assert [line.split()[0] for line in said.splitlines()[:3]] == list(PARTIES)
    assert {one["phase"] for one in deployment.status().values()} == {"done"}

    local = deployment.room / "local"
    tables = [f"--{party}={EXAMPLE / f'{party}.csv'}" for party in ("alice", "bob")]
    job = deployment.room / "job.yaml"
    deployment.cluster.deployer("run", job, *tables, "--output", local)
    here = json.loads((local / "alice" / "model.json").read_text())
    there = deployment.model()
    assert there["job"] == here["job"] and there["plan"] == here["plan"]
    assert weights(there) == pytest.approx(weights(here), abs=FIXED_POINT)


def test_the_same_job_again_does_nothing_and_a_changed_one_runs(
    installed: Callable[[], Deployment],
) -> None:
    deployment = installed()
    first = deployment.wait_until_done()
    pods = deployment.pods()

    again = deployment.deployer("apply", "--timeout", "60").stdout
    assert "created" not in again and "changed" not in again.replace("unchanged", "")
    assert {p: pod["metadata"]["uid"] for p, pod in deployment.pods().items()} == {
        p: pod["metadata"]["uid"] for p, pod in pods.items()
    }
    assert deployment.status()["alice"]["own"]["started"] == first["alice"]["own"]["started"]

    deployment.document["job"]["training"]["epochs"] = 2
    deployment.deployer("apply", "--timeout", "240")
    second = deployment.status()
    for party in PARTIES:
        assert second[party]["own"]["job"] != first[party]["own"]["job"]
        assert second[party]["own"]["epochs"] == 2
    assert deployment.model()["job"] == second["alice"]["own"]["job"]


def test_a_finished_job_survives_its_pods(installed: Callable[[], Deployment]) -> None:
    deployment = installed()
    first = deployment.wait_until_done()
    model = deployment.model()
    namespace = deployment.document["namespace"]
    for party in PARTIES:
        deployment.cluster.kubectl("delete", "pod", deployment.pod(party), "--namespace", namespace)
    second = deployment.wait_until_done()
    assert second["alice"]["own"]["started"] == first["alice"]["own"]["started"]
    assert deployment.model() == model


def test_delete_says_what_goes_and_keeps_volumes_tables_and_keys_unless_told(
    installed: Callable[[], Deployment],
) -> None:
    deployment = installed()
    namespace = deployment.document["namespace"]
    deployment.wait_until_done()

    unasked = deployment.deployer("delete", check=False)
    assert unasked.returncode == 2 and "--yes" in unasked.stderr
    assert "StatefulSet fraud-alice" in unasked.stdout
    assert deployment.pods()["alice"] is not None

    deployment.deployer("delete", "--yes")
    kinds = {name.partition("/")[0] for name in left_in(deployment.cluster, namespace)}
    assert kinds <= {"persistentvolumeclaim", "secret", "pod"}
    assert {"persistentvolumeclaim", "secret"} <= kinds

    # What is kept is found again: the job is done, and not run once more.
    deployment.deployer("apply", "--timeout", "120")
    deployment.deployer("delete", "--yes", "--volumes", "--secrets")
    deployment.cluster.kubectl(
        *("wait", "pvc", "--all", f"--namespace={namespace}", "--for=delete", "--timeout=120s")
    )
    assert left_in(deployment.cluster, namespace) == set()
