"""``helm install`` on an empty cluster: the demo runs to its end, is checked, and goes again."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kind.cluster import (
    CHART,
    EXAMPLE,
    PARTIES,
    RESTRICTED,
    Cluster,
    Deployment,
    Object,
    left_in,
    weights,
)

RELEASE = "demo"


DENY: Object = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
QUOTA: Object = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "quota"},
    "spec": {"hard": {"limits.cpu": "16", "limits.memory": "16Gi"}},
}


def install(cluster: Cluster, namespace: str, command: str = "install", *more: str) -> str:
    repository, _, tag = cluster.image.rpartition(":")
    image = f"image.repository={repository},image.tag={tag}"
    words: list[str] = [command, RELEASE, str(CHART), "--namespace", namespace, "--set", image]
    words += more
    return cluster.helm(*words).stdout


@pytest.fixture(scope="module")
def notes_and_demo(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Deployment]]:
    """The demo, installed by helm and done, and what helm said."""
    with cluster.namespace(RESTRICTED) as namespace:
        notes = install(cluster, namespace)
        room = tmp_path_factory.mktemp("demo")
        demo = Deployment(cluster, room, {"name": RELEASE, "namespace": namespace})
        demo.wait_until_done()
        yield notes, demo


@pytest.fixture
def demo(notes_and_demo: tuple[str, Deployment]) -> Deployment:
    """The demo, done."""
    return notes_and_demo[1]


def test_the_notes_lead_to_the_weights(notes_and_demo: tuple[str, Deployment]) -> None:
    notes, demo = notes_and_demo
    assert "demo" in notes
    [command] = [line.strip() for line in notes.splitlines() if "party result" in line]
    program, *words = command.split()
    assert program == "kubectl"
    model = json.loads(demo.cluster.kubectl(*words).stdout)
    assert len(weights(model)) == 17
    assert weights(model) == weights(demo.model())


def test_the_weights_are_shown_as_a_table_and_their_health_below(demo: Deployment) -> None:
    *lines, health = demo.deployer("result").stdout.splitlines()
    assert health.startswith("health: all 7000 rows were used")
    assert [line.split()[0] for line in lines] == [f"feature_{i}" for i in range(1, 17)] + [
        "intercept"
    ]


def test_helm_test_checks_the_release(demo: Deployment) -> None:
    tried = demo.cluster.helm("test", RELEASE, "--namespace", demo.document["namespace"])
    assert "Succeeded" in tried.stdout
    said = tried.stdout + tried.stderr
    assert all(f"{party}: done" in said for party in PARTIES)


def test_status_and_result_need_no_values(demo: Deployment) -> None:
    where = ["--name", RELEASE, "--namespace", demo.document["namespace"]]
    shown = demo.cluster.deployer("status", *where).stdout
    assert [line.split()[1] for line in shown.splitlines()] == ["done"] * 3
    assert json.loads(demo.cluster.deployer("result", *where, "--json").stdout) == demo.model()


def test_the_demo_has_given_its_rights_back(demo: Deployment) -> None:
    assert demo.cluster.get("rolebindings", demo.document["namespace"]) == []


def test_finished_pods_stay_up_and_ready(demo: Deployment) -> None:
    for pod in demo.pods().values():
        conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
        assert conditions["Ready"] == "True"


def test_an_upgrade_with_the_same_job_does_not_run_it_again(demo: Deployment) -> None:
    pods, status = demo.pods(), demo.status()
    install(demo.cluster, demo.document["namespace"], "upgrade")
    for party, pod in demo.pods().items():
        assert pod["metadata"]["uid"] == pods[party]["metadata"]["uid"]
        assert demo.status()[party]["own"]["started"] == status[party]["own"]["started"]
        assert demo.status()[party]["restarts"] == 0


def test_neither_keys_nor_tables_stand_in_the_release(demo: Deployment) -> None:
    namespace = demo.document["namespace"]
    releases = [
        secret
        for secret in demo.cluster.get("secrets", namespace)
        if secret["type"] == "helm.sh/release.v1"
    ]
    assert releases
    rows = (EXAMPLE / "alice.csv").read_text().splitlines()[1:20]
    labels = "\n".join((EXAMPLE / "bob.csv").read_text().splitlines()[1:40])
    model = [f"{abs(weight):.6f}" for weight in weights(demo.model())]
    for release in releases:
        # A Secret's base64 around helm's own base64 around gzip.
        packed = base64.b64decode(base64.b64decode(release["data"]["release"]))
        text = gzip.decompress(packed).decode()
        assert "StatefulSet" in text, "this is what a release holds"
        assert "PRIVATE KEY" not in text
        assert "BEGIN CERTIFICATE" not in text
        assert not any(one in text for one in (*rows, labels, json.dumps(labels)[1:-1], *model))


def test_the_model_is_in_no_log(demo: Deployment) -> None:
    said = demo.deployer("logs").stdout
    assert said
    for weight in weights(demo.model()):
        assert f"{abs(weight):.6f}" not in said
        assert repr(abs(weight)) not in said


def test_the_status_that_strangers_get_is_a_phase_and_counts(demo: Deployment) -> None:
    code = (
        "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8080/status').read())"
    )
    namespace = demo.document["namespace"]
    said = demo.cluster.inside(demo.pod("bob"), namespace, "python", "-c", code).stdout
    counts = {"epoch", "epochs", "step", "steps"}
    assert set(re.findall(r'"(\w+)":', said)) == {"version", "phase", *counts}


def test_it_works_where_nothing_is_let_through_and_every_limit_counts(
    cluster: Cluster, tmp_path: Path
) -> None:
    with cluster.namespace(RESTRICTED) as namespace:
        meta = {"namespace": namespace}
        cluster.apply(*(one | {"metadata": one["metadata"] | meta} for one in (DENY, QUOTA)))
        limits = [f"--set={party}.resources.limits.cpu=2" for party in PARTIES]
        install(cluster, namespace, "install", *limits)
        demo = Deployment(cluster, tmp_path, {"name": RELEASE, "namespace": namespace})
        demo.wait_until_done()
        tried = cluster.helm("test", RELEASE, "--namespace", namespace)
        assert "Succeeded" in tried.stdout
        cluster.helm("uninstall", RELEASE, "--namespace", namespace, "--wait")


def test_uninstall_leaves_nothing_behind(cluster: Cluster) -> None:
    with cluster.namespace(RESTRICTED) as namespace:
        install(cluster, namespace)
        demo = Deployment(cluster, CHART, {"name": RELEASE, "namespace": namespace})
        for party in PARTIES:
            cluster.kubectl(
                *("wait", f"pod/{demo.pod(party)}", f"--namespace={namespace}"),
                *("--for=jsonpath={.status.phase}=Running", "--timeout=120s"),
            )
        cluster.helm("uninstall", RELEASE, "--namespace", namespace, "--wait")
        for _ in range(60):
            if not (left := left_in(cluster, namespace)):
                break
            cluster.kubectl("wait", *left, f"--namespace={namespace}", "--for=delete", check=False)
        assert left == set()
