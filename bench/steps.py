"""``python -m bench.steps``: what a step takes of the processor, beside the kit of a former time.

Three executors in one process, connected by TLS on the loopback, run the step of a job on tables of
ones: no table is read, no process started, and nothing else is in the figures. The processor time
of the three threads says something on a busy machine, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench import environment
from bench.cases import CASES, job_text
from bench.executors import Took, compare, together
from bench.systems import command_of
from party.agreement.job import load_job


def main(
    case: Annotated[str, typer.Option(help="one by mini-batches, on the loopback")] = "large",
    protocol: Annotated[
        list[str] | None, typer.Option(help="of the kit's", show_default="pond, aby3")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="of each kit, one after the other")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="of a turn's ten rounds")] = 20,
) -> None:
    """Measure both, turn by turn; print milliseconds and ratios."""
    print("| protocol | kit | processor, ms a step | ms a step |\n|---|---|---|---|")
    for each in protocol or ("pond", "aby3"):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            job = Path(folder) / "job.yaml"
            job.write_text(job_text(CASES[case], each), encoding="utf-8")
            kits = {"today": today, "former": former}
            ways = {name: partial(kit, Path(folder), job, steps) for name, kit in kits.items()}
            compare(each, ways, turns, "former ÷ today")


ROUNDS = 10


def today(folder: Path, file: Path, steps: int) -> list[Took]:
    """Rounds of so many steps by this kit; seconds of a step."""
    job, took = load_job(file), []
    assert job.batches_of is not None
    with together(job, folder / "cache") as parties:
        for number in range(ROUNDS + 1):  # the first one touches its memory
            draw = np.random.default_rng(number)
            shape = (steps, job.batches_of.batch_size)
            rows = draw.integers(0, job.rows, shape, np.int32)
            wall_s, cpu_s = parties.run("step", steps, rows)
            took.append((wall_s / steps, cpu_s / steps))
    return took[1:]


def former(folder: Path, file: Path, steps: int) -> list[Took]:
    """The same by the kit of ``environment.FORMER``."""
    kit, settings, result = environment.FORMER.folder(), folder / "former", folder / "result"
    keys = folder / "keys"
    if not keys.exists():
        words = [*command_of("deployer"), "certs", "new", "--job", str(file), "--output", str(keys)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    given = {"job": file, "cache": folder / "former-cache", "keys": keys, "result": result}
    counts = {"rounds": ROUNDS, "steps": steps}
    settings.write_text(json.dumps(given | counts, default=str), encoding="utf-8")
    program = Path(__file__).parent / "former" / "steps.py"
    # What the interpreter finds first is the folder that it is told of.
    words = ["env", "-C", str(kit), f"PYTHONPATH={kit}", sys.executable, str(program)]
    subprocess.run([*words, str(settings)], check=True)
    found: list[Took] = [tuple(each) for each in json.loads(result.read_text(encoding="utf-8"))]
    return found


if __name__ == "__main__":
    typer.run(main)
