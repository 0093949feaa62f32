"""``python -m bench.spill``: what a pass takes whose shares of tables lie in a file."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from bench import places
from bench.cases import CASES, job_text
from bench.executors import Took, compare, together
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
            measure = partial(trained, load_job(file), Path(cache), passes)
            ways = {"in memory": partial(measure, None), "in a file": partial(measure, folder)}
            compare(each, ways, turns, "file ÷ memory")


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
