"""What a cluster would say of the pods and claims that its controllers are to make.

Quotas, limit ranges and Pod Security look at a pod and at a claim when these are made, and at a
StatefulSet not at all: it would be taken, its old pod ended, and the new one refused for ever. So
the pod of its template, and its claims, are put to the API for a dry run before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

from deployer.cluster.client import Cluster, Object
from party.process.errors import KitError

_EXCEEDED = re.compile(
    r"exceeded quota: [^,]+, requested: (?P<requested>\S+), used: (?P<used>\S+), "
    r"limited: (?P<limited>\S+)"
)
BY_A_POLICY = "denied the request"
"""A webhook's word. Some let no person make a pod, and take the one that a controller makes."""

_OVER = ("Succeeded", "Failed")
"""Phases of a pod that no quota counts any more."""


def would_make(owner: Object, accounts: Collection[str]) -> Iterator[Object]:
    """The claims and the pod that the controller makes of a StatefulSet or a Job, first the claims.

    Args:
        owner: as it is to be applied.
        accounts: the service accounts that are there. A pod of one that is not is refused for that
            alone, so that it is asked for with the namespace's default.
    """
    kind, meta, spec = owner["kind"], owner["metadata"], owner["spec"]
    if "template" not in spec or spec.get("replicas") == 0:
        return
    name = f"{meta['name']}-0" if kind == "StatefulSet" else meta["name"]
    pod = deepcopy(spec["template"]["spec"])
    for template in spec.get("volumeClaimTemplates", ()):
        claim = deepcopy(template) | {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        volume = claim["metadata"]["name"]
        claim["metadata"] |= {"name": f"{volume}-{name}", "namespace": meta.get("namespace", "")}
        yield claim
        mounted = {"name": volume, "persistentVolumeClaim": {"claimName": f"{volume}-{name}"}}
        pod["volumes"] = [*pod.get("volumes", ()), mounted]
    if pod.get("serviceAccountName") not in accounts:
        pod.pop("serviceAccountName", None)
    labels = spec["template"]["metadata"]
    own = {"name": name, "namespace": meta.get("namespace", "")}
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": deepcopy(labels) | own, "spec": pod}


def rehearse_made(
    cluster: Cluster, owner: Object, accounts: Collection[str]
) -> Iterator[tuple[Object, KitError]]:
    """What of it the API would refuse, each with its reason; ``owner`` as in ``would_make``."""
    for one in would_make(owner, accounts):
        meta = one["metadata"]
        try:
            there = cluster.read("v1", one["kind"], meta["name"], meta["namespace"])
            if there is not None and one["kind"] != "Pod":  # which outlives pods
                continue
            cluster.rehearse_creation(one, partial(fits_instead, pod=there))
        except KitError as error:
            yield one, error


def fits_instead(message: str, pod: Object | None) -> bool:
    """Whether what exceeds a quota, by the API's own sentence, does not once this pod is gone."""
    if pod is None:
        return False
    from kubernetes.utils.quantity import parse_quantity

    found = _EXCEEDED.search(message)
    if found is None:
        return False
    numbers = (dict(one.split("=") for one in text.split(",")) for text in found.groups())
    try:
        requested, used, limited = (
            {key: parse_quantity(number) for key, number in each.items()} for each in numbers
        )
        return all(
            used[key] - _held(pod, key) + more <= limited[key] for key, more in requested.items()
        )
    except (ValueError, KeyError):  # said in another way than ever
        return False


def _held(pod: Object, key: str) -> Any:
    """What a pod takes of a quota's key: ``pods``, ``cpu``, ``limits.memory``."""
    from kubernetes.utils.quantity import parse_quantity

    if pod.get("status", {}).get("phase") in _OVER:
        return 0
    if key in ("pods", "count/pods"):
        return 1
    part, _, resource = key.partition(".")
    if part not in ("requests", "limits"):
        part, resource = "requests", key
    spec = pod.get("spec", {})

    def of(container: Object) -> Any:
        return parse_quantity(container.get("resources", {}).get(part, {}).get(resource, 0))

    # As Kubernetes counts them: sidecars stay, other init containers come before, each alone.
    first = spec.get("initContainers", ())
    beside = sum(of(one) for one in first if one.get("restartPolicy") == "Always")
    before = max((of(one) for one in first if one.get("restartPolicy") != "Always"), default=0)
    running = sum(of(one) for one in spec.get("containers", ()))
    return max(running, before) + beside + parse_quantity(spec.get("overhead", {}).get(resource, 0))
