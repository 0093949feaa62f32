"""``deployer score``: what a model says of rows, where one party has all of it."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, TextIO

import typer

from deployer.commands import new_app
from party.process.errors import InputError
from party.process.files import see_to_place, unwritable

app = new_app()

SCORE = "score"


@app.command()
def score(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model.json of a run.")],
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="Rows: CSV, plain or gzip, or Parquet.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A CSV for the scores. Default: standard output."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="COLUMN", help="A column to write beside the score; several times."
        ),
    ] = None,
) -> None:
    """Score rows with a model, on this machine alone: no other party, no cluster.

    Columns are found by name. A logistic regression gives the probability of label 1, a linear
    regression the label. Nothing is written unless every row is right.

    Example: deployer score out/alice/model.json examples/fraud/alice.csv --output scores.csv
    """
    from party.scoring.rows import batches
    from party.scoring.scorer import Scorer

    if output is not None:
        see_to_place(output, "the scores", model, table)
    scorer, names = Scorer.read(model), keep or []
    if SCORE in names:
        hint = "leave it out, or give it another name in the table"
        raise InputError(f"there is a column {SCORE!r} already: that of the scores", "--keep", hint)
    with _written(output) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*names, SCORE])
        for batch in batches(table, scorer.schemas, names):
            scores = [repr(float(one)) for one in scorer.predict(batch.codes)]
            writer.writerows(zip(*batch.kept, scores, strict=True))


@contextmanager
def _written(output: Path | None) -> Iterator[TextIO]:
    """A file that takes its place, or goes to standard output, when all of it is there."""
    if output is None:
        with TemporaryFile("w+", encoding="utf-8", newline="") as stream:
            yield stream
            stream.seek(0)
            for piece in iter(lambda: stream.read(1 << 20), ""):
                sys.stdout.write(piece)
        return
    making = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        number = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(error, "cannot write the scores", output) from None
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(number)
        making.replace(output)
    except OSError as error:
        raise unwritable(error, "cannot write the scores", output) from None
    finally:
        making.unlink(missing_ok=True)
