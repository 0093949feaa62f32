"""``python -m bench.spill``: what a pass takes whose shares of tables lie in a file."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from bench import places
from bench.cases import CASES, job_text
from bench.executors import Took, together
from party.agreement.job import Job, load_job
from party.plan import PlanParameters, sharing

CASE = "optimum-large"


def main(
    rows: Annotated[int, typer.Option(min=1000, help=f"of {CASE}'s table")] = 200_000,
    protocol: Annotated[
        list[str] | None, typer.Option(help="of the kit's", show_default="pond, aby3")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="in memory, and in a file")] = 3,
    passes: Annotated[int, typer.Option(min=1, help="of a turn, of which the median counts")] = 6,
    folder: Annotated[Path, typer.Option(help="for the file, on a disk")] = places.ROOT,
) -> None:
    """Measure passes over all rows both ways, turn by turn; print milliseconds and ratios."""
    print("| protocol | shares of tables | processor, ms a pass | ms a pass |\n|---|---|---|---|")
    for each in protocol or ("pond", "aby3"):
        with tempfile.TemporaryDirectory(prefix="bench-") as cache:
            file = Path(cache) / "job.yaml"
            file.write_text(job_text(replace(CASES[CASE], rows=rows), each), encoding="utf-8")
            _compare(load_job(file), Path(cache), each, turns, passes, folder)


def _compare(job: Job, cache: Path, protocol: str, turns: int, passes: int, folder: Path) -> None:
    ways = {"in memory": None, "in a file": folder}
    took: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, spill in ways.items():
            found = trained(job, cache, passes, spill)
            took[name].append([median(column) * 1e3 for column in zip(*found, strict=True)])
    for name, found_ms in took.items():
        wall_ms, cpu_ms = (median(column) for column in zip(*found_ms, strict=True))
        print(f"| {protocol} | {name} | {cpu_ms:.3g} | {wall_ms:.3g} |")
    pairs = list(zip(took["in a file"], took["in memory"], strict=True))
    wall, cpu = (median(there[k] / here[k] for there, here in pairs) for k in range(2))
    print(f"|  | file ÷ memory | **{cpu:.3g}** | **{wall:.3g}** |", flush=True)


def trained(job: Job, cache: Path, passes: int, spill: Path | None) -> list[Took]:
    """The first passes of a training, once the tables are shared; each is the sums over all rows,
    and the step that they make."""
    parameters = PlanParameters.of(job)
    course = list(parameters.trained.course(job, parameters.layout))
    setup = len(sharing(course))
    took: list[Took] = []
    with together(job, cache, spill) as parties:
        for stretch in course[:setup]:
            parties.run(stretch.program, stretch.runs, stretch.rows and stretch.rows())
        training = iter(course[setup:])
        for pair in islice(zip(training, training, strict=False), passes):
            ran = [parties.run(one.program, one.runs, one.rows and one.rows()) for one in pair]
            took.append((sum(wall for wall, _ in ran), sum(cpu for _, cpu in ran)))
    return took[1:] or took  # the first one touches its memory


if __name__ == "__main__":
    typer.run(main)
