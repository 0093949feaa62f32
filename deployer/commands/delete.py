"""``deployer delete``: takes the parties off their clusters, after it has said what goes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from deployer import console as screen
from deployer.cli import new_app
from deployer.cluster.client import Cluster, Object
from deployer.cluster.target import (
    ContextOption,
    JsonOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    Target,
    ValuesOption,
    find,
)
from deployer.commands.apply import wanted
from party.process.errors import InputError

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

    def document(self) -> dict[str, str]:
        """For ``--json``."""
        name = self.one["metadata"]["name"]
        where = {"cluster": str(self.cluster), "namespace": self.namespace}
        return {"party": self.whose, **where, "kind": self.one["kind"], "name": name}


def doomed(target: Target, volumes: bool, secrets: bool) -> list[Doomed]:
    """What there is to remove, in order: the owners of pods first, so that none is made anew."""
    found = []
    for whose, cluster, made in wanted(target):
        found += [Doomed(whose, cluster, one) for one in sorted(made, key=_order)]
    for place in target.places:
        own = [("PersistentVolumeClaim", place.claim)] if volumes else []
        own += [("Secret", name) for name in (place.keys_secret, *place.table_secrets) if secrets]
        for kind, name in own:
            meta = {"name": name, "namespace": place.namespace}
            one = {"apiVersion": "v1", "kind": kind, "metadata": meta}
            found.append(Doomed(place.party, place.cluster, one))
    return [each for each in found if _is_there(each)]


@app.command()
def delete(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    volumes: Annotated[
        bool,
        typer.Option("--volumes", help="The volumes too: checkpoints and, at Alice, the model."),
    ] = False,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="The Secrets with tables and keys too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the enabled parties. Volumes, tables and keys are kept unless told otherwise.

    Examples:

        deployer delete

        deployer delete --volumes --secrets --yes
    """
    target = find(values, name, namespace, context, party)
    found = doomed(target, volumes, secrets)
    if not as_json:
        print("\n".join(_said(found)) or "there is nothing to remove")
    if found and not yes:
        if not sys.stdin.isatty():
            raise InputError("nobody is there to ask", hint="say --yes to remove all of this")
        typer.confirm("remove all of this?", abort=True, err=True)
    for each in found:
        each.cluster.delete(each.one)
    if as_json:
        screen.print_json([each.document() for each in found])
    elif found:
        print(f"removed {len(found)} objects")


def _said(found: list[Doomed]) -> Iterator[str]:
    heading = None
    for each in sorted(found, key=lambda each: each.whose):
        if heading != (heading := f"{each.whose} in namespace {each.namespace}, {each.cluster}:"):
            yield heading
        yield f"  {each}"


def _order(one: Object) -> int:
    return 0 if one["kind"] in ("StatefulSet", "Job") else 1


def _is_there(each: Doomed) -> bool:
    version, kind, name = each.one["apiVersion"], each.one["kind"], each.one["metadata"]["name"]
    return each.cluster.read(version, kind, name, each.namespace) is not None
