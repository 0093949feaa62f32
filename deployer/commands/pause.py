"""``deployer pause``: takes a release's pods off their nodes, and says what is kept."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deployer import console
from deployer.cluster.client import Object
from deployer.cluster.installed import locate
from deployer.cluster.keeping import at_work, checkpoint_age, has_volume, lost_with_pod
from deployer.cluster.pod_status import DONE, Observation, is_paused
from deployer.cluster.target import (
    ContextOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    Place,
    Release,
    ValuesOption,
)
from deployer.commands import new_app
from deployer.commands.status import check_there, observe_all

app = new_app()


def owners(release: Release) -> list[tuple[Place, Object]]:
    """The StatefulSets of a release's parties that are installed here; InputError if none is."""
    check_there(release)
    read = [
        (place, place.cluster.read("apps/v1", "StatefulSet", place.name, place.namespace))
        for place in release.places
    ]
    return [(place, owner) for place, owner in read if owner is not None]


@app.command()
def pause(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a loss.")] = False,
) -> None:
    """Take the pods of a release off their nodes until it is resumed, and say what is kept.

    Volumes, keys and tables stay. A run goes on from its checkpoint when all three are back; where
    there is none yet, you are asked first.

    Examples:

        deployer pause

        deployer pause --name scoring --party bob --yes
    """
    release = locate(values, name, namespace, context, party)
    at = [(place, owner) for place, owner in owners(release) if not is_paused(owner)]
    seen = observe_all([place for place, _ in at])
    lost = {
        one.party: said
        for (_, owner), one in zip(at, seen, strict=True)
        if (said := lost_with_pod(owner, one))
    }
    if lost:
        said = "; ".join(f"{party}: {what}" for party, what in lost.items())
        print(f"this loses something: {said}", file=sys.stderr, flush=True)
        if not yes:
            console.see_to_somebody("say --yes to lose it")
            typer.confirm("pause all the same?", abort=True, err=True)
    paused = {place.party for place, _ in at}
    for place in release.places:
        if place.party not in paused:
            print(f"{place.party:<7} is not there, or paused already")
    for (place, owner), one in zip(at, seen, strict=True):
        place.cluster.scale(place.name, place.namespace, 0)
        print(f"{place.party:<7} paused: {_kept(owner, one)}", flush=True)
    if at:
        print("do: deployer resume")


def _kept(owner: Object, seen: Observation) -> str:
    if not has_volume(owner):
        return "it has no volume, and starts from nothing"
    if at_work(seen) and (age := checkpoint_age(seen)):
        return f"its volume has a checkpoint of {age} ago, from which the run goes on"
    if seen.phase == DONE:
        return "its volume has the result"
    return "its volume is kept"
