"""``deployer logs``: what the parties' programs wrote."""

from __future__ import annotations

import contextlib
import heapq
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Annotated

import typer

from deployer.cluster.installed import locate
from deployer.cluster.target import (
    ContextOption,
    JobNameOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    Place,
    ValuesOption,
)
from deployer.commands import new_app
from deployer.commands.status import check_there
from party.process.errors import InputError, KitError

app = new_app()


@app.command()
def logs(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    job_name: JobNameOption = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what is written from now on.")
    ] = False,
    previous: Annotated[
        bool, typer.Option("--previous", help="Of the run before the last restart.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, help="The last lines only.", show_default=False)
    ] = None,
) -> None:
    """Show what the parties wrote, each line with its party's name where there are several.

    Lines of several parties stand in the order of their times; with --follow as they come.

    Examples:

        deployer logs --party bob --tail 20

        deployer logs --follow
    """
    release = locate(values, name, namespace, context, party)
    check_there(release)
    if job_name:
        release.job(job_name)
    only = job_name if len(release.jobs) > 1 else ""
    places = release.places
    if not follow:
        missing: list[KitError] = []
        written: list[Iterator[_Line]] = []
        for place in places:
            try:
                written.append(_timed(place, list(_lines(place, False, previous, tail, only))))
            except KitError as error:
                missing.append(error)
        for moment in heapq.merge(*written, key=lambda one: one.time):
            _show(moment.place, iter([moment.text]), len(places) > 1)
        if missing:
            raise missing[0]
        return
    # Each follows a stream of its own; Ctrl-C ends them with the process.
    threads = [
        Thread(
            target=_follow,
            args=(place, previous, tail, only, len(places) > 1),
            daemon=True,
            name=place.pod,
        )
        for place in places
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _lines(place: Place, follow: bool, previous: bool, tail: int | None, job: str) -> Iterator[str]:
    if place.cluster.read("v1", "Pod", place.pod, place.namespace) is None:
        raise InputError(
            f"{place.party} has no pod", f"namespace {place.namespace}", "see deployer status"
        )
    lines = place.cluster.logs(place.pod, place.namespace, follow, previous, tail)
    return (line for line in lines if not job or f'"job": {json.dumps(job)}' in line)


@dataclass(frozen=True)
class _Line:
    """What a party wrote, and when: in UTC, in a form of ISO 8601 that sorts as moments do."""

    time: str
    place: Place
    text: str


def _timed(place: Place, lines: Iterable[str]) -> Iterator[_Line]:
    """The lines with their times. One without a time belongs to the line before it."""
    time = ""
    for text in lines:
        with contextlib.suppress(ValueError, AttributeError):
            time = max(time, str(json.loads(text).get("time", "")))
        yield _Line(time, place, text)


def _show(place: Place, lines: Iterator[str], named: bool) -> None:
    for line in lines:
        sys.stdout.write(f"{place.party}: {line}\n" if named else f"{line}\n")
        sys.stdout.flush()


def _follow(place: Place, previous: bool, tail: int | None, job: str, named: bool) -> None:
    try:
        _show(place, _lines(place, True, previous, tail, job), named)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
