"""A cluster: its version, its clock and its storage."""

from __future__ import annotations

import time
from collections.abc import Iterator

from deployer.cluster.client import Cluster
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.process.errors import KitError

OLDEST = (1, 27)
"""The first Kubernetes whose StatefulSets say what becomes of their volumes."""

_SKEW_S = 30


def of_cluster(place: Place, target: Target) -> Iterator[Check]:
    """Version, clock and storage of a cluster."""
    cluster, name = place.cluster, str(place.cluster)
    try:
        version = cluster.version()
    except KitError as error:
        yield Check.of_error(name, "cluster", error)
        return
    text = "Kubernetes {}.{}".format(*version)
    if version < OLDEST:
        oldest = "{}.{}".format(*OLDEST)
        yield Check(name, "version", Outcome.WRONG, text, f"use a cluster of {oldest} or newer")
    else:
        yield Check(name, "version", Outcome.OK, text)
    off = abs(cluster.clock() - time.time())
    # Its answer says whole seconds, and took a moment.
    yield of_clock(name, max(0.0, off - 1), "the API server")
    yield _storage(cluster, target.values.storage.class_name)


def of_clock(about: str, off_s: float, whose: str) -> Check:
    """Whether a clock is near enough to this machine's."""
    if off_s <= _SKEW_S:
        return Check(about, "clock", Outcome.OK, f"{whose} and this machine agree")
    return Check(
        about,
        "clock",
        Outcome.WRONG,
        f"{whose} and this machine are {off_s:.0f} s apart",
        "set the clocks right (NTP): certificates that just began or end are refused otherwise",
    )


def _storage(cluster: Cluster, name: str) -> Check:
    about, what = str(cluster), "storage"
    try:
        classes = cluster.select("storage.k8s.io/v1", "StorageClass", "")
    except KitError:
        return Check(about, what, Outcome.UNKNOWN, "no right to see the storage classes")
    names = sorted(one["metadata"]["name"] for one in classes)
    have = f"one of: {', '.join(names)}" if names else "the cluster has none: install one"
    if name:
        if name in names:
            return Check(about, what, Outcome.OK, f"storage class {name}")
        says = f"there is no storage class {name!r}"
        return Check(about, what, Outcome.WRONG, says, f"set storage.className to {have}")
    default = "storageclass.kubernetes.io/is-default-class"
    for one in classes:
        if one["metadata"].get("annotations", {}).get(default) == "true":
            says = f"storage class {one['metadata']['name']}, the default"
            return Check(about, what, Outcome.OK, says)
    says = "the cluster has no default storage class"
    return Check(about, what, Outcome.WRONG, says, f"set storage.className to {have}")
