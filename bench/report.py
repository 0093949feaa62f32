"""From measurements to what is read: medians, paired ratios with their spread, a table, a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from bench.systems import SYSTEMS, Figures

Solver = Literal["batches", "optimum"]

YARDSTICK = "sealed"
"""The system that every other one is put in relation to."""


@dataclass(frozen=True)
class Measurement:
    """One run: which, in which round, and what it showed, or why it showed nothing."""

    case: str
    protocol: str
    system: str
    round: int
    figures: Figures | None
    failed: str | None = None

    @property
    def solver(self) -> Solver | None:
        """By which it was trained; None for a run that failed."""
        if self.figures is None:
            return None
        return "batches" if self.figures.excess is None else "optimum"


@dataclass(frozen=True)
class Spread:
    """The middle of some values, and the ends of them."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        middle, least, most = (_short(v) for v in (self.median, self.least, self.most))
        return middle if least == most else f"{middle} ({least}–{most})"


@dataclass(frozen=True)
class Quantity:
    """A column of the table."""

    heading: str
    of: Callable[[Figures], float | None]
    where: Solver | None = None
    """The solver whose cases it is for; None for all."""


TRAINING = "training, s"
JOB = "whole job, s"
WIRE = "MB on the wire"

QUANTITIES = (
    Quantity("ms a step", lambda figures: figures.step_ms, "batches"),
    Quantity(TRAINING, lambda figures: figures.train_s, "optimum"),
    Quantity("first job, s", lambda figures: figures.first_job_s),
    Quantity(JOB, lambda figures: figures.job_s),
    Quantity("processor, s", lambda figures: figures.cpu_s),
    Quantity("peak MiB of a party", lambda figures: max(figures.peak_mib.values())),
    Quantity(
        WIRE,
        lambda figures: None if figures.wire_bytes is None else figures.wire_bytes / 1e6,
    ),
)


def spread(values: Iterable[float]) -> Spread | None:
    """Median, least and most of the values, or None where there are none."""
    known = list(values)
    return Spread(median(known), min(known), max(known)) if known else None


def ratios(
    others: Mapping[int, float | None], yardsticks: Mapping[int, float | None]
) -> dict[int, float]:
    """By round, how many times the yardstick's value the other's is.

    Only two runs of one round are ever compared: what else the machine had to do meanwhile
    differs between rounds far more than within one.
    """
    paired: dict[int, float] = {}
    for number, other in others.items():
        yardstick = yardsticks.get(number)
        if other is not None and yardstick:
            paired[number] = other / yardstick
    return paired


def by_round(runs: Iterable[Measurement], quantity: Quantity) -> dict[int, float | None]:
    """A quantity of the runs that succeeded, by their round."""
    return {run.round: quantity.of(run.figures) for run in runs if run.figures is not None}


def summary(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """For each case, protocol and system: the spread of each quantity and of its ratios."""
    jobs = dict.fromkeys((run.case, run.protocol) for run in measurements)
    present = {(run.case, run.protocol, run.system) for run in measurements}
    kinds = [(*job, system) for job in jobs for system in SYSTEMS if (*job, system) in present]
    lines: list[dict[str, Any]] = []
    for case, protocol, system in kinds:
        job = [run for run in measurements if (run.case, run.protocol) == (case, protocol)]
        runs = [run for run in job if run.system == system]
        yardstick = [run for run in job if run.system == YARDSTICK]
        line: dict[str, Any] = {"case": case, "protocol": protocol, "system": system}
        line["solver"] = next((run.solver for run in job if run.solver), None)
        line["auc"] = spread(run.figures.auc for run in runs if run.figures)
        line["excess"] = spread(
            run.figures.excess
            for run in runs
            if run.figures is not None and run.figures.excess is not None
        )
        line["values"], line["times_sealed"] = {}, {}
        for quantity in QUANTITIES:
            values = by_round(runs, quantity)
            line["values"][quantity.heading] = spread(v for v in values.values() if v is not None)
            if system != YARDSTICK:
                compared = ratios(values, by_round(yardstick, quantity))
                line["times_sealed"][quantity.heading] = spread(compared.values())
        lines.append(line)
    return lines


def table(measurements: Sequence[Measurement], titles: dict[str, str]) -> str:
    """The summary in Markdown: a table for each case. ``titles`` are the cases' by name."""
    text: list[str] = []
    lines = summary(measurements)
    for case in dict.fromkeys(line["case"] for line in lines):
        own = [line for line in lines if line["case"] == case]
        solver = next((line["solver"] for line in own if line["solver"]), None)
        shown = [q for q in QUANTITIES if q.where in (None, solver)]
        last = "loss above the optimum" if solver == "optimum" else "AUC"
        headings = ["protocol", "system", *(q.heading for q in shown), last]
        text += ["", f"**{titles.get(case, case)}**", ""]
        text += [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
        for line in own:
            cells = [line["protocol"], line["system"]]
            cells += [_cell(line["values"][q.heading]) for q in shown]
            if solver == "optimum":
                cells.append(f"{line['excess'].most:.1e}" if line["excess"] else "–")
            else:
                cells.append(_cell(line["auc"]))
            text.append(f"| {' | '.join(cells)} |")
            if any(line["times_sealed"].values()):
                cells = ["", f"÷ {YARDSTICK}"]
                cells += [_cell(line["times_sealed"][q.heading], "**") for q in shown]
                text.append(f"| {' | '.join([*cells, ''])} |")
    failures = [run for run in measurements if run.failed]
    if failures:
        text += ["", "Runs that failed:", ""]
        text += [
            f"- {run.case}, {run.protocol}, {run.system}, round {run.round}: {run.failed}"
            for run in failures
        ]
    return "\n".join(text).strip() + "\n"


def write(
    folder: Path,
    facts: dict[str, Any],
    measurements: Sequence[Measurement],
    titles: dict[str, str],
) -> Path:
    """Writes ``<date>.json`` (every run, the summary, the machine) and ``<date>.md`` (the table).

    Returns the path of the Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / str(facts["date"]).replace(":", "")
    content = {
        "machine": facts,
        "cases": titles,
        "measurements": [asdict(run) for run in measurements],
        "summary": summary(measurements),
    }
    encoded = json.dumps(content, indent=1, default=asdict)
    stem.with_suffix(".json").write_text(encoded + "\n", encoding="utf-8")
    said = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    page = stem.with_suffix(".md")
    page.write_text(f"{table(measurements, titles)}\n{said}\n", encoding="utf-8")
    return page


def read(path: Path) -> tuple[dict[str, Any], list[Measurement], dict[str, str]]:
    """What ``write`` wrote as JSON: the machine, every run, and the cases' titles."""
    content = json.loads(path.read_text(encoding="utf-8"))
    measurements = [
        Measurement(**one | {"figures": one["figures"] and Figures(**one["figures"])})
        for one in content["measurements"]
    ]
    return content["machine"], measurements, content["cases"]


def together(
    paths: Sequence[Path],
) -> list[tuple[dict[str, Any], list[Measurement], dict[str, str]]]:
    """What is read of each report: of a case that several have, the last one's runs alone, since
    only runs of one report are compared."""
    found = [read(path) for path in paths]
    newest = {run.case: number for number, (_, runs, _) in enumerate(found) for run in runs}
    return [
        (machine, [run for run in runs if newest[run.case] == number], titles)
        for number, (machine, runs, titles) in enumerate(found)
    ]


def _cell(value: Spread | None, mark: str = "") -> str:
    return f"{mark}{value}{mark}" if value is not None else "–"


def _short(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
