"""Install order does not matter, nor does a restart before the start."""

from __future__ import annotations

import time

import pytest

from tests.kind.cluster import Deployment

pytestmark = [pytest.mark.drawn, pytest.mark.in_turn]

ALONE_S = 10
"""So long each party waits before the next one comes."""


@pytest.mark.parametrize("order", [("server", "bob", "alice"), ("alice", "server", "bob")])
def test_any_party_may_come_first_and_be_restarted(
    deployment: Deployment, order: tuple[str, ...]
) -> None:
    first, second, last = order
    deployment.put_keys()
    deployment.put_tables()
    deployment.deployer("apply", "--no-wait", "--party", first)
    deployment.wait_for_phase(first, "joining")
    time.sleep(ALONE_S)
    found = deployment.status()
    assert (found[first]["phase"], found[last]["phase"]) == ("joining", "absent")

    deployment.deployer("apply", "--no-wait", "--party", second)
    namespace = deployment.document["namespace"]
    deployment.cluster.kubectl("delete", "pod", deployment.pod(first), "--namespace", namespace)
    time.sleep(ALONE_S)
    deployment.wait(lambda found: found[first]["phase"] == found[second]["phase"] == "joining")

    deployment.deployer("apply", "--timeout", "900", "--party", last)
    assert {one["restarts"] for one in deployment.wait_until_done().values()} == {0}
