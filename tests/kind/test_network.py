"""Who is not a party does not get to a party's port; and where policies are off, no further."""

from __future__ import annotations

import pytest

from tests.kind.cluster import Cluster, Deployment

pytestmark = pytest.mark.in_turn

TRY = """
import socket, ssl, sys
host, how = sys.argv[1:]
try:
    stream = socket.create_connection((host, 7000), 4)
except OSError as error:
    print("no connection:", type(error).__name__)
    sys.exit(0)
stream.settimeout(10)
try:
    if how == "tls":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        stream = context.wrap_socket(stream)
        # In TLS 1.3 the client is told after its own handshake that it lacks a certificate.
        stream.send(b"\\x00" * 64)
    else:
        stream.send(b"GET / HTTP/1.1\\r\\n\\r\\n")
    print("answer:", stream.recv(64))
except OSError as error:
    print("refused:", type(error).__name__)
"""
"""Connects to a party's port without a certificate, or without TLS at all."""


def alice_waits(deployment: Deployment) -> str:
    """Alice alone, listening for the others; her name."""
    deployment.put_keys()
    deployment.put_tables()
    deployment.deployer("apply", "--no-wait", "--party", "alice")
    deployment.wait_for_phase("alice", "joining")
    return f"fraud-alice-0.fraud-alice.{deployment.document['namespace']}.svc.cluster.local"


def attempt(cluster: Cluster, pod: str, namespace: str, host: str, how: str) -> str:
    return cluster.inside(pod, namespace, "python", "-c", TRY, host, how).stdout.strip()


LISTENING = """
ports = set()
for table in ("/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"):
    for line in open(table).read().splitlines()[1:]:
        fields = line.split()
        if "udp" in table or fields[3] == "0A":
            ports.add(int(fields[1].rpartition(":")[2], 16))
print(*sorted(ports))
"""
"""Every port on which anything in the pod listens, as its kernel tells it."""


def test_a_pod_listens_for_its_peers_and_for_probes_and_for_nothing_else(
    deployment: Deployment, cluster: Cluster
) -> None:
    alice_waits(deployment)
    place = deployment.pod("alice"), deployment.namespace("alice")
    assert cluster.inside(*place, "python", "-c", LISTENING).stdout.split() == ["7000", "8080"]


def test_only_parties_reach_a_party_port(deployment: Deployment, cluster: Cluster) -> None:
    host = alice_waits(deployment)
    here = deployment.document["namespace"]
    as_bob = {
        "app.kubernetes.io/name": "tfe-kit",
        "app.kubernetes.io/instance": "fraud",
        "app.kubernetes.io/component": "bob",
    }
    cluster.pod_runs("stranger", here)
    cluster.pod_runs("stands-in-for-bob", here, **as_bob)
    with cluster.namespace() as elsewhere:
        cluster.pod_runs("stranger", elsewhere)
        cluster.pod_runs("looks-like-bob", elsewhere, **as_bob)
        # A fresh policy takes a moment to bite, and a pod that it lets in a moment to be known.
        for _ in range(20):
            let_in = attempt(cluster, "stands-in-for-bob", here, host, "plain")
            if not let_in.startswith("no connection"):
                break
        assert not let_in.startswith("no connection"), "the way is there for whom it is meant"
        for pod, namespace in (
            ("stranger", here),
            ("stranger", elsewhere),
            ("looks-like-bob", elsewhere),
        ):
            said = attempt(cluster, pod, namespace, host, "tls")
            assert said.startswith("no connection"), f"{pod} in {namespace}: {said}"


def test_without_policies_nobody_gets_past_the_handshake(
    deployment: Deployment, cluster: Cluster
) -> None:
    deployment.document["networkPolicy"] = {"enabled": False}
    host = alice_waits(deployment)
    here = deployment.document["namespace"]
    cluster.pod_runs("stranger", here)
    for how in ("tls", "plain", "tls", "plain"):
        said = attempt(cluster, "stranger", here, host, how)
        assert said.startswith("refused:") or said == "answer: b''", said
    # The others are not kept out by it.
    deployment.deployer("apply", "--timeout", "240")
    assert {one["phase"] for one in deployment.status().values()} == {"done"}


def test_a_party_reaches_nothing_but_its_peers_and_dns(
    deployment: Deployment, cluster: Cluster
) -> None:
    alice_waits(deployment)
    here = deployment.document["namespace"]
    code = "import socket; socket.create_connection(('kubernetes.default.svc', 443), 4)"
    tried = cluster.inside(deployment.pod("alice"), here, "python", "-c", code)
    assert tried.returncode != 0
    assert "timed out" in tried.stderr or "refused" in tried.stderr.lower()
    # The name was found: it is the connection that is not let out.
    assert "Name or service" not in tried.stderr
