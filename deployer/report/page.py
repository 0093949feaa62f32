"""What stands in the report of a run: from the documents that the run left to a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from deployer.report import charts
from deployer.report.run import Run, Signed
from party.agreement.job import HOLDERS, PARTIES, Job, Party
from party.models.evaluation.figures import Figures, Threshold
from party.models.statistics.figures import Statistics
from party.process.errors import InputError
from party.reporting.documents import EstimateDocument, LinearDocument
from party.reporting.result import statistics_rows

_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""Shares of all rows whose thresholds stand in the table."""

_NAMES = 8
"""Columns of a holder that are named; the model's table has all of them."""


def page(
    run: Run,
    estimate: EstimateDocument | None,
    revealed: Sequence[str],
    beside: Run | None = None,
) -> str:
    """The report, HTML.

    Args:
        estimate: what ``deployer estimate`` says of the job; None where that is not asked for.
        revealed: what ``deployer audit`` says of it, a sentence each.
        beside: another run to compare with.

    Raises InputError where the two runs cannot be compared.
    """
    environment = Environment(
        loader=PackageLoader("deployer", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "mib": _mib,
        "count": _count,
        "seconds": _seconds,
        "number": _number,
        "percent": _percent,
        "names": _names,
    }
    job, figures = run.job, run.figures
    compared = {} if figures is None else {_called(run, beside)[0]: figures}
    if beside is not None:
        check_comparable(run, beside)
        assert beside.figures is not None
        compared[_called(run, beside)[1]] = beside.figures
    return environment.get_template("page.html.j2").render(
        job=job,
        run=run,
        shape=_shape(run),
        tiles=_tiles(run),
        warnings=_warnings(run),
        who=[_who(run, party) for party in PARTIES],
        rows_say=_rows_say(run),
        solver=_solver(job),
        beside=None if beside is None else _beside(run, beside),
        models=_models(run),
        evaluation=run.evaluation,
        no_evaluation=_no_evaluation(run),
        unseen=_unseen(run),
        charts=[] if figures is None else [*_compared(compared), charts.scores(figures)],
        thresholds=[] if figures is None else _thresholds(figures),
        estimate=estimate,
        revealed=revealed,
        keys=_keys(run),
        pinned=_pinned(job),
        receipt=None if run.signed is None else _receipt(run.signed),
    )


def check_comparable(run: Run, other: Run) -> None:
    """Raises InputError unless both were evaluated on the same rows."""
    for one in (run, other):
        if one.figures is None:
            raise InputError(
                f"the run of the job {one.job.name!r} has no evaluation to compare",
                str(one.directory),
                "run it with evaluation: {} in the job, and report on who is told",
            )
    assert run.figures is not None and other.figures is not None

    def rule(one: Run) -> tuple[object, ...]:
        wanted, found = one.job.evaluation, one.figures
        assert wanted is not None and found is not None
        rows = one.job.rows, one.job.held_out_rows, one.job.folds
        return *rows, wanted.seed, found.positives

    if rule(run) != rule(other):
        raise InputError(
            "the two runs were not evaluated on the same rows and labels",
            str(other.directory),
            "give both jobs the same rows, evaluation.held_out or evaluation.folds and "
            "evaluation.seed, and tables in the same order",
        )


def _compared(models: charts.Models) -> list[charts.Chart]:
    return [charts.roc(models), charts.calibration(models), charts.gains(models)]


def _called(run: Run, beside: Run | None) -> tuple[str, str]:
    """What the run and the other one are called on the page."""
    if beside is None:
        return "this model", ""
    if run.job.name == beside.job.name:
        return run.directory.name, beside.directory.name
    return run.job.name, beside.job.name


def _shape(run: Run) -> str:
    columns = sum(len(run.job.features_of(holder)) for holder in HOLDERS)
    held_out = run.job.held_out_rows
    more = f" and {held_out:,} held out" if held_out else ""
    return f"{_trained(run)} rows{more}, {columns:,} column{'s' * (columns != 1)}"


def _trained(run: Run) -> str:
    sizes = run.sizes
    return f"{run.job.training_rows:,}" if sizes is None else f"{sizes.common:,}"


def _tiles(run: Run) -> list[dict[str, str]]:
    found, first = run.figures, run.first
    tiles = []
    if found is not None:
        assert run.evaluation is not None
        low, high = found.auc - 1.96 * found.auc_error, found.auc + 1.96 * found.auc_error
        tiles += [
            _tile("AUC", f"{found.auc:.3f}", f"95 %: {max(low, 0.0):.3f} to {min(high, 1.0):.3f}"),
            _tile(
                "rows held out in turn" if run.job.folds else "held-out rows",
                f"{run.evaluation.rows:,}",
                f"{found.base_rate:.1%} of them positive{_in_folds(run)}",
            ),
        ]
    tiles.append(_tile("rows trained on", _trained(run)))
    if first.steps is not None:
        tiles.append(_tile("steps", f"{first.steps:,}", _settled(run)))
    whole = max(one.times.whole_s or one.times.train_s for one in run.parties.values())
    tiles.append(_tile("time", f"{whole:.1f} s", f"{first.times.train_s:.1f} s of it training"))
    traffic = [one.traffic for one in run.parties.values() if one.traffic is not None]
    if traffic:
        sent = sum(one.bytes_sent for one in traffic)
        who = "by all parties" if len(traffic) == len(PARTIES) else f"by {first.party}"
        tiles.append(_tile("sent", f"{sent / 2**20:.4g} MiB", who))
    return tiles


def _unseen(run: Run) -> str:
    if run.job.folds:
        return (
            "Each row under the training that had not seen it; the model itself is of all rows. "
            "Added up over all folds"
        )
    return "On rows that no training has seen"


def _in_folds(run: Run) -> str:
    return f", each in one of {run.job.folds} folds" if run.job.folds else ""


def _tile(name: str, says: str, more: str = "") -> dict[str, str]:
    return {"name": name, "says": says, "more": more}


def _settled(run: Run) -> str:
    for model in run.models.values():
        if model.health is not None and model.health.settled is not None:
            return "settled" if model.health.settled else "not settled"
    return ""


def _warnings(run: Run) -> list[str]:
    told = [
        one for m in run.models.values() if m.health is not None for one in m.health.warnings
    ] + [
        one
        for model in run.models.values()
        if model.statistics is not None
        for one in model.statistics.warnings
    ]
    return list(dict.fromkeys(told))


def _who(run: Run, party: Party) -> dict[str, Any]:
    job, sizes = run.job, run.sizes
    features, derived = job.features_of(party), len(job.derived_of(party))
    receives = "nothing"
    if party in job.receivers:
        receives = "the model" if job.result != "own" else "the weights of its columns"
        more = ["its evaluation"] * (party in job.evaluated_by)
        more += ["standard errors"] * (party in job.statistics_to)
        receives = " and ".join([", ".join([receives, *more[:-1]]), *more[-1:]])
    return {
        "party": party,
        "features": features,
        "derived": derived if derived != len(features) else None,
        "label": job.label_of(party),
        "receives": receives,
        "holds": party in HOLDERS and (bool(features) or job.label_of(party) is not None),
        "rows": None if sizes is None else getattr(sizes, party, None),
    }


def _rows_say(run: Run) -> str:
    sizes, folds = run.sizes, ""
    if run.job.folds:
        folds = (
            f" For the evaluation {run.job.folds} more trainings each held out one of as many "
            "folds of the rows, by a public rule; the model is of all rows."
        )
    if sizes is not None:
        return (
            f"Rows were matched without showing which: {sizes.common:,} are in both tables, and "
            f"were trained on.{folds}"
        )
    held_out = run.job.held_out_rows
    said = f"Both tables have the same {run.job.rows:,} rows in the same order.{folds}"
    if held_out:
        said += f" {run.job.training_rows:,} were trained on; {held_out:,} were held out by a "
        said += "public rule, and no training has seen them."
    return said


def _solver(job: Job) -> str:
    if (batches := job.batches_of) is not None:
        return (
            f"mini-batches of {batches.batch_size:,} rows, {batches.epochs:,} epochs, "
            f"learning rate {batches.learning_rate:g}"
        )
    assert job.descent is not None
    return f"to the optimum, C = {job.descent.C:g}, at most {job.descent.passes:,} passes"


def _models(run: Run) -> list[dict[str, Any]]:
    """Each model once, with whoever has it; what one of them alone knows is put together."""
    found: dict[object, list[Party]] = {}
    for party, model in run.models.items():
        found.setdefault((model.features, model.weights, model.intercept), []).append(party)
    return [
        _model(reduce(_together, (run.models[party] for party in parties)))
        | {"whose": f"{' and '.join(parties)} {'has' if len(parties) == 1 else 'have'}"}
        for parties in found.values()
    ]


def _together(one: LinearDocument, other: LinearDocument) -> LinearDocument:
    """One model of two receivers, with the scales and the variance inflation that each holder alone
    knows."""
    statistics = one.statistics or other.statistics
    if one.statistics is not None and other.statistics is not None:
        known = {weight.feature: weight.inflation for weight in other.statistics.weights}
        weights = [
            weight.model_copy(update={"inflation": weight.inflation or known.get(weight.feature)})
            for weight in one.statistics.weights
        ]
        statistics = one.statistics.model_copy(update={"weights": tuple(weights)})
    return one.with_scales_of(other).model_copy(update={"statistics": statistics})


def _model(model: LinearDocument) -> dict[str, Any]:
    names, statistics = model.features, model.statistics
    around = {} if statistics is None else {one.feature: one for one in statistics.weights}
    rows = [
        _row(name, holder, weight, mean, scale)
        for name, holder, weight, mean, scale in zip(
            names, model.holders, model.weights, model.mean, model.scale, strict=True
        )
    ]
    if model.intercept is not None:
        rows.append(_row("intercept", "", model.intercept, None, None))
    intervals = [around[name].interval if name in around else None for name in names]
    return {
        "rows": rows,
        "columns": len(names),
        "chart": charts.bars(names, model.weights, intervals),
        "statistics": None if not around or statistics is None else _statistics(statistics),
        "health": None if model.health is None else str(model.health),
    }


def _row(
    name: str, holder: str, weight: float, mean: float | None, scale: float | None
) -> dict[str, Any]:
    return {"name": name, "holder": holder, "weight": weight, "mean": mean, "scale": scale}


def _statistics(found: Statistics) -> dict[str, Any]:
    headings, rows = statistics_rows(found)
    says = f"Standard errors by the {found.estimator}, over {found.rows:,} rows."
    if found.degrees_of_freedom is not None:
        says += f" {found.degrees_of_freedom:,} degrees of freedom; the columns leave of the label"
        says += f" a standard deviation of {found.residual_deviation:.4g}."
    if found.shift is not None:
        says += f" The penalty moves no weight by more than {found.shift:.2g} standard errors."
    says += " vif: by what factor a weight's variance is larger since its holder's other columns"
    says += " say the same."
    return {"headings": headings, "rows": rows, "says": says, "level": f"{found.level * 100:g}%"}


def _no_evaluation(run: Run) -> str:
    if run.job.evaluation is None:
        return (
            "Nothing here says: the job holds no rows out. With evaluation: {} in it, its "
            "receivers are told, from counts of rows that no training has seen."
        )
    told = " and ".join(run.job.evaluated_by)
    return f"The evaluation went to {told}, whose results are not here."


def _thresholds(figures: Figures) -> list[dict[str, Any]]:
    """Some thresholds, the highest first: by the share of rows that they take, and two more."""

    def share(one: Threshold) -> float:
        total = one.true_negatives + one.false_negatives
        taken = one.true_positives + one.false_positives
        return taken / (taken + total)

    chosen = {}
    for wanted in _SHARES:
        away = [abs(share(one) - wanted) for one in figures.thresholds]
        nearest = figures.thresholds[away.index(min(away))]
        chosen[id(nearest)] = nearest
    marks = {figures.half.at_least: "nearest to 0.5", figures.best.at_least: "largest F1"}
    for one in figures.thresholds:
        if one.at_least in marks:
            chosen[id(one)] = one
    ordered = sorted(chosen.values(), key=lambda one: -one.at_least)
    return [
        {
            "at": one,
            "taken": one.true_positives + one.false_positives,
            "share": share(one),
            "says": marks.get(one.at_least, ""),
        }
        for one in ordered
    ]


def _beside(run: Run, other: Run) -> dict[str, Any]:
    here, there = run.figures, other.figures
    assert here is not None and there is not None and run.evaluation is not None
    name, beside = _called(run, other)
    table = [
        {
            "name": "columns",
            "there": _columns_of(other.job),
            "here": _columns_of(run.job),
            "difference": "",
        },
        {
            "name": "AUC (standard error)",
            "there": f"{there.auc:.3f} ({there.auc_error:.3f})",
            "here": f"{here.auc:.3f} ({here.auc_error:.3f})",
            "difference": f"{here.auc - there.auc:+.3f}",
        },
    ]
    for words, key, digits in (
        ("KS", "ks", 3),
        ("log loss", "log_loss", 4),
        ("Brier", "brier", 4),
    ):
        a, b = getattr(there, key), getattr(here, key)
        table.append(
            {
                "name": words,
                "there": f"{a:.{digits}f}",
                "here": f"{b:.{digits}f}",
                "difference": f"{b - a:+.{digits}f}",
            }
        )
    for part in (0.05, 0.1, 0.2):
        a, b = (_found_in(one, part) for one in (there, here))
        table.append(
            {
                "name": f"positives in the top {part:.0%}",
                "there": f"{a:.1%}",
                "here": f"{b:.1%}",
                "difference": f"{100 * (b - a):+.1f} points",
            }
        )
    unseen = "which neither training has seen"
    if run.job.folds:
        unseen = "each by trainings that had not seen it"
    return {
        "name": beside,
        "here": name,
        "rows": run.evaluation.rows,
        "unseen": unseen,
        "table": table,
    }


def _columns_of(job: Job) -> str:
    held = [(len(job.features_of(holder)), holder) for holder in HOLDERS]
    return ", ".join(f"{holder} {count}" for count, holder in held if count)


def _found_in(figures: Figures, part: float) -> float:
    """The share of all positives among the rows with the largest scores, between two thresholds as
    if rows of one group were mixed."""
    x = y = 0.0
    for one in figures.gains:
        if one.rows >= part:
            return y + (one.positives - y) * (part - x) / (one.rows - x)
        x, y = one.rows, one.positives
    return 1.0


def _keys(run: Run) -> list[dict[str, Any]]:
    """The keys of the parties, each with who was shown it: two rows for one party are two keys."""
    seen: dict[tuple[Party, str], list[str]] = {}
    for party, report in run.parties.items():
        for peer, key in report.peer_keys.items():
            seen.setdefault((peer, key), []).append(party)
    return [
        {"party": peer, "key": key, "seen_by": by}
        for (peer, key), by in sorted(seen.items(), key=lambda one: PARTIES.index(one[0][0]))
    ]


def _pinned(job: Job) -> str:
    if job.identities is None:
        return (
            "The job pins no keys: one authority vouched for all three. Compare these on the "
            "telephone."
        )
    return "The job pins them, and each party refuses others."


def _receipt(signed: Signed) -> str:
    times = sorted(statement.time for statement in signed.statements)
    who = " and ".join(statement.party for statement in signed.statements)
    if len(signed.statements) == len(PARTIES):
        return f"All three have signed the same receipt of the run, by {times[-1]}."
    return f"The receipt here is signed by {who} alone, at {times[-1]}."


def _mib(count: float | None) -> str:
    return "–" if count is None else f"{count / 2**20:,.1f}"


def _count(count: float | None) -> str:
    """Estimates of counts, as those by labels that were turned round, to one row."""
    return "–" if count is None else f"{round(count):,}"


def _seconds(time: float | None) -> str:
    return "–" if time is None else f"{time:.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.6f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    shown = ", ".join(names if more <= 1 else names[:_NAMES])
    return shown if more <= 1 else f"{shown} and {more} more"
