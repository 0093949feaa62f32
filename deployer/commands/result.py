"""``deployer result``: the model or the scores, from the party that the job names, to whom may
enter its pod; and what a holder of columns keeps of a training."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from deployer import console
from deployer.cluster.client import NotAllowedError
from deployer.cluster.installed import jobs_in, locate
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
from deployer.commands import new_app
from deployer.commands.status import check_there
from party.agreement.job import AlignedJob, Job
from party.process.errors import AS_JSON, ErrorDocument, InputError, JobError, KitError
from party.process.files import replace, replace_json, see_to_place
from party.reporting.documents import (
    SCORES,
    ColumnsDocument,
    Document,
    Kept,
    LinearDocument,
    PartyReport,
    StatusDocument,
)

app = new_app()

_FILE_S = 600.0
"""A line for each of many rows comes through the stream of ``kubectl exec``."""


_Kind = TypeVar("_Kind", bound=Document)


class _NoPodError(JobError):
    """Nobody is there to be asked."""


def model_of(place: Place, job: str = "") -> LinearDocument:
    """The model that a party got; of several jobs, by that one.

    Raises JobError while there is none, or if it cannot be had from the pod.
    """
    where = _where(place)
    _check_pod(place)
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
    hint = f"look at {place.party}'s own: party result"
    return _document(LinearDocument, ran.stdout, place, hint)


def scores_of(place: Place, job: Job) -> str:
    """The ``scores.csv`` that a party got of a job that scores, a line for each row.

    Raises JobError while there is none, or if it cannot be had whole from the pod.
    """
    text = _file(place, job, StatusDocument.NAME)
    status = _document(StatusDocument, text, place, "see deployer status")
    if status.job != job.digest:
        what = f"{place.party}'s pod has not begun with this job"
        raise JobError(what, _where(place), "see deployer status")
    if status.phase != "done":
        what = f"there are no scores yet: the job is {status.phase}"
        raise JobError(what, _where(place), "see deployer status")
    text = _file(place, job, SCORES)
    rows = job.rows
    if job.matches and status.sizes is not None:
        rows = AlignedJob.of(job, status.sizes).rows
    if text.count("\n") != rows + 1 or not text.endswith("\n"):
        raise JobError("the scores came in part only, or are damaged", _where(place), "try again")
    return text


def kept_of(place: Place, job: Job) -> Kept:
    """A party's part of a model that a job has kept on shares. Raises JobError without one."""
    from party.checkpoints.kept import DIRECTORY

    text = _file(place, job, PartyReport.NAME)
    report = _document(PartyReport, text, place, "look for the name in the log: deployer logs")
    if report.job == job.digest and report.kept is not None:
        return report.kept
    if report.job != job.digest and (opened := _opened(place, job, report.job)) is not None:
        return opened
    what = f"{place.party} has not kept a model of this job"
    hint = (
        "wait until it is done: deployer status --watch. Names of models that were kept before: "
        f"kubectl exec {place.pod} --namespace {place.namespace} -- ls {OUTPUT}/{DIRECTORY}"
    )
    raise JobError(what, _where(place), hint)


def _opened(place: Place, job: Job, done: str) -> Kept | None:
    """What a job has kept where another has opened it since, the installed one of this digest: its
    report is in place of the former. Raises JobError if the part is not there any more."""
    from party.checkpoints.kept import DIRECTORY, opens

    config = place.cluster.read("v1", "ConfigMap", place.name, place.namespace)
    installed = (one for one in jobs_in(config) if one.digest == done and opens(one, job))
    name = next((one.kept for one in installed), None)
    if name is None:
        return None
    command = ["sha256sum", f"{OUTPUT}/{DIRECTORY}/{name}.sealed"]
    ran = place.cluster.execute(place.pod, place.namespace, command, timeout_s=60)
    if ran.exit_code != 0:
        what = f"{place.party}'s part of the model {name} is not on its volume"
        raise JobError(what, _where(place), f"bring it back there from a copy, into {DIRECTORY}/")
    return Kept(name=name, sha256=ran.stdout.partition(" ")[0])


def columns_of(place: Place, job: Job) -> str:
    """The ``columns.json`` of a holder: how a training has read its own columns. Raises JobError
    while there is none."""
    text = _file(place, job, ColumnsDocument.NAME)
    found = _document(ColumnsDocument, text, place, "train again, or bring it back from a copy")
    if found.job != job.digest:
        what = f"{place.party}'s {ColumnsDocument.NAME} is of another job"
        raise JobError(what, _where(place), "wait until this one is done: deployer status --watch")
    return text


def _document(kind: type[_Kind], text: str, place: Place, hint: str) -> _Kind:
    """What a party has written; JobError where it cannot be read here."""
    try:
        return kind.parse(text)
    except ValueError:
        what = f"{place.party}'s {kind.NAME} is damaged, or of another kit"
        raise JobError(what, _where(place), hint) from None


def _file(place: Place, job: Job, name: str) -> str:
    """A file that a job has left at a party."""
    directory = f"{OUTPUT}/{job.name}" if place.queue else OUTPUT
    _check_pod(place)
    command = ["cat", f"{directory}/{name}"]
    ran = place.cluster.execute(place.pod, place.namespace, command, timeout_s=_FILE_S)
    if ran.exit_code != 0:
        raise JobError(f"{place.party} has no {name}", _where(place), "see deployer status")
    return ran.stdout


def _check_pod(place: Place) -> None:
    if place.cluster.read("v1", "Pod", place.pod, place.namespace) is None:
        raise _NoPodError(f"{place.party} has no pod", _where(place), "see deployer status")


def _where(place: Place) -> str:
    return f"pod {place.pod}, namespace {place.namespace}, {place.cluster}"


def receiver(release: Release, only: Sequence[str] | None, job: Job) -> Place:
    """Where to get the model: at the first party that receives one and is here, of those named.

    Raises InputError if there is none.
    """
    receivers = [one for one in job.receivers if not only or one in only]
    if not receivers:
        who = " and ".join(job.receivers) or "nobody: each party keeps its shares"
        raise InputError("nobody there receives the model", "--party", f"the job gives it to {who}")
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
        typer.Option("--output", "-o", help="Write it to this file, for the owner alone."),
    ] = None,
    columns: Annotated[
        bool,
        typer.Option(
            "--columns", help="The party's own columns.json, by which rows are scored together."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the model's weights, or write the whole model as JSON; of a job that scores, the
    scores; of one that keeps its model on shares, the name by which a later job opens it.

    Where several parties receive it, that of the first one here; --party chooses. Of several jobs,
    --job names one.

    Examples:

        deployer result

        deployer result --json > model.json

        deployer result --name scores --output scores.csv

        deployer result --columns --party bob --output columns.json
    """
    release = locate(values, name, namespace, context, party)
    check_there(release)
    job = release.job(job_name)
    if as_json and (columns or job.scores is not None):
        what = "it has one form" + (", which is JSON" if columns else ", CSV")
        raise InputError(what, "--json", "leave it out; --output writes it to a file")
    if output is not None:
        see_to_place(output, "what the job has left")
    if columns:
        _give_columns(release, party, job, output)
        return
    if job.result == "kept":
        _show_kept(release, party, job, output, as_json)
        return
    place = receiver(release, party, job)
    if job.scores is not None:
        with _of_party(place, "the scores are"):
            scores = scores_of(place, job)
        _give(scores, f"the scores of the job {job.name!r}", output)
        return
    with _of_party(place, "the model is"):
        model = model_of(place, job.name if place.queue else "")
    if as_json and output is None:
        console.print_json(model.as_json())
        return
    if output is not None:
        replace_json(output, model.as_json())
        print(f"{output}: the model of the job {job.name!r}")
    from party.reporting.result import lines_below, weights_table

    if output is None and console.on_terminal():
        from rich.console import Console

        Console().print(_table(model))
    elif output is None:
        print(weights_table(model))
    for line in lines_below(model):
        print(line)


@contextmanager
def _of_party(place: Place, what: str) -> Iterator[None]:
    """Whoever may not enter the pod is told whose it is."""
    try:
        yield
    except NotAllowedError as error:
        what = f"{what} {place.party}'s, and only who may enter its pod gets it"
        hint = f"ask who runs {place.party}; or name your own party with --party"
        raise NotAllowedError(what, error.where, hint) from None


def _show_kept(
    release: Release, only: Sequence[str] | None, job: Job, output: Path | None, as_json: bool
) -> None:
    """The name of a kept model, which all parties know alike, and of each part its digest; from
    those parties here that can be asked, if one can."""
    places = [place for place in release.places if not only or place.party in only]
    found: dict[str, Kept] = {}
    silent: list[KitError] = []
    for place in places:
        try:
            with _of_party(place, "the part of the model is"):
                found[place.party] = kept_of(place, job)
        except (NotAllowedError, _NoPodError) as error:
            silent.append(error)
    if silent and not found:
        raise silent[0]
    names = {one.name for one in found.values()}
    if len(names) != 1:
        hint = "name a --party that is installed here" if not found else "look at all three"
        raise InputError("the parties here name no one model", "--party", hint)
    text = name = names.pop()
    if as_json:
        digests = {party: one.sha256 for party, one in found.items()}
        text = json.dumps({"kept": name, "sha256": digests}, indent=2)
    _give(f"{text}\n", f"the name of the model that the job {job.name!r} keeps", output)


def _give_columns(
    release: Release, only: Sequence[str] | None, job: Job, output: Path | None
) -> None:
    """A holder's ``columns.json``, which goes nowhere but to its own people."""
    if job.scores is not None:
        hint = "name the release of the training, and its --job where it had several"
        raise InputError("the job trains no model, and leaves no columns", "--columns", hint)
    holders = [one for one in job.holders if job.features_of(one) and (not only or one in only)]
    here = [place for place in release.places if place.party in holders]
    if len(here) != 1:
        whose = " and ".join(place.party for place in here)
        what = f"{whose} have columns here" if here else "no party here has columns of the model"
        raise InputError(what, "--party", "say whose: --party alice or bob")
    with _of_party(here[0], "the columns are"):
        text = columns_of(here[0], job)
    _give(text, f"how {here[0].party}'s columns were read", output)


def _give(text: str, what: str, output: Path | None) -> None:
    """To a file, for its owner alone, or to whoever reads what the command says."""
    if output is None:
        print(text, end="")
        return
    replace(output, text.encode())
    print(f"{output}: {what}")


def _table(model: LinearDocument) -> Any:
    from rich.table import Table

    from party.reporting.result import statistics_rows

    table = Table(box=None, pad_edge=False, header_style="bold")
    if model.statistics is not None and model.statistics.weights:
        headings, rows = statistics_rows(model.statistics)
        for i, heading in enumerate(headings):
            table.add_column(heading or "feature", justify="right" if i else "left")
        for texts in rows:
            table.add_row(*texts)
        return table
    table.add_column("feature")
    for heading in ("weight", "mean", "scale"):
        table.add_column(heading, justify="right")
    for row in zip(model.features, model.weights, model.mean, model.scale, strict=True):
        feature, *numbers = row
        # Another holder's mean and scale are known to that holder alone.
        shown = ["" if number is None else f"{number:+.6f}" for number in numbers]
        table.add_row(feature, *shown)
    if model.intercept is not None:
        table.add_row("intercept", f"{model.intercept:+.6f}")
    return table
