"""By probes: whether a cluster starts the image, finds names and enforces policies."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from deployer.doctor.network_probe import probe
from party.process.errors import InputError, KitError


def of_network(place: Place, target: Target) -> Iterator[Check]:
    """Whether a cluster starts the image, finds names and enforces policies."""
    name, values = str(place.cluster), target.values
    try:
        found = probe(place.cluster, place.namespace, values)
    except InputError as error:
        yield Check(name, "network", Outcome.UNKNOWN, error.what, error.hint or "")
        return
    except KitError as error:
        yield Check.of_error(name, "network", error)
        return
    image = values.image.reference
    if found.image:
        do = "push it there, or (kind) kind load docker-image; image.pullSecrets if it is private"
        yield Check(name, "image", Outcome.WRONG, found.image, do)
        return
    yield Check(name, "image", Outcome.OK, f"{image} starts")
    yield Check.unless(found.names, name, "names", "set clusterDomain to the cluster's DNS domain")
    yield Check.unless(found.network, name, "pod to pod", "ask the cluster's administrator")
    if not found.network:
        do = "use a network plugin that enforces policies, such as Calico or Cilium"
        if not values.network_policy.enabled:
            yield Check(name, "policies", Outcome.WARNING, "switched off in the values")
        else:
            yield Check.unless(found.policies, name, "policies", do)
