"""``deployer run``: train on this machine, all three parties, and show what came of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployer.commands import new_app
from deployer.example import EXAMPLE
from party.agreement.job import PARTIES, Job, load_job
from party.process import files, streams
from party.process.exit import stop_on_signals
from party.protocols.registry import ProtocolName
from party.reporting.documents import SCORES, ModelDocument, SharesDocument, StatusDocument
from party.reporting.result import lines_below, weights_table
from party.runtime import BUILDING, WARNING, Name, default_cache

if TYPE_CHECKING:
    from deployer.local.run import Result

app = new_app()


@app.command()
def run(
    job: Annotated[
        Path | None, typer.Argument(help="The job's YAML file.", show_default="examples/fraud")
    ] = None,
    alice: Annotated[
        Path | None, typer.Option(help="Alice's table.", show_default="alice.csv beside the job")
    ] = None,
    bob: Annotated[
        Path | None, typer.Option(help="Bob's table.", show_default="bob.csv beside the job")
    ] = None,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="In place of the job's.", show_default=False)
    ] = None,
    runtime: Annotated[Name, typer.Option(help="How to train.")] = "sealed",
    output: Annotated[Path, typer.Option(help="Directory for results.")] = Path("out"),
    cache: Annotated[
        Path | None, typer.Option(help="Where plans are kept.", show_default="~/.cache/tfe-kit")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0.001, help="Of the training, in seconds.")
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Let all three approve the job first.")
    ] = False,
    label_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Of the label's holder, if labels are private.", show_default=False
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Output of a former run, if training.start.", show_default=False
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The parties' keys, which stay.", show_default="new ones, that go"
        ),
    ] = None,
    trained: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Of a job that scores: the --output of the run that trained the model.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what each party would run, and run nothing.")
    ] = False,
) -> None:
    """Train on this machine: three processes, mutual TLS, keys for this run only.

    Example: deployer run job.yaml --alice alice.csv --bob bob.csv --output out
    """
    stop_on_signals()
    streams.outlive()
    file = job or EXAMPLE / "job.yaml"
    given = load_job(file)
    if protocol is not None:
        given = Job.model_validate(given.model_dump() | {"protocol": protocol})
    if explain:
        _explain(given, cache or default_cache())
        return
    from deployer.local.run import run_local

    tables = {"alice": alice, "bob": bob}
    chosen = {party: path or file.with_name(f"{party}.csv") for party, path in tables.items()}
    if runtime == "tensorflow":
        print(f"warning: {WARNING}", file=sys.stderr, flush=True)
    for doubt in given.doubts:
        print(f"warning: {doubt}", file=sys.stderr, flush=True)
    shown = _Shown(given)
    try:
        result = run_local(
            given,
            chosen,
            output,
            runtime,
            cache,
            shown.update,
            time_limit,
            approve,
            label_key,
            start,
            keys,
            trained,
        )
    finally:
        shown.close()
    _print_result(result, given)


def _explain(job: Job, cache: Path) -> None:
    from party.compiler import build_schedules, is_cached, prepared
    from party.schedule import listing

    with files.locked(cache / BUILDING):
        if not is_cached(job, cache):
            build_schedules(job, cache, range(len(PARTIES)))
        for index in range(len(PARTIES)):
            for line in listing(prepared(job, index, cache).schedule):
                print(line)
            print()


class _Shown:
    """Alice's progress: a live line on a terminal, a plain line now and then elsewhere."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.phase = ""
        self.said = 0.0
        self.bar: Any = None
        if sys.stdout.isatty():
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
            self.bar = Progress(*columns, refresh_per_second=5, transient=True)
            self.task = self.bar.add_task("starting", total=job.steps)
            self.bar.start()

    def update(self, status: StatusDocument) -> None:
        """Show a status of Alice's."""
        text = status.message
        if status.phase == "running" and (status.step or status.aside):
            text = status.doing
        if self.bar is not None:
            self.bar.update(self.task, description=text, completed=status.step, total=status.steps)
        elif text and (status.phase != self.phase or time.monotonic() - self.said > 10.0):
            self.phase, self.said = status.phase, time.monotonic()
            print(text, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()


def _print_result(result: Result, job: Job) -> None:
    report = result.report
    for party, model in result.models.items():
        if len(result.models) > 1:
            print(f"{party.capitalize()} receives:")
        print(weights_table(model))
        for line in lines_below(model, job.doubts):  # which were said before
            print(line)
    traffic = f", {report.bytes / 1e6:.1f} MB between the parties" if report.bytes else ""
    print(
        f"{report.protocol}, {report.runtime}: {report.steps} steps,"
        f" {report.times.step_s * 1e3:.3f} ms a step, {report.times.whole_s:.2f} s in all{traffic}"
    )
    for party in result.models:
        print(f"{party.capitalize()}'s model: {result.output / party / ModelDocument.NAME}")
    kept = report.parties["alice"].kept
    if kept is not None:
        print(f"The model is kept on shares: {kept.name}")
        print(f"Its parts, sealed: {result.output}/*/kept/{kept.name}.sealed")
    elif job.scores is not None:
        for party in job.receivers:
            print(f"{party.capitalize()}'s scores: {result.output / party / SCORES}")
    elif not result.models:
        print(f"Nobody receives the model. Its shares: {result.output}/*/{SharesDocument.NAME}")
