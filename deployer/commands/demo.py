"""``deployer demo``: the demo's keys and tables, made in the cluster where there are none.

A Job of the release runs this. The keys come from an authority that is forgotten at once; the
tables are those of the example. Each Secret belongs to its party's ConfigMap, so that the cluster
removes it when the release goes; none of it stands in the release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from deployer.certs.authority import make_authority, make_party
from deployer.cluster.client import RBAC, Cluster, Object
from deployer.cluster.secrets import keys_secret, table_secrets
from deployer.cluster.target import Place, place_of
from deployer.commands import new_app
from deployer.commands.data import Owner, split
from deployer.example import EXAMPLE
from deployer.manifests.render import Facts
from deployer.manifests.values import load_values
from party.agreement.job import Job
from party.process.errors import InputError, KitError

MADE_HERE = "tfe-kit/demo"
"""Label of the Secrets that this made, and may take away again."""

_OWNER_WAIT_S = 60.0


def fill(places: Sequence[Place], job: Job) -> list[str]:
    """Put keys and tables where there are none; returns the names of the Secrets that were made.

    What somebody else put there is left alone. Keys are made for all parties or for none, since
    they come from one authority. Raises InputError where only some of them are there.
    """
    keys = [(place, place.keys_secret) for place in places]
    made = _complete(keys, keys, partial(_keys, places, job))
    for place in places:
        if place.table_secrets:
            parts = [(place, name) for name in place.table_secrets]
            # The first has the manifest, and is made last.
            made += _complete(parts, parts[:1], partial(_table, place, job))
    return made


def give_back(places: Sequence[Place]) -> None:
    """End the rights that the work took: nobody who gets at this pod's account later is to read
    keys and tables with it. A binding that stays is said; the work is done all the same."""
    for place in places:
        meta = {"name": f"{place.name}-demo", "namespace": place.namespace}
        binding = {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": meta}
        try:
            place.cluster.delete(binding)
        except KitError as error:
            print(f"the rights in namespace {place.namespace} stay: {error.what}", flush=True)


def _keys(places: Sequence[Place], job: Job) -> list[Object]:
    authority = make_authority(job.domain)
    return [
        _of_release(place, keys_secret(place, make_party(authority, place.party)))
        for place in places
    ]


def _table(place: Place, job: Job) -> list[Object]:
    manifest, parts = split(EXAMPLE / f"{place.party}.csv", job, Owner(place.party))
    return [_of_release(place, secret) for secret in table_secrets(place, manifest, parts)]


def _complete(
    possible: Sequence[tuple[Place, str]],
    needed: Sequence[tuple[Place, str]],
    make: Callable[[], list[Object]],
) -> list[str]:
    """Make Secrets that belong together, unless those that are needed are there already."""
    there = {}
    for place, name in possible:
        secret = place.cluster.read("v1", "Secret", name, place.namespace)
        if secret is not None:
            there[place.namespace, name] = place, secret
    if all((place.namespace, name) in there for place, name in needed):
        return []
    others = [
        name
        for (_, name), (_, secret) in there.items()
        if MADE_HERE not in secret["metadata"].get("labels", {})
    ]
    if others:
        raise InputError(
            f"some of the Secrets are there and some are not: there is {', '.join(others)}",
            hint="make the others too (deployer certs, deployer data), or delete these",
        )
    for place, secret in there.values():  # left by an attempt that broke off
        place.cluster.delete(secret)
    made = make()
    cluster = possible[0][0].cluster
    for secret in reversed(made):
        cluster.create(secret)
    return [secret["metadata"]["name"] for secret in made]


def _of_release(place: Place, secret: Object) -> Object:
    """A Secret that goes when the party's ConfigMap goes, and that is known as the demo's."""
    owner = _owner(place)
    reference = {key: owner[key] for key in ("apiVersion", "kind")} | {
        key: owner["metadata"][key] for key in ("name", "uid")
    }
    metadata = secret["metadata"]
    labels = metadata["labels"] | {MADE_HERE: "true"}
    return secret | {
        "metadata": metadata | {"labels": labels, "ownerReferences": [reference]},
    }


def _owner(place: Place) -> Object:
    end = time.monotonic() + _OWNER_WAIT_S
    while time.monotonic() < end:
        owner = place.cluster.read("v1", "ConfigMap", place.name, place.namespace)
        if owner is not None:
            return owner
        time.sleep(1)
    raise InputError(
        f"{place.party} is not installed",
        f"ConfigMap {place.name}, namespace {place.namespace}",
        "install all parties with the demo: deployer apply, or helm install",
    )


app = new_app()


@app.command()
def demo(
    values: Annotated[Path, typer.Argument(help="The release's values.", show_default=False)],
) -> None:
    """Make the demo's keys and tables in the cluster, where there are none.

    Example: deployer demo values.yaml
    """
    chosen = load_values([values])
    if not chosen.demo.enabled:
        raise InputError("the demo is switched off", str(values), "set demo.enabled to true")
    cluster = Cluster()
    places = [place_of(placed, cluster) for placed in Facts(chosen).parties]
    made = fill(places, chosen.job)
    print(f"made {', '.join(made)}" if made else "keys and tables are there already", flush=True)
    give_back(places)
