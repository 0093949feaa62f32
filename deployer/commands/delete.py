"""``deployer delete``: takes the parties off their clusters, after it has said what goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from deployer import console
from deployer.cluster.client import RBAC, Cluster, NotAllowedError, Object
from deployer.cluster.installed import is_of, is_of_another, locate
from deployer.cluster.target import (
    ContextOption,
    JsonOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    Place,
    Release,
    ValuesOption,
)
from deployer.commands import new_app
from deployer.manifests.render import DEMO

app = new_app()


@dataclass(frozen=True)
class Doomed:
    """An object that is to go, and where it is."""

    whose: str
    cluster: Cluster
    one: Object

    @property
    def namespace(self) -> str:
        """Where it is in its cluster."""
        return str(self.one["metadata"].get("namespace", ""))

    def __str__(self) -> str:
        return f"{self.one['kind']} {self.one['metadata']['name']}"

    @property
    def by_helm(self) -> bool:
        """Whether helm put it there."""
        labels = self.one["metadata"].get("labels", {})
        return bool(labels.get("app.kubernetes.io/managed-by") == "Helm")

    def found(self) -> Doomed | None:
        """The object as it is in its cluster; None if it is not."""
        kind, name = self.one["kind"], self.one["metadata"]["name"]
        try:
            one = self.cluster.read(self.one["apiVersion"], kind, name, self.namespace)
        except NotAllowedError:
            optional = self.whose != DEMO and (self.one["apiVersion"], kind) in _OPTIONAL
            if optional:  # so nobody of us made it
                return None
            raise
        return None if one is None else replace(self, one=one)

    def document(self) -> dict[str, str]:
        """For ``--json``."""
        name = self.one["metadata"]["name"]
        where = {"cluster": str(self.cluster), "namespace": self.namespace}
        return {"party": self.whose, **where, "kind": self.one["kind"], "name": name}


def doomed(release: Release, whole: bool, volumes: bool, secrets: bool) -> list[Doomed]:
    """What there is to remove, in order: the owners of pods first, so that none is made again.

    The objects have fixed names, so that nobody needs the right to list, nor the values. What is
    no party's goes if the ``whole`` release does.
    """
    ours = [each for place in release.places for each in _of_party(place)]
    ours += _of_nobody(release) if whole else ()
    found = [there for each in ours if (there := each.found()) and is_of(release.name, there.one)]
    for place in release.places:
        own = [("PersistentVolumeClaim", place.claim)] if volumes else []  # not one that was given
        table = _at(place, "v1", "PersistentVolumeClaim", f"{place.name}-table").found()
        if volumes and table is not None and is_of(release.name, table.one):
            found.append(table)
        secret = (place.keys_secret, place.checkpoint_secret, *place.approvals_secrets)
        models = (place.model_secret, place.start_secret)
        named = (*secret, *models, *place.table_secrets)
        own += [("Secret", name) for name in named if secrets]
        given = [_at(place, "v1", kind, name).found() for kind, name in own]
        found += [each for each in given if each and not is_of_another(release.name, each.one)]
    return found


_OPTIONAL = (
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("cert-manager.io/v1", "Certificate"),
    (RBAC, "RoleBinding"),
    (RBAC, "Role"),
)
"""What is there only where the values asked for it: what operators of the cluster's own look for,
and the right to make events."""


def _of_party(place: Place) -> Iterator[Doomed]:
    yield _at(place, "apps/v1", "StatefulSet", place.name)
    yield _at(place, "v1", "Service", place.name)
    yield _at(place, "v1", "Service", f"{place.name}-external")
    yield _at(place, "v1", "ConfigMap", place.name)
    yield _at(place, "v1", "ServiceAccount", place.name)
    yield _at(place, "policy/v1", "PodDisruptionBudget", place.name)
    yield _at(place, "networking.k8s.io/v1", "NetworkPolicy", place.name)
    yield _at(place, "v1", "ConfigMap", f"{place.name}-dashboard")
    for version, kind in _OPTIONAL:
        yield _at(place, version, kind, place.name)


def _of_nobody(release: Release) -> Iterator[Doomed]:
    """What lets out the pod of ``helm test``, and what made the demo's keys and tables."""
    demo = replace(release.places[0], name=f"{release.name}-{DEMO}", namespace=release.namespace)
    yield replace(
        _at(demo, "networking.k8s.io/v1", "NetworkPolicy", f"{release.name}-test"), whose="test"
    )
    config = _at(demo, "v1", "ConfigMap", demo.name)
    if config.found() is None:
        return
    labels = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component={DEMO}"
    for job in demo.cluster.select("batch/v1", "Job", demo.namespace, labels):
        yield replace(_at(demo, "batch/v1", "Job", job["metadata"]["name"]), whose=DEMO)
    yield replace(config, whose=DEMO)
    yield replace(_at(demo, "v1", "ServiceAccount", demo.name), whose=DEMO)
    yield replace(_at(demo, "networking.k8s.io/v1", "NetworkPolicy", demo.name), whose=DEMO)
    for place in release.places:
        for kind in ("RoleBinding", "Role"):
            one = _at(place, RBAC, kind, f"{place.name}-{DEMO}")
            yield replace(one, whose=DEMO)


def _at(place: Place, version: str, kind: str, name: str) -> Doomed:
    meta = {"name": name, "namespace": place.namespace}
    return Doomed(
        place.party, place.cluster, {"apiVersion": version, "kind": kind, "metadata": meta}
    )


@app.command()
def delete(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes", help="The volumes too: checkpoints, ledger, the model and tables."
        ),
    ] = False,
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="The Secrets with tables, models, keys and approvals too."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the parties of a release. Volumes and Secrets are kept unless told otherwise.

    Examples:

        deployer delete

        deployer delete --name scoring --volumes --secrets --yes
    """
    release = locate(values, name, namespace, context, party)
    found = doomed(release, not party, volumes, secrets)
    if not as_json:
        print("\n".join(_said(found)) or "there is nothing to remove")
    if found and not yes:
        console.see_to_somebody("say --yes to remove all of this")
        typer.confirm("remove all of this?", abort=True, err=True)
    for each in found:
        each.cluster.delete(each.one)
    if as_json:
        console.print_json([each.document() for each in found])
    elif found:
        print(f"removed {len(found)} objects")
        if any(each.by_helm for each in found):
            print(f"do: helm uninstall {release.name} --namespace {release.namespace}")


def _said(found: list[Doomed]) -> Iterator[str]:
    heading = None
    for each in sorted(found, key=lambda each: each.whose):
        if heading != (heading := f"{each.whose} in namespace {each.namespace}, {each.cluster}:"):
            yield heading
        yield f"  {each}"
