"""``python -m bench.readme RESULTS.json ...``: puts reports' figures into bench/README.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import places, plot, report
from party.process import files

PAGE = places.ROOT / "bench" / "README.md"
_FIGURES = re.compile(r"(?<=<!-- figures: begin -->\n).*(?=<!-- figures: end -->)", re.DOTALL)


def section(results: Sequence[Path]) -> str:
    """What stands between the marks: the plot, and each report's conditions and tables."""
    parts = [f"![{plot.TITLE}](figures/{plot.NAME})"]
    for path, found in zip(results, report.together(results), strict=True):
        machine, measurements, titles = found
        if measurements:
            rounds = max(run.round for run in measurements)
            parts.append(
                f"{_conditions(machine, rounds)} Every single run is in "
                f"[results/{path.name}](results/{path.name})."
            )
            parts.append(report.table(measurements, titles).strip())
    return "\n" + "\n\n".join(parts) + "\n\n"


def _conditions(machine: dict[str, Any], rounds: int) -> str:
    busy = (
        " **The machine had other work to do: only the ratios say something, and those with care.**"
    )
    many = f"medians of {rounds} rounds" if rounds > 1 else "a single round"
    return (
        f"Measured on {str(machine['date'])[:10]}, {many}: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory']}, {machine['system']}, "
        f"load {machine['load before']} before the first run, commit {machine['commit']}; "
        f"the kit on {machine['kit on']}; {machine['published']}; {machine['spu']}."
        f"{busy if float(machine['load before']) > 1 else ''}"
    )


def rewrite(results: Sequence[Path]) -> None:
    """Rewrites the page's figures and the plot. The results must lie where the page links to."""
    text = PAGE.read_text(encoding="utf-8")
    written, count = _FIGURES.subn(lambda _: section(results), text)
    if count != 1:
        raise ValueError(f"{PAGE} has no place for figures")
    plot.draw(results, PAGE.parent / "figures")
    files.replace(PAGE, written.encode(), 0o644)
    print(f"figures put into {PAGE}")


def main(
    results: Annotated[list[Path], typer.Argument(help="reports of the bench, as JSON")],
) -> None:
    """Put the figures of reports into bench/README.md, and draw their plot."""
    rewrite(results)


if __name__ == "__main__":
    typer.run(main)
