"""The cluster that the tests run on, and deployments to try on it.

By default the tests make a kind cluster of their own and remove it, with the node image in
``KIND_NODE_IMAGE`` or kind's own default. With ``TFE_KIT_CLUSTER=current`` they use the current
context instead, whose nodes must be able to get ``TFE_KIT_IMAGE``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kind.cluster import EXAMPLE, ROOT, Cluster, Deployment, require, run

IMAGE = "tfe-kit:test"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kind)


@pytest.fixture(scope="session")
def image() -> str:
    """The kit's image, built from the working copy."""
    if given := os.environ.get("TFE_KIT_IMAGE"):
        return given
    require("docker")
    run("docker", "build", "--tag", IMAGE, ROOT, timeout=1800)
    return IMAGE


@pytest.fixture(scope="session")
def cluster(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the image in it."""
    require("kubectl", "helm")
    if os.environ.get("TFE_KIT_CLUSTER") == "current":
        config = os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser()
        yield Cluster(Path(config), image)
        return
    require("docker", "kind")
    name = f"tfe-kit-{secrets.token_hex(3)}"
    mine = Cluster(tmp_path_factory.mktemp("cluster") / "kubeconfig", image)
    node = ["--image", given] if (given := os.environ.get("KIND_NODE_IMAGE")) else []
    try:
        run(
            "kind",
            "create",
            "cluster",
            "--name",
            name,
            "--wait",
            "180s",
            *node,
            env=mine.environment,
        )
        mine.load(image)
        yield mine
    finally:
        run("kind", "delete", "cluster", "--name", name, env=mine.environment)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that takes restricted pods only, gone after the test."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def job() -> dict[str, Any]:
    """The example's job."""
    return dict(yaml.safe_load((EXAMPLE / "job.yaml").read_text()))


@pytest.fixture
def deployment(cluster: Cluster, namespace: str, job: dict[str, Any], tmp_path: Path) -> Deployment:
    """All three parties in one namespace, to be installed: no pods, keys or tables yet."""
    return Deployment(cluster, tmp_path, plain_values(cluster, namespace, job))


def plain_values(cluster: Cluster, namespace: str, job: dict[str, Any]) -> dict[str, Any]:
    """Values without the demo, with the image that the nodes have, and small requests."""
    repository, _, tag = cluster.image.rpartition(":")
    small = {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}}
    return {
        "namespace": namespace,
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "demo": {"enabled": False},
        "job": job,
        "storage": {"size": "64Mi"},
        "terminationGracePeriodSeconds": 5,
        "alice": dict(small),
        "bob": dict(small),
        "server": dict(small),
    }


@pytest.fixture
def installed(deployment: Deployment) -> Callable[[], Deployment]:
    """Puts keys and tables there and applies the values, without waiting."""

    def install() -> Deployment:
        deployment.put_keys()
        deployment.put_tables()
        deployment.deployer("apply", "--no-wait")
        return deployment

    return install
