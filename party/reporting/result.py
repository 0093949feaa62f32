"""The model, for the party that the job names, and each party's own report."""

from __future__ import annotations

import resource
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from party.agreement.job import Holder, Job, Party
from party.models.registry import model_of
from party.models.statistics.figures import Statistics
from party.process.errors import JobError
from party.reporting.documents import (
    ColumnsDocument,
    LinearDocument,
    ModelDocument,
    SharesDocument,
    StatusDocument,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from party.models.interface import Opened
    from party.models.statistics.collinearity import Collinearity
    from party.table import Table


def write_model(
    output: Path,
    job: Job,
    party: Party,
    opened: Opened,
    table: Table,
    plan_digest: str,
    versions: dict[str, str],
    doubts: tuple[str, ...] = (),
    steps: int | None = None,
    settled: bool | None = None,
    unsettled: Sequence[str] = (),
) -> Path:
    """Write ``model.json``, for its owner's eyes only: what the party was given of the model, and
    how it looks at home. ``doubts`` are what was told before the training; ``steps`` were done, all
    unless told, and ``settled`` is whether the last of them were small; ``unsettled`` names the
    folds of which they were not.

    See ``Model.document`` for the part that is the model's own. Raises WrongModelError, and writes
    nothing, where it is none.
    """
    from party.models.interface import Scales

    model = model_of(job.parameters)
    scales, columns = Scales(table.mean, table.scale), own_columns(job, party, table)
    health = model.health(job, party, opened, columns)
    warnings = doubts + health.warnings
    if settled is False:
        warnings += (
            "training.passes: the steps had not become small when all passes were done; raise it",
        )
    if unsettled:
        warnings += (
            f"evaluation.folds: the steps of {', '.join(unsettled)} had not become small when all "
            "passes were done, and the figures are of where they stopped; raise training.passes",
        )
    health = health.model_copy(
        update={
            "warnings": warnings,
            "steps": steps or health.steps,
            "settled": settled,
            "tolerance": None if settled is None or job.descent is None else job.descent.tolerance,
        }
    )
    own = model.document(job, party, opened, scales)
    document = ModelDocument(
        model=model.name,
        job=job.digest,
        plan=plan_digest,
        protocol=job.protocol,
        versions=versions,
        health=health,
        columns=columns_document(job, party, table),
        evaluation=model.evaluated(job, party, opened),
        statistics=model.statistics(job, party, opened, scales, columns),
        **own,
    )
    return document.write(output)


def columns_document(job: Job, party: Party, table: Table) -> dict[str, Any]:
    """How the features become the model's columns, by name: what the job says of each that is not
    a plain number, with its defaults; and under ``fitted`` what was learnt from it, for the party's
    own columns alone. Of another holder's it is null: that party alone knows it.
    """
    found: dict[str, Any] = {}
    for holder in job.holders:
        for i, name in enumerate(job.features_of(holder)):
            if (schema := job.schema_of(name)) is not None:
                own = table.fitted[i].applied if holder == party else None
                derived = list(schema.derived(name))
                found[name] = {
                    "holder": holder,
                    "derived": derived,
                    **schema.model_dump(mode="json"),
                    "fitted": own,
                }
    return found


def write_columns(output: Path, job: Job, holder: Holder, table: Table) -> Path:
    """Write ``columns.json``, for its holder's eyes only: how its own columns were read."""
    assert table.mean is not None and table.scale is not None
    of_all = columns_document(job, holder, table)
    return ColumnsDocument(
        job=job.digest,
        party=holder,
        features=job.derived_of(holder),
        mean=tuple(map(float, table.mean)),
        scale=tuple(map(float, table.scale)),
        columns={name: one for name, one in of_all.items() if one["holder"] == holder},
    ).write(output)


def doubts(job: Job, party: Party, table: Table) -> tuple[str, ...]:
    """What is allowed and can hardly be meant: of the job, and of its steps on the party's table.

    Raises InputError for steps on which the training cannot come to rest.
    """
    own, model = own_columns(job, party, table), model_of(job.parameters)
    if job.label_of(party) is not None:
        label = table.matrix[:, -1]
        model.check_label(job, party, label if job.evaluation is None else label[~job.held_out])
    return (*job.doubts, *model.check_steps(job, party, own))


def collinearity(job: Job, party: Party, table: Table) -> Collinearity:
    """How far the party's own columns say the same, for its own eyes."""
    from party.models.statistics.collinearity import collinearity_of

    names = job.derived_of(party)
    return collinearity_of(names, own_columns(job, party, table)[:, : len(names)])


def own_columns(job: Job, party: Party, table: Table) -> npt.NDArray[np.float32]:
    """The party's features of the training's rows, standardised, and the ones where it has them:
    no label."""
    own = table.matrix[:, : table.matrix.shape[1] - (job.label_of(party) is not None)]
    # Of rows that were matched nobody knows which ones the training took.
    return own if job.evaluation is None or job.matches else own[~job.held_out]


def write_shares(
    output: Path, job: Job, kept: Mapping[str, npt.NDArray[np.int64]], plan_digest: str
) -> Path:
    """Write ``shares.json``: this party's shares of a model that nobody gets, for its own eyes.

    A share is a matrix of the ring of 64 bits, flat; one party's shares alone say nothing.
    """
    shares = {name: share.tolist() for name, share in kept.items()}
    return SharesDocument(job=job.digest, plan=plan_digest, shares=shares).write(output)


def read_model(output: Path) -> LinearDocument:
    """The model of the run that ``status.json`` says is done; JobError while there is none.

    Raises InputError for a file of another version, or a damaged one.
    """
    status = StatusDocument.read(output)
    if status is None:
        raise JobError("no job was run here", str(output), "look into a party's --output")
    model = LinearDocument.read(output)
    if status.phase != "done":
        hint = "see how far it is, or what is wrong: party status"
        raise JobError(f"there is no model yet: the job is {status.phase}", str(output), hint)
    if model is None or model.job != status.job:
        what = f"{status.party} does not get the model of this job"
        raise JobError(what, str(output), "look at a party that the job names under result")
    return model


def lines_below(model: ModelDocument, said: Collection[str] = ()) -> list[str]:
    """What is told below the weights: health, evaluation, and all that warns; of the warnings those
    that were not ``said`` before."""
    lines: list[str] = []
    warnings: list[str] = []
    if model.health is not None:
        lines.append(f"health: {model.health}")
        warnings += model.health.warnings
    if model.evaluation is not None:
        lines.append(f"evaluation: {model.evaluation}")
    if model.statistics is not None:
        warnings += model.statistics.warnings
    return lines + [f"warning: {warning}" for warning in warnings if warning not in said]


def weights_table(model: LinearDocument) -> str:
    """The weights by feature name, as text; with their statistics, where there are any."""
    if model.statistics is not None and model.statistics.weights:
        return _columns(*statistics_rows(model.statistics))
    rows = list(zip(model.features, model.weights, strict=True))
    if model.intercept is not None:
        rows.append(("intercept", model.intercept))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {weight:+.6f}" for name, weight in rows)


def statistics_rows(found: Statistics) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row of texts for each weight and the intercept."""
    level = f"{found.level * 100:g}%"
    linear = found.degrees_of_freedom is not None
    test, ratio = ("t", []) if linear else ("z", ["odds ratio"])
    headings = ["", "weight", "std. error", test, "p", f"{level} from", "to", *ratio, "vif"]
    rows = []
    for one in (*found.weights, *([found.intercept] if found.intercept else [])):
        odds = "-" if one.odds_ratio is None else f"{one.odds_ratio:.4g}"
        p = f"{one.p_value:.4f}" if one.p_value >= 0.0001 else "<0.0001"
        numbers = [f"{one.weight:+.6f}", f"{one.standard_error:.6f}", f"{one.z:+.2f}", p]
        bounds = [f"{bound:+.4f}" for bound in one.interval]
        vif = "-" if one.inflation is None else f"{one.inflation:.3g}"
        ratio = [] if linear else [odds]
        rows.append([one.feature or "intercept", *numbers, *bounds, *ratio, vif])
    return headings, rows


def _columns(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [
            line[0].ljust(widths[0]),
            *(text.rjust(w) for text, w in zip(line[1:], widths[1:], strict=True)),
        ]
        for line in lines
    ]
    return "\n".join("  ".join(line) for line in padded)


def peak_bytes() -> int:
    """Most memory that this process has had resident so far (``VmHWM``)."""
    found = _memory("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if found is None else found


def resident_bytes() -> int:
    """Memory that this process has resident now (``VmRSS``)."""
    return _memory("VmRSS") or 0


def _memory(field: str) -> int | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None


def process_age_s() -> float:
    """Seconds since this process was started, imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    import os

    return boot - ticks / os.sysconf("SC_CLK_TCK")
