"""Pods of the kit's own image that live for one command, as restricted as a party's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deployer.cluster.client import Cluster, Object
from deployer.cluster.pod_status import BROKEN, of_pod
from deployer.manifests.values import Values


def pod(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    code: str,
    values: Values,
    lives_s: int,
) -> Object:
    """A pod that runs some Python and has nothing in it; it ends after so many seconds at most."""
    user = values.security.user
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": lives_s,
            "imagePullSecrets": [{"name": secret} for secret in values.image.pull_secrets],
            "securityContext": {
                "runAsNonRoot": True,
                **({"runAsUser": user, "runAsGroup": user} if user else {}),
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": values.image.reference,
                    "imagePullPolicy": values.image.pull_policy,
                    "command": ["python", "-c", code],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "500m", "memory": "128Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


@contextmanager
def made(cluster: Cluster, wanted: Object) -> Iterator[str]:
    """An object that is there while the block runs; its name."""
    cluster.create(wanted)
    try:
        yield wanted["metadata"]["name"]
    finally:
        cluster.delete(wanted, grace_s=0)


def not_running(cluster: Cluster, name: str, namespace: str, start_s: float) -> str:
    """What keeps a pod from running, after so many seconds; empty once it runs."""
    deadline = time.monotonic() + start_s
    says = "its pod did not start"
    while time.monotonic() < deadline:
        there = cluster.read("v1", "Pod", name, namespace)
        if there is None:
            return "its pod was removed by somebody else"
        found = of_pod(there, cluster.events(there))
        if found is None:
            return ""
        phase, says, _ = found
        if phase == BROKEN:
            return says
        time.sleep(0.5)
    return f"{says}, after {start_s:.0f} seconds still"


def container(one: Object) -> dict[str, Any]:
    """A pod's one container."""
    [found] = one["spec"]["containers"]
    assert isinstance(found, dict)
    return found
