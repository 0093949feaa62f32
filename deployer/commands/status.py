"""``deployer status``: what each party is doing, and what is missing where one does nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from deployer import console as screen
from deployer.cli import new_app
from deployer.cluster.pod_status import DONE, Observation, observe
from deployer.cluster.target import (
    ContextOption,
    JsonOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    Place,
    Target,
    ValuesOption,
    find,
)
from party.process.errors import JobError

app = new_app()

_EVERY_S = 2.0


def observe_all(places: Sequence[Place]) -> list[Observation]:
    """All parties at once, in their order."""
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as pool:
        return list(pool.map(observe, places))


def watch(target: Target, timeout_s: float | None, quiet: bool = False) -> list[Observation]:
    """Show all parties until each is done; returns what was seen last.

    A party that failed is started again by its cluster, and one that lacks something goes on when
    it gets it: neither ends the waiting.

    Raises:
        JobError: not all were done in time; the pods stay as they are.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with screen.Watch(target.elsewhere, quiet) as view:
        while True:
            found = observe_all(target.places)
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

    Examples:

        deployer status

        deployer status -f values.yaml --context alice=bank --party alice --json
    """
    target = find(values, name, namespace, context, party)
    found = watch(target, timeout, quiet=as_json) if watching else observe_all(target.places)
    if as_json:
        screen.print_json(
            {"parties": [one.document() for one in found], "elsewhere": target.elsewhere}
        )
    elif watching:
        return
    elif screen.on_terminal():
        from rich.console import Console

        Console().print(screen.table(found, target.elsewhere))
    else:
        print("\n".join(screen.lines(found, target.elsewhere)))
