"""A release as it stands in a cluster: found by its name and namespace, whatever its values were.

Who installed it, with what and from where does not matter: names of Secrets stand in the parties'
StatefulSets, the job and where the others are in their ConfigMaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.cluster.client import Cluster, NotAllowedError, Object
from deployer.cluster.target import (
    Place,
    Release,
    check_parties,
    clusters_of,
    find,
    namespace_of,
)
from deployer.manifests.values import DEMO_JOB, TABLE_PARTS
from party.agreement.hosts import parse_hosts
from party.agreement.job import HOLDERS, PARTIES, Job, Party, parse_job
from party.process.errors import InputError

OURS = "app.kubernetes.io/name"
"""The label that every object of the kit has, with the value ``tfe-kit``."""

_INSTANCE = "app.kubernetes.io/instance"


def locate(
    files: Sequence[Path] | None,
    name: str = "",
    namespace: str = "",
    contexts: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
) -> Release:
    """The release that a command's options name: by values where there are some, or else by what
    is in the clusters.

    Without a name it is the only release of the namespace. A party that was installed in another
    namespace is found by the hosts map of those that are in this one. Nothing need be there: then
    the places are those of a release of this name.

    Raises InputError where a cluster cannot be asked, or where there are several releases.
    """
    if files:
        return find(files, name, namespace, contexts, only)
    check_parties(only)
    clusters = clusters_of(_asked_for(contexts, only), contexts)
    namespace = namespace or namespace_of(clusters.values())
    if not name:
        names = names_in(clusters.values(), namespace)
        if len(names) > 1:
            where = f"namespace {namespace}"
            raise InputError(f"there are {' and '.join(names)}", where, "say which one with --name")
        name = names[0] if names else DEMO_JOB.name
    release = _Search(name, namespace, clusters).release()
    if not only:
        return release
    # Only now: the others know where a party of another namespace is.
    places = tuple(place for place in release.places if place.party in only)
    elsewhere = {party: at for party, at in release.elsewhere.items() if party in only}
    return replace(release, places=places, elsewhere=elsewhere)


def names_in(clusters: Iterable[Cluster], namespace: str) -> list[str]:
    """The releases in a namespace of some clusters, as far as one may see them; each cluster is
    asked once."""
    names = set()
    for cluster in dict.fromkeys(clusters):
        try:
            found = cluster.select("apps/v1", "StatefulSet", namespace, f"{OURS}=tfe-kit")
        except NotAllowedError:
            continue
        labels = (one["metadata"].get("labels", {}) for one in found)
        names |= {one[_INSTANCE] for one in labels if _INSTANCE in one}
    return sorted(names)


def is_of(name: str, one: Object | None) -> bool:
    """Whether an object belongs to the release of a name."""
    labels = {} if one is None else one["metadata"].get("labels", {})
    return labels.get(OURS) == "tfe-kit" and labels.get(_INSTANCE) == name


def is_of_another(name: str, one: Object) -> bool:
    """Whether an object says that it belongs to another release, whose keys this one takes."""
    labels = one["metadata"].get("labels") or {}
    return labels.get(OURS) == "tfe-kit" and labels.get(_INSTANCE, name) != name


def jobs_in(config: Object | None) -> tuple[Job, ...]:
    """The jobs in a party's ConfigMap, in their order; none where one cannot be read."""
    try:
        data = (config or {})["data"]
        names = [f"job-{n}.yaml" for n in range(1, len(data) + 1) if f"job-{n}.yaml" in data]
        return tuple(parse_job(data[name], "") for name in names or ["job.yaml"])
    except (InputError, KeyError, TypeError):
        return ()


@dataclass(frozen=True)
class _Found:
    """A party's objects, as they are in a cluster; at least one of the two is there."""

    namespace: str
    owner: Object | None
    config: Object | None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What is installed, in its order; nothing for what this version cannot read."""
        return jobs_in(self.config)

    @property
    def addresses(self) -> dict[str, str]:
        """Where the parties are, by its hosts map."""
        try:
            hosts = parse_hosts((self.config or {})["data"]["config.json"], "")
        except (InputError, KeyError, TypeError):
            return {}
        return {party: str(address) for party, address in zip(PARTIES, hosts, strict=True)}


class _Search:
    def __init__(self, name: str, namespace: str, clusters: Mapping[str, Cluster]) -> None:
        self.name, self.namespace, self.clusters = name, namespace, clusters
        self.elsewhere: dict[str, str] = {}

    def release(self) -> Release:
        found = {
            party: one
            for party, cluster in self.clusters.items()
            if (one := self.look(party, cluster, self.namespace)) is not None
        }
        addresses = next((one.addresses for one in found.values() if one.addresses), {})
        places = []
        for party in PARTIES:
            namespace = _namespace_in(addresses.get(party, ""), f"{self.name}-{party}")
            if party not in found and namespace and party in self.clusters:
                self.follow(party, namespace, addresses[party], found)
            elif party not in found and party in addresses:
                self.elsewhere[party] = addresses[party]
            if party in self.clusters and party not in self.elsewhere:
                places.append(self.place(party, found.get(party), namespace or self.namespace))
        jobs = next((one.jobs for one in found.values() if one.jobs), ())
        return Release(self.name, self.namespace, tuple(places), self.elsewhere, jobs, bool(found))

    def look(self, party: str, cluster: Cluster, namespace: str) -> _Found | None:
        """A party's objects in a namespace, if they are there and this release's."""
        name = f"{self.name}-{party}"
        owner = cluster.read("apps/v1", "StatefulSet", name, namespace)
        config = cluster.read("v1", "ConfigMap", name, namespace)
        owner, config = (one if is_of(self.name, one) else None for one in (owner, config))
        return None if owner is config is None else _Found(namespace, owner, config)

    def follow(self, party: str, namespace: str, address: str, found: dict[str, _Found]) -> None:
        """Look for a party in the namespace that the others know it to be in; who may not look
        there takes it for one that is elsewhere."""
        try:
            there = self.look(party, self.clusters[party], namespace)
        except NotAllowedError:
            self.elsewhere[party] = address
            return
        if there is not None:
            found[party] = there

    def place(self, party: Party, found: _Found | None, namespace: str) -> Place:
        name = f"{self.name}-{party}"
        owner = {} if found is None else found.owner or {}
        jobs = () if found is None else found.jobs
        pod = owner.get("spec", {}).get("template", {}).get("spec", {})
        volumes = pod.get("volumes", [])
        command = [word for one in pod.get("containers", []) for word in one.get("command", [])]
        named = {volume["name"]: volume for volume in volumes}
        sources = named.get("table", {}).get("projected", {}).get("sources", [])
        claim = named.get("table", {}).get("persistentVolumeClaim", {}).get("claimName", "")
        tables = tuple(one["secret"]["name"] for one in sources if "secret" in one)
        usual = tuple(f"{name}-table-{part}" for part in range(TABLE_PARTS))
        return Place(
            party=party,
            cluster=self.clusters[party],
            namespace=namespace if found is None else found.namespace,
            name=name,
            job=" ".join(job.digest for job in jobs),
            queue=tuple(job.name for job in jobs) if "--queue" in command else (),
            keys_secret=_keys_secret(named.get("keys", {})) or f"{name}-keys",
            table_secrets=() if party not in HOLDERS or claim else tables or usual,
            table_claim=claim,
            labels=owner.get("metadata", {}).get("labels", {}),
            of_values=False,
        )


def _keys_secret(volume: Object) -> str:
    """The Secret of a pod's keys: of several, the first."""
    sources = [one["secret"]["name"] for one in volume.get("projected", {}).get("sources", [])]
    return str(volume.get("secret", {}).get("secretName", "") or (sources or [""])[0])


def _asked_for(contexts: Sequence[str] | None, only: Sequence[str] | None) -> list[str]:
    """The parties to look for: all, or those that have a context of their own if no context is for
    all of them."""
    named = [text.partition("=")[0] for text in contexts or ()]
    if not named or not set(named) <= set(PARTIES):
        return list(PARTIES)
    return [party for party in PARTIES if party in named or party in (only or ())]


def _namespace_in(address: str, name: str) -> str:
    """The namespace in a party's address, if it is that of a pod in this cluster's DNS."""
    label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    found = re.match(
        rf"{re.escape(name)}-0\.{re.escape(name)}\.(?P<namespace>{label})\.svc\.", address
    )
    return found["namespace"] if found else ""
