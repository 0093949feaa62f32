"""Where the values ask for it, a party's states are events on its pod, and its token is for no
more."""

from __future__ import annotations

import time

import pytest

from tests.kind.cluster import PARTIES, Cluster, Deployment

pytestmark = pytest.mark.in_turn

WITHIN_S = 600.0
REJOIN_S = 90
KUBELET_PORT = 10250
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 4)"


def api_server(cluster: Cluster) -> tuple[list[str], int]:
    """Where policies see it: its networks and its port."""
    [one, *_] = cluster.get("endpointslices", "default")
    length = 128 if one["addressType"] == "IPv6" else 32
    networks = [f"{address}/{length}" for each in one["endpoints"] for address in each["addresses"]]
    return networks, one["ports"][0]["port"]


def told(deployment: Deployment, party: str) -> dict[str, str]:
    """The events of the kit's on a party's pod: reason and type."""
    place = deployment.namespace(party), deployment.pod(party)
    found = deployment.cluster.get("events", place[0])
    return {
        one["reason"]: one["type"]
        for one in found
        if one["source"].get("component") == "tfe-kit" and one["involvedObject"]["name"] == place[1]
    }


def wait_for(deployment: Deployment, party: str, reason: str) -> str:
    """The type of an event, once it is there."""
    end = time.monotonic() + WITHIN_S
    while reason not in (found := told(deployment, party)):
        assert time.monotonic() < end, (party, reason, found, deployment.status())
        time.sleep(1)
    return found[reason]


def test_a_loss_and_a_failure_are_events_on_the_pods(
    deployment: Deployment, cluster: Cluster
) -> None:
    networks, port = api_server(cluster)
    deployment.document["events"] = {"apiServer": networks, "port": port}
    deployment.document["rejoinLimitSeconds"] = REJOIN_S
    deployment.document["job"]["training"] |= {"epochs": 1_000_000, "learning_rate": 0.01}
    deployment.put_keys()
    deployment.deployer("apply", "--no-wait")
    assert wait_for(deployment, "alice", "AwaitsInput") == "Warning"
    deployment.put_tables()
    for party in PARTIES:
        assert wait_for(deployment, party, "Running") == "Normal"

    address = networks[0].partition("/")[0]
    for at, is_open in ((port, True), (KUBELET_PORT, False)):
        place = deployment.pod("alice"), deployment.namespace("alice")
        tried = cluster.inside(*place, "python", "-c", CONNECT, address, str(at))
        assert (tried.returncode == 0) is is_open, (at, tried.stderr)

    here, bob = deployment.namespace("bob"), deployment.pod("bob")
    cluster.kubectl("delete", "pod", bob, "--namespace", here, "--grace-period=0", "--force")
    assert wait_for(deployment, "alice", "PeerLost") == "Warning"
    for party in PARTIES:
        assert wait_for(deployment, party, "Rejoined") == "Normal"

    deployment.deployer("pause", "--party", "bob", "--yes")
    assert wait_for(deployment, "bob", "Stopped") == "Normal"
    assert wait_for(deployment, "alice", "PeerUnreachable") == "Warning"
    shown = cluster.kubectl("describe", "pod", deployment.pod("alice"), "--namespace", here).stdout
    for reason in ("AwaitsInput", "PeerLost", "Rejoined", "PeerUnreachable"):
        assert reason in shown

    def may(verb: str, resource: str, namespace: str = here) -> bool:
        who = f"--as=system:serviceaccount:{here}:{deployment.name}-alice"
        words = ["auth", "can-i", verb, resource, "--namespace", namespace, who]
        return cluster.kubectl(*words, check=False).stdout.strip() == "yes"

    assert may("create", "events") and not may("create", "events", "default")
    for verb, resource in (("list", "events"), ("get", "secrets"), ("get", "pods")):
        assert not may(verb, resource)

    del deployment.document["events"]
    deployment.deployer("resume", "--party", "bob")
    said = deployment.deployer("apply", "--no-wait", "--yes").stdout
    assert said.count("2 removed") == len(PARTIES)
    assert cluster.get("role", here) == cluster.get("rolebinding", here) == []
