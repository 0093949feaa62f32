"""The demo on clusters of other addresses: IPv6 alone, and both families."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kind.cluster import PARTIES, Deployment, kind_cluster, require, weights
from tests.kind.test_demo import RELEASE, install

pytestmark = [pytest.mark.drawn, pytest.mark.in_turn]


@pytest.mark.parametrize("family", ["ipv6", "dual"])
def test_the_demo_runs_whatever_the_family_of_addresses(
    family: str, image: str, tmp_path: Path
) -> None:
    require("docker", "kind", "kubectl", "helm")
    with (
        kind_cluster(tmp_path / "kubeconfig", image, family) as cluster,
        cluster.namespace() as namespace,
    ):
        install(cluster, namespace)
        demo = Deployment(cluster, tmp_path, {"name": RELEASE, "namespace": namespace})
        demo.wait_until_done()
        assert len(weights(demo.model())) == 17
        assert "Succeeded" in cluster.helm("test", RELEASE, "--namespace", namespace).stdout
        addresses = [each["ip"] for pod in demo.pods().values() for each in pod["status"]["podIPs"]]
        assert len(addresses) == len(PARTIES) * (2 if family == "dual" else 1)
        assert any(":" in address for address in addresses)
