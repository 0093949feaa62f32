"""``deployer result``: the model, from the party that the job names, to whom may enter its pod."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from deployer import console
from deployer.cli import new_app
from deployer.cluster.client import NotAllowedError
from deployer.cluster.installed import locate
from deployer.cluster.target import (
    OUTPUT,
    ContextOption,
    JobNameOption,
    JsonOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    Place,
    Release,
    ValuesOption,
)
from deployer.commands.status import check_there
from party.agreement.job import Job
from party.process.errors import AS_JSON, ErrorDocument, InputError, JobError

app = new_app()


def model_of(place: Place, job: str = "") -> dict[str, Any]:
    """The model that a party got; of several jobs, by that one.

    Raises JobError while there is none, or if it cannot be had from the pod.
    """
    where = f"pod {place.pod}, namespace {place.namespace}, {place.cluster}"
    if place.cluster.read("v1", "Pod", place.pod, place.namespace) is None:
        raise JobError(f"{place.party} has no pod", where, "see deployer status")
    command = [
        "env",
        f"{AS_JSON}=1",
        "party",
        "result",
        "--output",
        f"{OUTPUT}/{job}" if job else OUTPUT,
    ]
    ran = place.cluster.execute(place.pod, place.namespace, command, timeout_s=60)
    if ran.exit_code != 0:
        told = ErrorDocument.in_text(ran.stderr)
        what = "no result" if told is None else told.what
        raise JobError(what, where, "see deployer status")
    try:
        return cast("dict[str, Any]", json.loads(ran.stdout))
    except ValueError:
        raise JobError("the result is damaged", where) from None


def receiver(release: Release, only: Sequence[str] | None, job: Job) -> Place:
    """Where to get the model: at the first party that receives one and is here, of those named.

    Raises InputError if there is none.
    """
    receivers = [one for one in job.receivers if not only or one in only]
    if not receivers:
        who = " and ".join(job.receivers) or "nobody: each party keeps its shares"
        raise InputError("no model is to be had there", "--party", f"the job gives it to {who}")
    here = [place for place in release.places if place.party in receivers]
    return here[0] if here else release.place(receivers[0])


@app.command()
def result(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    job_name: JobNameOption = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the model to this file, for the owner alone."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the model's weights, or write the whole model as JSON.

    Where several parties receive it, that of the first one here; --party chooses. Of several jobs,
    --job names one.

    Examples:

        deployer result

        deployer result --json > model.json
    """
    release = locate(values, name, namespace, context, [])
    check_there(release)
    job = release.job(job_name)
    place = receiver(release, party, job)
    try:
        model = model_of(place, job.name if place.queue else "")
    except NotAllowedError as error:
        what = f"the model is {place.party}'s, and only who may enter its pod gets it"
        raise InputError(what, error.where, f"ask who runs {place.party}") from None
    if output is not None:
        from party.process.files import replace_json

        replace_json(output, model)
        print(f"{output}: the model of the job {job.name!r}")
    elif as_json:
        console.print_json(model)
    elif console.on_terminal():
        from rich.console import Console

        Console().print(_table(model))
        _print_evaluation(model)
    else:
        from party.reporting.result import weights_table

        print(weights_table(model))
        _print_evaluation(model)


def _print_evaluation(model: dict[str, Any]) -> None:
    from party.reporting.result import evaluation_line, statistics_of

    if (line := evaluation_line(model)) is not None:
        print(line)
    for warning in () if (found := statistics_of(model)) is None else found.warnings:
        print(f"warning: {warning}")


def _table(model: dict[str, Any]) -> Any:
    from rich.table import Table

    from party.reporting.result import statistics_of, statistics_rows

    table = Table(box=None, pad_edge=False, header_style="bold")
    if (found := statistics_of(model)) is not None and found.weights:
        headings, rows = statistics_rows(found)
        for i, heading in enumerate(headings):
            table.add_column(heading or "feature", justify="right" if i else "left")
        for texts in rows:
            table.add_row(*texts)
        return table
    table.add_column("feature")
    for heading in ("weight", "mean", "scale"):
        table.add_column(heading, justify="right")
    for row in zip(model["features"], model["weights"], model["mean"], model["scale"], strict=True):
        feature, *numbers = row
        # Another holder's mean and scale are known to that holder alone.
        shown = ["" if number is None else f"{number:+.6f}" for number in numbers]
        table.add_row(feature, *shown)
    if model["intercept"] is not None:
        table.add_row("intercept", f"{model['intercept']:+.6f}")
    return table
