"""Install order does not matter, nor does a restart before the start."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from tests.kind.cluster import Deployment

APART_S = 15
"""So long is one party alone before the next one comes."""


@pytest.mark.parametrize("order", [("server", "bob", "alice"), ("bob", "alice", "server")])
def test_any_party_may_come_first(deployment: Deployment, order: tuple[str, ...]) -> None:
    deployment.put_keys()
    deployment.put_tables()
    for party, _ in pairwise((*order, "")):
        deployment.deployer("apply", "--no-wait", "--party", party)
        if party != order[-1]:
            time.sleep(APART_S)
            found = deployment.status()
            assert found[party]["phase"] == "joining"
            assert found[order[-1]]["phase"] == "absent"
    found = deployment.wait_until_done()
    assert {one["restarts"] for one in found.values()} == {0}


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_a_restart_before_the_start_changes_nothing(deployment: Deployment, party: str) -> None:
    deployment.put_keys()
    deployment.put_tables()
    for each in ("alice", "bob"):
        deployment.deployer("apply", "--no-wait", "--party", each)
    deployment.wait(lambda found: all(found[one]["phase"] == "joining" for one in ("alice", "bob")))
    namespace = deployment.document["namespace"]
    deployment.cluster.kubectl("delete", "pod", deployment.pod(party), "--namespace", namespace)
    deployment.deployer("apply", "--timeout", "240")
    assert {one["phase"] for one in deployment.status().values()} == {"done"}
