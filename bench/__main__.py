"""``python -m bench``: runs every system on the same jobs, turn by turn, and reports the ratios."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench import machine, places, readme, report
from bench.cases import CASES, Case, Tables, tables
from bench.environment import NoEnvironment
from bench.optimum import GOAL, Problem
from bench.report import Measurement
from bench.systems import SYSTEMS, Figures, RunFailed

PROTOCOLS = ("pond", "aby3", "securenn")


def main(
    case: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(CASES)}")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help=f"of {', '.join(PROTOCOLS)}", show_default="pond, aby3"),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(help=f"of {', '.join(SYSTEMS)}", show_default="what the case is for"),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="runs of each system on each job")] = 5,
    short: Annotated[
        bool, typer.Option(help="a tenth of the steps or rows, one round: a look")
    ] = False,
    limit: Annotated[float, typer.Option(help="seconds until a run is given up")] = 900,
    rewrite: Annotated[
        bool, typer.Option("--readme", help="put the figures into bench/README.md, with the plot")
    ] = False,
    output: Annotated[Path, typer.Option(help="folder of the reports")] = places.ROOT
    / "bench"
    / "results",
) -> None:
    """Measure the kit beside its peers; case, protocol and system can be given repeatedly."""
    cases = [CASES[name] for name in _chosen(case, tuple(CASES), "case")]
    protocols = _chosen(protocol, PROTOCOLS, "protocol") if protocol else ["pond", "aby3"]
    chosen = _chosen(system, tuple(SYSTEMS), "system") if system else None
    if short:
        rounds = 1
        cases = [each.shorter() for each in cases]
    if why := places.why_not_apart():
        for each in [each for each in cases if each.round_trip_ms]:
            print(f"leaving out {each.name}: {why}")
            cases.remove(each)
    facts = machine.facts()
    jobs = [(each, name) for each in cases for name in protocols]
    measurements: list[Measurement] = []
    try:
        for number in range(1, rounds + 1):
            for turn, (each, name) in enumerate(jobs):
                # Going first may matter (caches, other users' work), so that changes hands as well.
                systems = [one for one in chosen or each.systems if name in SYSTEMS[one].protocols]
                for position in range(len(systems)):
                    one = systems[(position + number + turn) % len(systems)]
                    measurements.append(_measure(each, name, one, number, limit))
    except KeyboardInterrupt:
        print("stopped: reporting the runs so far")
    titles = {each.name: str(each) for each in cases}
    print(f"\n{report.table(measurements, titles)}")
    page = report.write(output, facts, measurements, titles)
    print(f"written to {page} and .json")
    if rewrite:
        readme.rewrite([page.with_suffix(".json")])
    if any(run.failed for run in measurements):
        raise typer.Exit(1)


def _measure(case: Case, protocol: str, system: str, number: int, limit_s: float) -> Measurement:
    about = f"round {number}, {case.name}, {protocol}, {system}"
    made = tables(case)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            figures = SYSTEMS[system].run(case, protocol, made, Path(folder), limit_s)
            _judge(case, made, figures)
        except (RunFailed, NoEnvironment) as failure:
            print(f"{about}: failed: {failure}", flush=True)
            return Measurement(case.name, protocol, system, number, None, str(failure))
    print(f"{about}: {figures.job_s:.3g} s", flush=True)
    return Measurement(case.name, protocol, system, number, figures)


def _judge(case: Case, made: Tables, figures: Figures) -> None:
    """A system that is fast at something else has failed at this."""
    if figures.excess is not None:
        if not figures.excess <= GOAL:
            raise RunFailed(f"not the optimum: a loss {figures.excess:.1e} of it above")
        return
    best = made.auc(Problem(made.blocks(), made.label()).optimum())
    if figures.auc < best - 0.02:
        raise RunFailed(f"it learned nothing: AUC {figures.auc:.3f}")


def _chosen(given: list[str] | None, known: tuple[str, ...], option: str) -> list[str]:
    for name in given or ():
        if name not in known:
            raise typer.BadParameter(f"{name}: one of {', '.join(known)}", param_hint=f"--{option}")
    return given or list(known)


if __name__ == "__main__":
    typer.run(main)
