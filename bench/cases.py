"""What is measured: the shapes of the jobs, and their tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml
from pyarrow import csv

from bench.published import environment

STEP_WIDTH = 0.1 / 128
"""Learning rate by batch size, the same in all cases: the rate grows with the batch, as is usual.
tf-encrypted multiplies the gradient by this number in its fixed point, where 0.1 / 1024 is zero."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A job of logistic regression by mini-batch gradient descent."""

    name: str
    rows: int
    features: int
    batch: int
    epochs: int
    round_trip_ms: float = 0.0
    """Between any two parties, on top of what this machine takes itself."""
    systems: tuple[str, ...] = ("sealed", "published")
    """What is measured on it unless systems are named: the rest has little to add there."""

    @property
    def learning_rate(self) -> float:
        return STEP_WIDTH * self.batch

    @property
    def steps(self) -> int:
        """Whole batches in all epochs."""
        return self.rows // self.batch * self.epochs

    def __str__(self) -> str:
        distance = f", {self.round_trip_ms:g} ms round trip" if self.round_trip_ms else ""
        shape = f"{self.rows:,} x {self.features}, batch {self.batch}, {self.steps} steps"
        return f"{self.name}: {shape}{distance}"


CASES = {
    case.name: case
    for case in (
        Case(
            "reference",
            7_000,
            16,
            128,
            epochs=10,
            systems=("sealed", "tensorflow", "published", "published-local"),
        ),
        Case("batch-1024", 7_000, 16, 1_024, epochs=90),
        Case("large", 100_000, 100, 1_024, epochs=6),
        Case(
            "distant",
            7_000,
            16,
            128,
            epochs=1,
            round_trip_ms=40,
            systems=("sealed", "published", "published-local"),
        ),
    )
}


@dataclass(frozen=True)
class Tables:
    """A case's made-up tables, as every system takes them in, and what its model is judged by."""

    alice_csv: Path
    bob_csv: Path
    alice_raw: Path
    """float32, row by row: the standardised features and a column of ones for the intercept."""
    bob_raw: Path

    @property
    def best_auc(self) -> float:
        """Of logistic regression in clear, by Newton's method."""
        y = np.fromfile(self.bob_raw, np.float32).astype(np.float64)
        x = np.fromfile(self.alice_raw, np.float32).reshape(len(y), -1).astype(np.float64)
        weights = np.zeros(x.shape[1])
        for _ in range(8):
            p = 1 / (1 + np.exp(-x @ weights))
            weights += np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (y - p))
        return self.auc(weights.tolist())

    def auc(self, weights: list[float]) -> float:
        """Area under the ROC curve of weights of the standardised features, intercept last."""
        x = np.fromfile(self.alice_raw, np.float32).reshape(-1, len(weights))
        y = np.fromfile(self.bob_raw, np.float32) > 0.5
        rank = np.empty(len(y))
        rank[np.argsort(x @ np.asarray(weights))] = np.arange(1, len(y) + 1)
        positive = int(y.sum())
        above = rank[y].sum() - positive * (positive + 1) / 2
        return float(above / (positive * (len(y) - positive)))


def tables(case: Case) -> Tables:
    """The tables of a case: made once, the same everywhere (the seed is fixed), kept in the cache.

    Features are normal with means and scales of their own; the label follows a logistic model of
    them, so that a model that learned shows it.
    """
    folder = environment.cache() / f"tables-{case.rows}x{case.features}"
    found = Tables(
        folder / "alice.csv", folder / "bob.csv", folder / "alice.f32", folder / "bob.f32"
    )
    if found.bob_raw.exists():  # the one that is written last
        return found
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    shape = case.features
    x = random.normal(size=(case.rows, shape)) * random.uniform(0.5, 3, shape)
    x = (x + random.uniform(-2, 2, shape)).round(3)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    odds = standard @ random.normal(size=shape) * (1 / np.sqrt(shape)) + 0.3
    y = (random.uniform(size=case.rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    names = [f"feature_{index + 1}" for index in range(shape)]
    csv.write_csv(pa.table(dict(zip(names, x.T, strict=True))), found.alice_csv)
    csv.write_csv(pa.table({"label": y}), found.bob_csv)
    np.column_stack([standard, np.ones(case.rows)]).astype(np.float32).tofile(found.alice_raw)
    y.astype(np.float32).tofile(found.bob_raw)
    return found


def job_text(case: Case, protocol: str) -> str:
    """The case as the kit's job specification."""
    return yaml.safe_dump(
        {
            "name": f"bench-{case.name}",
            "protocol": protocol,
            "rows": case.rows,
            "features": [f"feature_{index + 1}" for index in range(case.features)],
            "label": "label",
            "model": "logistic-regression",
            "training": {
                "epochs": case.epochs,
                "batch_size": case.batch,
                "learning_rate": case.learning_rate,
                "order_seed": 1,
            },
            "result": "alice",
        },
        sort_keys=False,
    )
