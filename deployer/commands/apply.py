"""``deployer apply``: puts the enabled parties onto their clusters, and waits for the job."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from deployer import console as screen
from deployer.cli import new_app
from deployer.cluster.client import Change, Cluster, Object
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
from deployer.commands.status import watch
from deployer.manifests.render import DEMO, objects
from party.agreement.job import PARTIES

app = new_app()


def wanted(target: Target) -> Iterator[tuple[str, Cluster, list[Object]]]:
    """Whose objects are to be in which cluster: for each party, and for the demo if it is on."""
    folders = objects(target.values)
    for place in target.places:
        yield place.party, place.cluster, folders.pop(place.party)
    if DEMO in folders and len(target.places) == len(PARTIES):
        yield DEMO, target.places[0].cluster, folders.pop(DEMO)


def apply_all(target: Target, force: bool = False) -> Iterator[tuple[str, Counter[Change]]]:
    """Server-side apply of every object; says for each party how many changed, and in what way."""
    for who, cluster, made in wanted(target):
        yield who, Counter(cluster.apply(one, force) for one in made)


@app.command()
def apply(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    wait: Annotated[
        bool, typer.Option(help="Wait until the job is done, and show what each party does.")
    ] = True,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait at most.", show_default=False)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take over what helm or kubectl installed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Install the enabled parties, or bring them up to date, and wait for the job.

    The same job applied again does nothing; a changed one starts a new run. Ctrl-C ends the
    waiting, not the job.

    Examples:

        deployer apply -f values.yaml

        deployer apply -f values.yaml --party bob --context police --no-wait
    """
    target = find(values, name, namespace, context, party)
    document: dict[str, Any] = {"changes": {}}
    for who, changes in apply_all(target, force):
        document["changes"][who] = dict(changes)
        if not as_json:
            said = ", ".join(f"{count} {change}" for change, count in sorted(changes.items()))
            print(f"{who:<7} {said}", flush=True)
    try:
        if wait:
            found = watch(target, timeout, quiet=as_json)
            document["parties"] = [one.document() for one in found]
    except KeyboardInterrupt:
        print("\nnot waiting any more; the job goes on: deployer status --watch", file=sys.stderr)
    if as_json:
        screen.print_json(document)
