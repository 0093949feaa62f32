"""Two pods for a minute: whether a cluster starts the image, finds names and enforces policies.

Nothing but trying tells whether a network plugin enforces NetworkPolicies: they are accepted
without a word where none does. The pods are the kit's own image, hold nothing and are removed.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass

from deployer.cluster.client import Cluster, Object
from deployer.cluster.short_lived import made, not_running, pod
from deployer.manifests.values import Values
from party.process.errors import JobError

_PORT = 7000
_START_S, _BITE_S = 120.0, 30.0

_LISTEN = f"""
import socket
listener = socket.create_server(("", {_PORT}))
while True:
    listener.accept()[0].close()
"""

_CONNECT = """
import json, socket, sys
answers = {}
for text in sys.argv[1:]:
    host, _, port = text.rpartition(":")
    try:
        address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0][4]
    except OSError:
        answers[text] = "unknown"
        continue
    try:
        socket.create_connection(address[:2], 3).close()
        answers[text] = "open"
    except ConnectionRefusedError:
        answers[text] = "closed"
    except OSError:
        answers[text] = "silent"
print(json.dumps(answers))
"""

OPEN, CLOSED, SILENT, UNKNOWN = "open", "closed", "silent", "unknown"
"""How an address answers: it takes connections; it is there, and nothing listens; it cannot be
reached; its name is not known."""


def connect(cluster: Cluster, pod: str, namespace: str, addresses: list[str]) -> dict[str, str]:
    """How addresses ``host:port`` answer to a pod: one of the four words above for each."""
    command = ["python", "-c", _CONNECT, *addresses]
    ran = cluster.execute(pod, namespace, command, timeout_s=15 + 8 * len(addresses))
    try:
        answers = json.loads(ran.stdout)
        return {address: str(answers[address]) for address in addresses}
    except (ValueError, KeyError, TypeError):
        raise JobError(
            "a probe in the pod gave no answer", f"{pod}, namespace {namespace}"
        ) from None


@dataclass(frozen=True)
class Findings:
    """What a probe found: sentences about what is wrong, empty where nothing is."""

    image: str = ""
    names: str = ""
    network: str = ""
    policies: str = ""


def probe(cluster: Cluster, namespace: str, values: Values) -> Findings:
    """Start two pods in a namespace and let one connect to the other, without and with a policy.

    Raises InputError where the rights to do that are missing.
    """
    mark = secrets.token_hex(3)
    with ExitStack() as stack:
        listener, client = (
            stack.enter_context(made(cluster, _pod(f"{role}-{mark}", namespace, code, values)))
            for role, code in (("listener", _LISTEN), ("client", "import time; time.sleep(600)"))
        )
        for name in (listener, client):
            if wrong := not_running(cluster, name, namespace, _START_S):
                return Findings(image=wrong)
        there = cluster.read("v1", "Pod", listener, namespace) or {}
        address = _address(there["status"]["podIP"])
        # Its own certificate names the API server so, in every cluster of this domain.
        known = f"kubernetes.default.svc.{values.cluster_domain}:443"
        answers = connect(cluster, client, namespace, [address, known])
        names = ""
        if answers[known] == UNKNOWN:
            names = f"a pod does not find {known.removesuffix(':443')}"
        if answers[address] != OPEN:
            return Findings(names=names, network="one pod cannot connect to another")
        stack.enter_context(made(cluster, _wall(f"wall-{mark}", namespace, listener)))
        deadline = time.monotonic() + _BITE_S
        while connect(cluster, client, namespace, [address])[address] == OPEN:
            if time.monotonic() > deadline:
                return Findings(names=names, policies="a policy that lets nobody in let a pod in")
            time.sleep(1)
        return Findings(names=names)


def _address(ip: str) -> str:
    return f"[{ip}]:{_PORT}" if ":" in ip else f"{ip}:{_PORT}"


def _pod(name: str, namespace: str, code: str, values: Values) -> Object:
    name = f"tfe-kit-doctor-{name}"
    labels = {"app.kubernetes.io/name": "tfe-kit-doctor", "tfe-kit/probe": name}
    return pod(name, namespace, labels, code, values, lives_s=600)


def _wall(name: str, namespace: str, around: str) -> Object:
    """A policy that lets nobody in."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"tfe-kit-doctor-{name}", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"tfe-kit/probe": around}},
            "policyTypes": ["Ingress"],
            "ingress": [],
        },
    }
