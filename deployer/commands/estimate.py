"""``deployer estimate``: what a job will take, before it runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from deployer import console
from deployer.cluster.target import JsonOption
from deployer.commands import new_app
from party.agreement.job import AlignedJob, Job, Sizes, load_job
from party.agreement.limits import MOST_ROWS
from party.process.errors import InputError
from party.reporting.documents import EstimateDocument, TimeEstimate
from party.runtime import default_cache

app = new_app()

_MEMORY = {
    "arena": "arena_bytes",
    "buffers": "buffer_bytes",
    "table": "table_bytes",
    "process": "base_bytes",
    "in all": "bytes",
    "of it to a file": "file_bytes",
}
"""The parts of a party's memory: how they are headed, and what the document calls them."""


@app.command()
def estimate(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job's YAML file.")],
    rtt: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Of a round trip between two parties.", show_default=False),
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(
            metavar="MBIT", help="A second, of each party's line.", show_default="no limit"
        ),
    ] = None,
    rows_in_common: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            help="Of a job with align: how many rows you think are in common.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            help="Of a job with align.join: left: how many rows the scored table has.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where plans are kept.", show_default="~/.cache/tfe-kit")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a job will take: messages, bytes, memory and time.

    Takes no table. It reads the schedules that the parties would run, or builds them first, and
    tries them on this machine for about a second. What it says of a job with align begins when its
    rows are matched.
    """
    from deployer.estimate import Apart
    from deployer.estimate import estimate as estimated

    agreed = _sized(load_job(job), job, rows_in_common, rows)
    apart = None
    if rtt is not None or bandwidth is not None:
        apart = Apart(_number(rtt, "--rtt", least=0.0) or 0.0, _number(bandwidth, "--bandwidth"))
    found = estimated(agreed, cache or default_cache(), apart)
    if as_json:
        more = {"privacy": agreed.told_of_privacy} if agreed.privacy else {}
        console.print_json(found.as_json() | more)
    elif console.on_terminal():
        from rich.console import Console

        terminal = Console()
        said = (_summary(agreed.name, found), *agreed.told_of_privacy)
        terminal.print(*said, sep="\n", highlight=False)
        for table in _tables(found):
            terminal.print(_rich(table))
    else:
        print("\n".join((_summary(agreed.name, found), *agreed.told_of_privacy)))
        for table in _tables(found):
            print("\n".join(_lines(table)))


def _sized(job: Job, path: Path, in_common: int | None, scored: int | None) -> Job:
    """The job as it is after its alignment, if it has one: of two tables with just these rows."""
    takes = (job.matches and job.left is None, job.left is not None)
    options = ("--rows-in-common", "--rows")
    for option, given, taken in zip(options, (in_common, scored), takes, strict=True):
        if given is not None and not taken:
            what = "the job matches no rows" if not any(takes) else "the job's size is another one"
            hint = f"say {options[takes.index(True)]} instead" if any(takes) else "leave it out"
            raise InputError(what, option, hint)
    if not any(takes):
        return job
    assert job.align is not None
    rows, option = (in_common, options[0]) if job.left is None else (scored, options[1])
    if rows is None:
        what = "what a job with align takes depends on rows that only the alignment counts"
        counts = "you think are in common" if job.left is None else f"{job.left}'s table has"
        raise InputError(what, str(path), f"say how many {counts}: {option}")
    if not job.align.minimum <= rows <= MOST_ROWS:
        what = f"a job with {rows} such rows ends when they are counted, or cannot be"
        hint = f"give {job.align.minimum} (align.minimum) to {MOST_ROWS}"
        raise InputError(what, option, hint)
    return AlignedJob.of(job, Sizes(alice=rows, bob=rows, common=rows))


def _number(given: float | None, option: str, least: float | None = None) -> float | None:
    """A number that the simulation takes: finite, and positive unless ``least`` says otherwise."""
    if given is None or (math.isfinite(given) and (given > 0 or given == least)):
        return given
    hint = "give a number above 0" if least is None else f"give a number, {least:g} or more"
    raise InputError(f"{given:g} is no such number", option, hint)


def _summary(name: str, found: EstimateDocument) -> str:
    return (
        f"The job {name!r} ({found.protocol}, {found.steps} steps, {found.plan[:12]}) takes"
        f" {found.rounds:,} rounds, {found.messages:,} messages and {found.bytes:,} bytes."
    )


def _times(found: EstimateDocument) -> dict[str, TimeEstimate]:
    """The times by the place they are for."""
    shown = {"on this machine": found.loopback}
    if (apart := found.apart) is not None:
        limit = "" if apart.bandwidth_mbit is None else f", {apart.bandwidth_mbit:g} Mbit/s"
        shown[f"{apart.rtt_ms:g} ms round trip{limit}"] = apart
    return shown


_Rows = list[tuple[str, ...]]
"""A table: its headings, then its rows."""


def _tables(found: EstimateDocument) -> list[_Rows]:
    programs = [(one.name, f"{one.runs:,}", f"{one.rounds}") for one in found.programs]
    traffic = [
        (f"{one.sender} -> {one.receiver}", f"{one.messages:,}", f"{one.bytes:,}")
        for one in found.traffic
    ]
    memory = [
        (name, *(f"{getattr(one.memory, key) / 2**20:.1f}" for key in _MEMORY.values()))
        for name, one in found.parties.items()
    ]
    times = []
    for place, one in _times(found).items():
        took = (found.plan_s, one.connect_s, one.train_s, one.step_s * 1e3)
        times.append((place, *(f"{each:.3f}" for each in took)))
    return [
        [("program", "runs", "rounds each"), *programs],
        [("traffic", "messages", "bytes"), *traffic],
        [("memory in MiB", *_MEMORY), *memory],
        [("time in s", "plan", "connecting", "training", "ms a step"), *times],
    ]


def _rich(rows: _Rows) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, heading in enumerate(rows[0]):
        table.add_column(heading, justify="right" if column else "left")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _lines(rows: _Rows) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
