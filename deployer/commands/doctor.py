"""``deployer doctor``: checks before and after a deployment, each with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from deployer import console
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
from deployer.commands import new_app
from deployer.doctor.admission import of_admission
from deployer.doctor.approvals import of_approvals
from deployer.doctor.check import Check, Outcome
from deployer.doctor.cluster import of_cluster
from deployer.doctor.former import of_former
from deployer.doctor.job import of_job
from deployer.doctor.keys import of_authorities, of_keys
from deployer.doctor.network import of_network
from deployer.doctor.rights import of_rights
from deployer.doctor.running import of_pod_and_peers
from deployer.doctor.table import of_table

app = new_app()

Checks = tuple[Callable[[Place, Target], Iterator[Check]], ...]

OF_A_CLUSTER: Checks = (of_cluster,)
"""Once for each cluster."""

OF_A_PARTY: Checks = (
    of_rights,
    of_admission,
    of_keys,
    of_table,
    of_former,
    of_approvals,
    of_job,
)
"""What it needs before it runs."""

OF_ALL = (of_authorities,)
"""Of all parties together, before they run."""

PROBES: Checks = (of_network,)
"""Once for each cluster too; they start pods."""

AT_WORK: Checks = (of_pod_and_peers,)
"""Of each party that runs."""


def examine(target: Target, probes: bool = True) -> Iterator[Check]:
    """All checks, one by one, as they are made."""
    one_of_each_cluster = list({id(place.cluster): place for place in target.places}.values())
    yield from _each(OF_A_CLUSTER, one_of_each_cluster, target)
    yield from _each(OF_A_PARTY, target.places, target)
    for check in OF_ALL:
        yield from check(target)
    if probes:
        yield from _each(PROBES, one_of_each_cluster, target)
    yield from _each(AT_WORK, target.places, target)


def _each(checks: Checks, places: Sequence[Place], target: Target) -> Iterator[Check]:
    for place in places:
        for check in checks:
            yield from check(place, target)


@app.command()
def doctor(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    probes: Annotated[
        bool,
        typer.Option(help="Start two pods in each cluster for a minute, to try image and network."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check clusters, rights, Secrets and network, before the installation and after it.

    Exits with 1 if something is wrong, and says what to do about it.

    Examples:

        deployer doctor

        deployer doctor -f values.yaml --party bob --context police --no-probes
    """
    target = find(values, name, namespace, context, party)
    width = max(len(name) for place in target.places for name in (place.party, str(place.cluster)))
    checks = []
    for check in examine(target, probes):
        checks.append(check)
        if not as_json:
            _show(check, width)
    if as_json:
        console.print_json([asdict(check) for check in checks])
    if any(check.outcome is Outcome.WRONG for check in checks):
        raise typer.Exit(1)


def _show(check: Check, width: int) -> None:
    line = f"{check.about:<{width}} {check.what:<13} {check.says}"
    if console.on_terminal():
        from rich.console import Console
        from rich.text import Text

        colours = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.WRONG: "red"}
        mark = Text(f"{check.outcome:<8}", style=colours.get(check.outcome, "dim"))
        Console().print(mark.append(line, style="default"))
    else:
        print(f"{check.outcome:<8}{line}", flush=True)
    if check.do and check.outcome is not Outcome.OK:
        print(f"{'':<8}do: {check.do}", flush=True)
