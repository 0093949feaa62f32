"""``python -m bench.estimates``: what ``deployer estimate`` says beside what a run then takes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from bench import places
from bench.cases import CASES, Case, job_text, tables
from bench.systems import SYSTEMS, command_of

_USUAL = ("reference", "distant")


def main(
    case: Annotated[
        list[str] | None,
        typer.Option(help=f"of {', '.join(CASES)}", show_default=", ".join(_USUAL)),
    ] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="of the kit's", show_default="pond, aby3")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="estimates and runs of each job")] = 3,
    limit: Annotated[float, typer.Option(help="seconds until a run is given up")] = 900,
) -> None:
    """Estimate and run, turn by turn; print the ratio of the two. Nothing passes or fails by it."""
    for name in case or _USUAL:
        one = CASES[name]
        if one.batches is None:
            print(f"leaving out {name}: how many passes it takes is not known before")
            continue
        if one.round_trip_ms and (why := places.why_not_apart()):
            print(f"leaving out {name}: {why}")
            continue
        print(one)
        for each in protocol or ("pond", "aby3"):
            ratios = [_ratio(one, each, limit) for _ in range(rounds)]
            print(f"  {each}: estimate by run {median(ratios):.2f} in the median", flush=True)


def _ratio(case: Case, protocol: str, limit_s: float) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        said = _estimate(case, protocol, folder)
        estimated_ms = (said["apart"] or said["loopback"])["step_s"] * 1e3
        run_ms = SYSTEMS["sealed"].run(case, protocol, tables(case), folder, limit_s).step_ms
    assert run_ms is not None, f"{case.name} has no steps to compare"
    ratio: float = estimated_ms / run_ms
    print(f"  {protocol}: estimate {estimated_ms:.4g} ms a step, run {run_ms:.4g} ms, {ratio:.2f}")
    return ratio


def _estimate(case: Case, protocol: str, folder: Path) -> dict[str, Any]:
    job = folder / "estimated.yaml"
    job.write_text(job_text(case, protocol), encoding="utf-8")
    words = ["estimate", str(job), "--json", "--cache", str(folder / "cache")]
    if case.round_trip_ms:
        words += ["--rtt", str(case.round_trip_ms)]
    if case.mbit_s:
        words += ["--bandwidth", str(case.mbit_s)]
    done = subprocess.run(
        [*command_of("deployer"), *words], cwd=places.ROOT, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    typer.run(main)
