"""``python -m bench.checkpoints``: what checkpoints take of a run, beside one without any.

Three parties by hand, as in ``docs/by-hand.md``, train the same job by turns: with the checkpoints
that they write unless told otherwise, and without a key for them and hardly ever meeting.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench import places
from bench.cases import CASES, Batches, Case, Tables, job_text, tables
from bench.executors import Took, compare
from bench.systems import by_hand, command_of
from party.agreement.job import PARTIES
from party.identity import CHECKPOINT_KEY

CASE = "reference"
NEVER = ("--checkpoint-every", "3600")
_LIMIT_S = 3600.0


def main(
    epochs: Annotated[int, typer.Option(min=1, help="of a run: half a minute of steps")] = 3000,
    protocol: Annotated[
        list[str] | None, typer.Option(help="of the kit's", show_default="pond, aby3")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="without, and with checkpoints")] = 3,
    folder: Annotated[Path, typer.Option(help="for the checkpoints, on a disk")] = places.ROOT,
) -> None:
    """Measure both, turn by turn; print seconds and ratios."""
    case = replace(CASES[CASE], batches=Batches(128, epochs))
    print("| protocol | checkpoints | processor, ms a run | ms of training |\n|---|---|---|---|")
    for each in protocol or ("pond", "aby3"):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as room:
            ways = {name: _place(Path(room) / name, case, each) for name in ("none", "usual")}
            for party in PARTIES:
                (ways["none"] / "keys" / party / CHECKPOINT_KEY).unlink()
            run = partial(_run, case, tables(case))
            measured = {
                "none": partial(run, ways["none"], NEVER),
                "usual": partial(run, ways["usual"], ()),
            }
            for way in measured.values():  # the plan is built once, and is no part of it
                way()
            compare(each, measured, turns, "usual ÷ none")


def _place(folder: Path, case: Case, protocol: str) -> Path:
    folder.mkdir()
    job = folder / "job.yaml"
    job.write_text(job_text(case, protocol), encoding="utf-8")
    words = [*command_of("deployer"), "certs", "new", "--job", str(job)]
    subprocess.run(
        [*words, "--output", str(folder / "keys")], check=True, stdout=subprocess.DEVNULL
    )
    return folder


def _run(case: Case, made: Tables, folder: Path, options: tuple[str, ...]) -> list[Took]:
    """One run: seconds of the training, and of the processor by all that started."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        took = by_hand(case, "sealed", made, folder, Path(output), _LIMIT_S, options)
    assert took.train_s is not None
    return [(took.train_s, took.cpu_s)]


if __name__ == "__main__":
    typer.run(main)
