"""The cluster that the tests run on, and deployments to try on it.

By default each process of tests makes a kind cluster of its own and removes it, with the node image
in ``KIND_NODE_IMAGE`` or kind's own default: what one does to its nodes disturbs no other. With
``TFE_KIT_CLUSTER=current`` they use the current context instead, whose nodes must be able to get
``TFE_KIT_IMAGE``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from party.process import files
from tests.kind.cluster import EXAMPLE, ROOT, Cluster, Deployment, kind_cluster, require, run

IMAGE = "tfe-kit:test"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kind)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The kit's image, built from the working copy."""
    if given := os.environ.get("TFE_KIT_IMAGE"):
        return given
    require("docker")
    # One process builds; the next finds every layer built.
    with files.locked(tmp_path_factory.getbasetemp().parent / "image.lock"):
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
    with kind_cluster(tmp_path_factory.mktemp("cluster") / "kubeconfig", image) as made:
        yield made


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that takes restricted pods only, gone after the test."""
    with cluster.namespace() as name:
        yield name


def example_job() -> dict[str, Any]:
    """The example's job."""
    return dict(yaml.safe_load((EXAMPLE / "job.yaml").read_text()))


@pytest.fixture
def deployment(cluster: Cluster, namespace: str, tmp_path: Path) -> Deployment:
    """All three parties in one namespace, to be installed: no pods, keys or tables yet."""
    return Deployment(cluster, tmp_path, plain_values(cluster, namespace, example_job()))


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
