"""What stands in the report of a run: from the documents that the run left to a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from deployer.report.charts import bars
from party.agreement.job import HOLDERS, PARTIES, Job, Party
from party.process.errors import InputError
from party.reporting.documents import EstimateDocument, ModelDocument, PartyReport

_RUN = "name the directory of a run that is done: deployer run --output DIR"


@dataclass(frozen=True)
class Run:
    """What a run left.

    Attributes:
        job: what was run.
        models: of the parties that received one.
        parties: the parties' own reports, as far as they are here.
    """

    job: Job
    models: dict[Party, ModelDocument]
    parties: dict[Party, PartyReport]

    @classmethod
    def read(cls, job: Job, directory: Path) -> Run:
        """The run of a job in a directory: with a folder for each party, as ``deployer run`` leaves
        it, or one party's own ``--output``.

        Raises InputError where there is no run that is done, or one of another job.
        """
        folders = {party: directory / party for party in PARTIES if (directory / party).is_dir()}
        if not folders:
            own = PartyReport.read(directory)
            if own is None:
                raise InputError("no run was finished here", str(directory), _RUN)
            folders = {own.party: directory}
        reports = {party: PartyReport.read(folder) for party, folder in folders.items()}
        models = {party: ModelDocument.read(folder) for party, folder in folders.items()}
        run = cls(
            job,
            {party: one for party, one in models.items() if one is not None},
            {party: one for party, one in reports.items() if one is not None},
        )
        if not run.parties:
            raise InputError("no run was finished here", str(directory), _RUN)
        jobs = {one.job for one in run.parties.values()} | {one.job for one in run.models.values()}
        if jobs != {job.digest}:
            hint = "give the job that was run there"
            raise InputError("the run is of another job", str(directory), hint)
        return run

    @property
    def first(self) -> PartyReport:
        """The report that says what is the same for all."""
        return next(iter(self.parties.values()))


def page(run: Run, estimate: EstimateDocument | None, revealed: Sequence[str]) -> str:
    """The report, HTML.

    Args:
        estimate: what ``deployer estimate`` says of the job; None where that is not asked for.
        revealed: what ``deployer audit`` says of it, a sentence each.
    """
    environment = Environment(
        loader=PackageLoader("deployer", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"mib": _mib, "count": _count, "seconds": _seconds, "number": _number}
    return environment.get_template("page.html.j2").render(
        job=run.job,
        run=run,
        who=[_who(run.job, party) for party in PARTIES],
        solver=_solver(run.job),
        models={party: _model(model) for party, model in run.models.items()},
        estimate=estimate,
        revealed=revealed,
    )


def _who(job: Job, party: Party) -> dict[str, Any]:
    features = job.features_of(party)
    return {
        "party": party,
        "features": features,
        "label": job.label_of(party),
        "receives": party in job.receivers,
        "holds": party in HOLDERS and (bool(features) or job.label_of(party) is not None),
    }


def _solver(job: Job) -> str:
    if (batches := job.batches_of) is not None:
        return (
            f"mini-batches of {batches.batch_size:,} rows, {batches.epochs:,} epochs, "
            f"learning rate {batches.learning_rate:g}"
        )
    assert job.descent is not None
    return f"to the optimum, C = {job.descent.C:g}, at most {job.descent.passes:,} passes"


def _model(model: ModelDocument) -> dict[str, Any]:
    own = model.as_json()
    names, weights = list(own["features"]), list(own["weights"])
    rows = [
        dict(zip(("name", "holder", "weight", "mean", "scale"), row, strict=True))
        for row in zip(names, own["holders"], weights, own["mean"], own["scale"], strict=True)
    ]
    return {
        "rows": rows,
        "intercept": own["intercept"],
        "chart": bars(names, weights),
        "health": None if model.health is None else str(model.health),
        "warnings": () if model.health is None else model.health.warnings,
    }


def _mib(count: float | None) -> str:
    return "–" if count is None else f"{count / 2**20:.1f}"


def _count(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _seconds(time: float | None) -> str:
    return "–" if time is None else f"{time:.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.6f}"
