"""``deployer status``: what each party is doing, and what is missing where one does nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from deployer import console
from deployer.cluster.installed import locate, names_in
from deployer.cluster.pod_status import (
    ABSENT,
    BROKEN,
    DONE,
    FAILED,
    Observation,
    left_behind,
    observe,
)
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
from party.process.errors import InputError, JobError

app = new_app()

_EVERY_S = 2.0


def observe_all(places: Sequence[Place]) -> list[Observation]:
    """All parties at once, in their order."""
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as pool:
        return left_behind(list(pool.map(observe, places)))


def watch(release: Release, timeout_s: float | None, quiet: bool = False) -> list[Observation]:
    """Show all parties until each is done; returns what was seen last.

    A party that failed is started again by its cluster, and one that lacks something goes on when
    it gets it: neither ends the waiting.

    Raises:
        JobError: not all were done in time; the pods stay as they are.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with console.Watch(release.elsewhere, quiet) as view:
        while True:
            found = observe_all(release.places)
            view.show(found)
            late = [one for one in found if one.phase != DONE]
            if not late:
                return found
            if deadline is not None and time.monotonic() > deadline:
                said = "; ".join(f"{one.party} is {one.phase}: {one.says}" for one in late)
                hint = "nothing was stopped: go on looking with deployer status --watch"
                raise JobError(f"not done within {timeout_s:.0f} seconds", said, hint)
            time.sleep(_EVERY_S)


@app.command()
def status(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    watching: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on until all are done.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="With --watch: seconds to wait at most.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what each party is doing: phase, step, pace, time left, and what it waits for.

    Where a party does not run, say what its pod is missing: a Secret, the image, a volume, a node.
    Exits with 1 if a party is broken, has failed or is absent, and with 2 if nothing is there.

    Examples:

        deployer status

        deployer status --name scoring --namespace work --watch

        deployer status -f values.yaml --context alice=bank --party alice --json
    """
    release = locate(values, name, namespace, context, party)
    check_there(release)
    found = watch(release, timeout, quiet=as_json) if watching else observe_all(release.places)
    if as_json:
        console.print_json(
            {"parties": [one.document() for one in found], "elsewhere": release.elsewhere}
        )
    elif not watching and console.on_terminal():
        from rich.console import Console

        Console().print(console.table(found, release.elsewhere))
    elif not watching:
        print("\n".join(console.lines(found, release.elsewhere)))
    if any(one.phase in (BROKEN, FAILED, ABSENT) for one in found):
        raise typer.Exit(1)


def check_there(release: Release) -> None:
    """Raises InputError if nothing of a release is in its clusters, with those that are."""
    if release.found:
        return
    clusters = list(dict.fromkeys(place.cluster for place in release.places))
    others = [one for one in names_in(clusters, release.namespace) if one != release.name]
    where = f"namespace {release.namespace}, {', '.join(str(one) for one in clusters)}"
    hint = "install it: deployer apply, or helm install; or name another --namespace or --context"
    if others:
        hint = f"there is {' and '.join(others)} here: name it with --name"
    raise InputError(f"there is no release {release.name!r}", where, hint)
