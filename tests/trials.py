"""``python -m tests.trials``: what comes of settings that once gave wrong models, as a table.

Each is ``deployer run`` on tables in files, and what it gives is set beside scikit-learn and beside
the same steps in clear. ``tests/e2e/test_trials.py`` holds what must come of each.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from party.agreement.job import Job
from party.models.registry import model_of
from party.reporting.documents import ModelDocument
from party.runtime import default_cache
from tests.harness import datasets
from tests.harness.datasets import Dataset
from tests.harness.optimum import logistic_optimum

Array = NDArray[np.float64]
Expected = Literal["a model", "no model", "refused"]

PROTOCOLS = ("pond", "aby3")


@dataclass(frozen=True)
class Trial:
    """A table and settings for mini-batches: all features are Alice's, who receives the model.

    Attributes:
        name: what it is called.
        dataset: makes the table.
        epochs, batch_size, learning_rate: the job's.
        expected: what comes of it.
        tells: what is told of a model that could be better, in part.
    """

    name: str
    dataset: Callable[[], Dataset]
    epochs: int
    batch_size: int
    learning_rate: float
    expected: Expected
    tells: str = ""

    @cached_property
    def table(self) -> Dataset:
        made = self.dataset()
        return replace(made, at_alice=made.x.shape[1])

    def document(self, protocol: str) -> dict[str, Any]:
        """The job as it is written down: it may be one that is refused."""
        rows, columns = self.table.x.shape
        return {
            "name": "trial",
            "protocol": protocol,
            "rows": rows,
            "features": [f"x{i}" for i in range(columns)],
            "label": "y",
            "training": {
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "learning_rate": self.learning_rate,
                "order_seed": 1,
            },
        }

    def job(self, protocol: str) -> Job:
        return self.table.job(
            name="trial", protocol=protocol, training=self.document(protocol)["training"]
        )

    @cached_property
    def rows(self) -> Array:
        """Standardised, with the ones, [rows, columns + 1]."""
        x = self.table.x
        own = (x - x.mean(axis=0)) / x.std(axis=0)
        return np.column_stack([own, np.ones(len(x))])

    def scores(self, weights: Array) -> tuple[float, float]:
        """Mean log loss and mean probability of weights; the intercept's is the last."""
        t = self.rows @ weights
        loss = float((np.logaddexp(0.0, t) - self.table.y * t).mean())
        return loss, float((0.5 * (1.0 + np.tanh(0.5 * t))).mean())

    def in_clear(self) -> Array:
        """The weights that the same steps give without shares."""
        job = self.job(PROTOCOLS[0])
        label = self.table.y[:, np.newaxis].astype(np.float32)
        return model_of(job.parameters).fit(job, self.rows.astype(np.float32), label)

    def scikit_learns(self) -> Array:
        """The weights of its logistic regression with default settings."""
        return logistic_optimum(self.rows, self.table.y, 1.0, self.rows.shape[1] - 1)


FAR, WIDE = "training.epochs: after ", "is so wide a step for the columns"
ASTRAY, ONE_STEP = "align: by chance alone", "one step is the whole training"

TRIALS = (
    Trial("heavy tails, rate 0.1", datasets.heavier_tails, 30, 64, 0.1, "no model"),
    Trial("heavy tails, rate 0.02", datasets.heavier_tails, 30, 64, 0.02, "a model", FAR),
    Trial("breast cancer, rate 1", datasets.breast_cancer, 30, 64, 1.0, "a model", WIDE),
    Trial("breast cancer, rate 0.5", datasets.breast_cancer, 100, 64, 0.5, "no model"),
    Trial("breast cancer, rate 0.1", datasets.breast_cancer, 100, 64, 0.1, "a model", FAR),
    Trial("rare events", datasets.rarer_events, 30, 64, 0.1, "a model", FAR),
    Trial("labels in another order", datasets.other_order, 60, 32, 0.1, "a model", ASTRAY),
    Trial("a single step", datasets.few_rows, 1, 300, 0.1, "a model", ONE_STEP),
    Trial("rate 1e-14", datasets.irises, 10, 16, 1e-14, "refused"),
    Trial("85 columns, rate 5", datasets.many_columns, 10, 16, 5.0, "refused"),
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: its exit code.
        told: of its lines, those that warn, or the one that says what is wrong.
        weights: of the model that it left, the intercept's last; None where it left none.
    """

    code: int
    told: tuple[str, ...]
    weights: Array | None

    @property
    def kind(self) -> Expected:
        if self.weights is not None:
            return "a model"
        return "refused" if self.code == 2 else "no model"


def run(trial: Trial, protocol: str, directory: Path, cache: Path) -> Outcome:
    """Runs a trial as its user would."""
    directory.mkdir(parents=True, exist_ok=True)
    job, output = directory / "job.yaml", directory / "out"
    job.write_text(yaml.safe_dump(trial.document(protocol), sort_keys=False))
    files = trial.table.write(directory)
    words = ["run", job, "--output", output, "--cache", cache]
    words += [word for party, file in files.items() for word in (f"--{party}", file)]
    command = [sys.executable, "-c", "from deployer.cli import main; main()", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [*done.stderr.replace(":\n  ", ": ").splitlines(), *done.stdout.splitlines()]
    told = tuple(line for line in lines if line.startswith(("warning: ", "error: ", "health: ")))
    model = ModelDocument.read(output / "alice")
    if (model is None) == (done.returncode == 0):
        raise AssertionError(f"exit code {done.returncode} with model {model}: {done.stderr}")
    weights = None
    if model is not None:
        found = model.as_json()
        weights = np.array([*found["weights"], found["intercept"]])
    return Outcome(done.returncode, told, weights)


HEADINGS = (
    "settings",
    "what came of it",
    "log loss, scikit-learn's",
    "mean probability, of labels 1",
    "what is told",
)


def line(trial: Trial, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """A row of the table: what each protocol came to."""
    codes = {outcome.code for outcome in outcomes}
    kinds = {outcome.kind for outcome in outcomes}
    came = f"{' or '.join(sorted(kinds))} ({' or '.join(map(str, sorted(codes)))})"
    found = [trial.scores(one.weights) for one in outcomes if one.weights is not None]
    losses = means = ""
    if found:
        best, _ = trial.scores(trial.scikit_learns())
        losses = f"{_joined(loss for loss, _ in found)}; {_figures(best)}"
        means = f"{_joined(mean for _, mean in found)}; {_figures(float(trial.table.y.mean()))}"
    said = (words for one in outcomes for words in one.told if not words.startswith("health: "))
    told = dict.fromkeys(map(_short, said))
    return trial.name, came, losses, means, "; ".join(told)


def _joined(numbers: Any) -> str:
    """One number where they do not differ as they are shown."""
    return ", ".join(dict.fromkeys(map(_figures, numbers)))


def _figures(number: float) -> str:
    """Three of them, without an exponent."""
    decimals = 2 - math.floor(math.log10(abs(number)))
    return f"{number:.{decimals}f}"


def _short(told: str) -> str:
    """What is said, without what to do."""
    words = told.partition(": ")[2].removeprefix("alice: ")
    for end in ("; ", ", up to which", ", by the curvature", ", so that", ": lines"):
        words = words.partition(end)[0]
    return words.replace("|", "\\|")


def table(lines: Sequence[tuple[str, ...]]) -> str:
    """In Markdown."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def main() -> int:
    """Runs the trials, and prints the table; exit code 1 where one does not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="trials whose name has it")
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS)
    given = parser.parse_args()
    lines, code = [], 0
    for trial in (one for one in TRIALS if given.only in one.name):
        outcomes = []
        for protocol in given.protocol or PROTOCOLS:
            with tempfile.TemporaryDirectory() as directory:
                outcome = run(trial, protocol, Path(directory), default_cache())
            print(f"{trial.name}, {protocol}: {outcome.kind}", file=sys.stderr, flush=True)
            for told in outcome.told:
                print(f"  {told}", file=sys.stderr, flush=True)
            if outcome.kind != trial.expected:
                print(f"  it had to be: {trial.expected}", file=sys.stderr, flush=True)
                code = 1
            outcomes.append(outcome)
        lines.append(line(trial, outcomes))
    print(table(lines), end="")
    return code


if __name__ == "__main__":
    sys.exit(main())
