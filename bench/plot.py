"""``python -m bench.plot RESULTS.json ...``: draws reports' figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import places, report
from bench.systems import SYSTEMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "bench.svg"
TITLE = "Seconds and bytes of the jobs, by system"
HEADINGS = (report.TRAINING, report.JOB, report.WIRE)

_INK = "#7d838b"  # on white and on black alike
_COLOURS = {
    "sealed": "#2f81f7",
    "tensorflow": "#8f8bd8",
    "former": "#c95d9b",
    "published": "#d2691e",
    "published-local": "#e0a060",
    "spu": "#2e9e5b",
    "spu-polynomial": "#82b54b",
}
_LABELS = {
    "sealed": "tfe-kit",
    "tensorflow": "tfe-kit, --runtime tensorflow",
    "former": "tfe-kit of 26 November 2026",
    "published": "tf-encrypted 0.9.1",
    "published-local": "tf-encrypted 0.9.1, local truncation",
    "spu": "SPU 0.9.5",
    "spu-polynomial": "SPU 0.9.5, polynomial for a sigmoid",
}


@dataclass(frozen=True)
class Point:
    """The median of a system on a job."""

    job: str
    system: str
    value: float


def points(results: Sequence[Path], heading: str) -> list[Point]:
    """Of some reports and one of their quantities, by job, in the reports' order."""
    measurements = [run for _, runs, _ in report.together(results) for run in runs]
    (where,) = (quantity.where for quantity in report.QUANTITIES if quantity.heading == heading)
    return [
        Point(f"{line['case']}, {line['protocol']}", line["system"], found.median)
        for line in report.summary(measurements)
        if (found := line["values"][heading]) is not None and where in (None, line["solver"])
    ]


def draw(results: Sequence[Path], folder: Path) -> Path:
    """Writes the plot into a folder and returns its path. The same reports give the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = [(heading, points(results, heading)) for heading in HEADINGS]
    jobs = list(dict.fromkeys(point.job for _, panel in panels for point in panel))
    systems = [
        name for name in SYSTEMS if any(p.system == name for _, panel in panels for p in panel)
    ]
    most = max((sum(p.job == job for p in panels[1][1]) for job in jobs), default=1)
    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "bench",
        "font.family": "sans-serif",
        "font.size": 9,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
        "axes.edgecolor": _INK,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(11, 1.3 + 0.17 * len(jobs) * (most + 1)), layout="constrained")
        sides = figure.subplots(1, len(panels), sharey=True)
        for axes, (heading, panel) in zip(sides, panels, strict=True):
            _panel(axes, heading, panel, jobs)
        figure.legend(
            handles=[
                Line2D([], [], marker="o", linestyle="", color=_COLOURS[name], label=_LABELS[name])
                for name in systems
            ],
            loc="outside upper center",
            ncols=min(3, len(systems)),
            frameon=False,
        )
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / NAME
        figure.savefig(path, transparent=True, metadata={"Date": None, "Title": TITLE})
    return path


def _panel(axes: Axes, heading: str, panel: Sequence[Point], jobs: Sequence[str]) -> None:
    """A group of points for each job, downwards. On a logarithmic scale, and so without bars,
    whose length would say nothing there."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for row, job in enumerate(jobs):
        group = [point for point in panel if point.job == job]
        for place, point in enumerate(group):
            y = row - 0.4 + (place + 0.5) * 0.8 / len(group)
            axes.plot(point.value, y, "o", markersize=6, color=_COLOURS[point.system])
            axes.annotate(
                f"{point.value:.3g}" if point.value < 1000 else f"{point.value:.0f}",
                (point.value, y),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
        axes.axhline(row + 0.5, color=_INK, alpha=0.25, linewidth=0.8)
    values = [point.value for point in panel if point.value > 0] or [1.0]
    axes.set_xscale("log")
    axes.set_xlim(10 ** floor(log10(min(values))), 10 ** ceil(log10(max(values) * 1.5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(jobs)), jobs)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(jobs) - 0.5, -0.5)
    axes.set_xlabel(heading)
    axes.grid(axis="x", color=_INK, alpha=0.25)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def main(
    results: Annotated[list[Path], typer.Argument(help="reports of the bench, as JSON")],
    output: Annotated[Path, typer.Option(help="folder of the plot")] = places.ROOT
    / "bench"
    / "figures",
) -> None:
    """Draw the figures of reports."""
    print(draw(results, output))


if __name__ == "__main__":
    typer.run(main)
