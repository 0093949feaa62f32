"""What is measured: the shapes of the jobs, and their tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml
from pyarrow import csv

from bench import environment
from bench.optimum import Matrix

STEP_WIDTH = 0.1 / 128
"""Learning rate by batch size, the same in all cases: the rate grows with the batch, as is usual.
tf-encrypted multiplies the gradient by this number in its fixed point, where 0.1 / 1024 is zero."""

TO_THE_OPTIMUM = ("sealed", "spu", "spu-polynomial")


@dataclass(frozen=True)
class Batches:
    """Mini-batch gradient descent: rows of a step, and passes over all rows."""

    size: int
    epochs: int


@dataclass(frozen=True)
class Case:
    """A job of logistic regression: by mini-batches, or without them to the optimum."""

    name: str
    rows: int
    features: int
    batches: Batches | None = None
    at_bob: int = 0
    """The last so many features are Bob's, who has the label in all cases."""
    round_trip_ms: float = 0.0
    """Between any two parties, on top of what this machine takes itself."""
    mbit_s: float = 0.0
    """What each party's line carries each way, where parties are apart; 0: as it comes."""
    systems: tuple[str, ...] = ("sealed", "published")
    """What is measured on it unless systems are named: the rest has little to add there."""

    @property
    def learning_rate(self) -> float:
        assert self.batches is not None
        return STEP_WIDTH * self.batches.size

    @property
    def steps(self) -> int:
        """Whole batches in all epochs."""
        assert self.batches is not None
        return self.rows // self.batches.size * self.batches.epochs

    def shorter(self) -> Case:
        """A tenth of it, for a look: of the steps, or of the rows."""
        if self.batches is None:
            return replace(self, rows=self.rows // 10)
        return replace(
            self, batches=replace(self.batches, epochs=max(1, self.batches.epochs // 10))
        )

    def __str__(self) -> str:
        parts = [f"{self.rows:,} x {self.features}"]
        if self.at_bob:
            parts.append(f"{self.features - self.at_bob} columns at Alice, {self.at_bob} at Bob")
        if self.batches is None:
            parts.append("to the optimum")
        else:
            parts.append(f"batch {self.batches.size}, {self.steps} steps")
        if self.round_trip_ms:
            parts.append(f"{self.round_trip_ms:g} ms round trip")
        if self.mbit_s:
            parts.append(f"{self.mbit_s:g} Mbit/s")
        return f"{self.name}: {', '.join(parts)}"


CASES = {
    case.name: case
    for case in (
        Case("optimum", 7_000, 16, systems=TO_THE_OPTIMUM),
        Case("both", 7_000, 16, at_bob=8, systems=TO_THE_OPTIMUM),
        Case("optimum-large", 1_000_000, 30, systems=("sealed", "spu")),
        *(
            Case(
                f"optimum-{ms}ms",
                7_000,
                16,
                round_trip_ms=ms,
                mbit_s=100,
                systems=TO_THE_OPTIMUM,
            )
            for ms in (10, 40, 100)
        ),
        Case("optimum-40ms-wide", 7_000, 16, round_trip_ms=40, systems=TO_THE_OPTIMUM),
        Case(
            "reference",
            7_000,
            16,
            Batches(128, epochs=10),
            systems=("sealed", "tensorflow", "published", "published-local"),
        ),
        Case("batch-1024", 7_000, 16, Batches(1_024, epochs=90)),
        Case(
            "large",
            100_000,
            100,
            Batches(1_024, epochs=6),
            systems=("sealed", "former", "published"),
        ),
        Case(
            "distant",
            7_000,
            16,
            Batches(128, epochs=1),
            round_trip_ms=40,
            mbit_s=100,
            systems=("sealed", "published", "published-local"),
        ),
    )
}


@dataclass(frozen=True)
class Tables:
    """A case's made-up tables, as every system takes them in.

    Raw files are float32, row by row: standardised features, with a column of ones after Alice's
    for the intercept; and the label.
    """

    alice_csv: Path
    bob_csv: Path
    alice_raw: Path
    bob_raw: Path | None
    """None where Bob has no features."""
    label_raw: Path

    def label(self) -> Matrix:
        """[rows]."""
        return np.fromfile(self.label_raw, np.float32).astype(np.float64)

    def blocks(self) -> list[Matrix]:
        """Each holder's columns, the intercept's in Alice's: [rows, columns]."""
        rows = self.label_raw.stat().st_size // np.dtype(np.float32).itemsize
        files = [self.alice_raw] + ([self.bob_raw] if self.bob_raw else [])
        return [
            np.fromfile(file, np.float32).astype(np.float64).reshape(rows, -1) for file in files
        ]

    def auc(self, weights: list[float]) -> float:
        """Area under the ROC curve of weights in the order of the blocks' columns."""
        y = self.label() > 0.5
        rank = np.empty(len(y))
        rank[np.argsort(np.hstack(self.blocks()) @ np.asarray(weights))] = np.arange(1, len(y) + 1)
        positive = int(y.sum())
        above = rank[y].sum() - positive * (positive + 1) / 2
        return float(above / (positive * (len(y) - positive)))


def tables(case: Case) -> Tables:
    """The tables of a case: made once, the same everywhere (the seed is fixed), kept in the cache.

    Features are normal with means and scales of their own; the label follows a logistic model of
    them, so that a model that learned shows it.
    """
    split = f"-{case.at_bob}" if case.at_bob else ""
    folder = environment.cache() / f"tables-{case.rows}x{case.features}{split}"
    found = Tables(
        folder / "alice.csv",
        folder / "bob.csv",
        folder / "alice.f32",
        folder / "bob-features.f32" if case.at_bob else None,
        folder / "bob.f32",
    )
    if found.label_raw.exists():  # the one that is written last
        return found
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    shape, alices = case.features, case.features - case.at_bob
    x = random.normal(size=(case.rows, shape)) * random.uniform(0.5, 3, shape)
    x = (x + random.uniform(-2, 2, shape)).round(3)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    odds = standard @ random.normal(size=shape) * (1 / np.sqrt(shape)) + 0.3
    y = (random.uniform(size=case.rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    columns: dict[str, npt.NDArray[Any]] = dict(zip(_names(case), x.T, strict=True))
    alice, bob = _names(case)[:alices], _names(case)[alices:]
    csv.write_csv(pa.table({name: columns[name] for name in alice}), found.alice_csv)
    csv.write_csv(pa.table({"label": y} | {name: columns[name] for name in bob}), found.bob_csv)
    ones = np.ones(case.rows)
    np.column_stack([standard[:, :alices], ones]).astype(np.float32).tofile(found.alice_raw)
    if found.bob_raw is not None:
        standard[:, alices:].astype(np.float32).tofile(found.bob_raw)
    y.astype(np.float32).tofile(found.label_raw)
    return found


def _names(case: Case) -> list[str]:
    return [f"feature_{index + 1}" for index in range(case.features)]


def job_text(case: Case, protocol: str) -> str:
    """The case as the kit's job specification."""
    alices = case.features - case.at_bob
    features = {"alice": _names(case)[:alices], "bob": _names(case)[alices:]}
    job: dict[str, Any] = {
        "name": f"bench-{case.name}",
        "protocol": protocol,
        "rows": case.rows,
        "features": features if case.at_bob else features["alice"],
        "label": {"bob": "label"} if case.at_bob else "label",
        "model": "logistic-regression",
        "result": "alice",
    }
    if case.batches is not None:
        job["training"] = {
            "epochs": case.batches.epochs,
            "batch_size": case.batches.size,
            "learning_rate": case.learning_rate,
            "order_seed": 1,
        }
    return yaml.safe_dump(job, sort_keys=False)
