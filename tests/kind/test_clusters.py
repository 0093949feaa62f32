"""Parties in different clusters find each other at the addresses in the values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kind.cluster import PARTIES, RESTRICTED, Cluster, Deployment, kind_cluster, require
from tests.kind.conftest import example_job, plain_values

pytestmark = pytest.mark.in_turn

NODE_PORT = 30700


@pytest.fixture
def other_cluster(image: str, tmp_path: Path) -> Iterator[Cluster]:
    """A second cluster, beside the tests' own."""
    require("docker", "kind")
    with kind_cluster(tmp_path / "kubeconfig", image) as made:
        yield made


@pytest.mark.slow
def test_alice_trains_with_two_parties_in_another_cluster(
    cluster: Cluster, other_cluster: Cluster, tmp_path: Path
) -> None:
    both = Cluster(tmp_path / "both", cluster.image)
    places = {"alice": cluster, "bob": other_cluster, "server": other_cluster}
    merged = f"{cluster.kubeconfig}:{other_cluster.kubeconfig}"
    read = Cluster(Path(merged), cluster.image)
    both.kubeconfig.write_text(read.kubectl("config", "view", "--raw").stdout)
    both.kubeconfig.chmod(0o600)
    current = {
        place: Cluster(place.kubeconfig, "").kubectl("config", "current-context").stdout.strip()
        for place in (cluster, other_cluster)
    }
    contexts = {party: place.context or current[place] for party, place in places.items()}
    with cluster.namespace(RESTRICTED) as here, other_cluster.namespace(RESTRICTED) as there:
        document = plain_values(cluster, there, example_job())
        document["alice"]["namespace"] = here
        # A policy may look at the port before the node's translation or after it: they are one.
        document["ports"] = {"party": NODE_PORT}
        for party, place in places.items():
            document[party]["address"] = f"{place.node_address()}:{NODE_PORT}"
            document[party]["service"] = {"type": "NodePort", "nodePort": NODE_PORT}
        # Nobody connects to the third server: its address only tells it from the others.
        document["server"] |= {"address": "server.example:7000", "service": {}}
        deployment = Deployment(both, tmp_path, document, contexts)
        deployment.put_keys()
        deployment.put_tables()
        for party in PARTIES:
            deployment.deployer("apply", "--no-wait", "--party", party)
        deployment.wait_until_done()
        assert len(deployment.model()["weights"]) == 16
