"""Tables on which a training can go wrong, each made from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

from party.agreement.job import Job

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows with a label of 0 or 1.

    Attributes:
        x: features, [rows, columns].
        y: labels, [rows].
        at_alice: how many of the columns are Alice's; Bob has the others and the label.
    """

    x: Array
    y: Array
    at_alice: int

    def job(self, **change: Any) -> Job:
        """The job that trains on it with default settings, but for what is changed."""
        names = [f"x{i}" for i in range(self.x.shape[1])]
        features = {"alice": tuple(names[: self.at_alice])}
        if names[self.at_alice :]:
            features["bob"] = tuple(names[self.at_alice :])
        agreed = {"name": "made", "rows": len(self.y), "features": features, "label": {"bob": "y"}}
        return Job.model_validate(agreed | change)

    def write(self, directory: Path) -> dict[str, Path]:
        """Writes each holder's table."""
        bob = np.column_stack([self.x[:, self.at_alice :], self.y])
        names = [f"x{i}" for i in range(self.x.shape[1])]
        columns = {
            "alice": (names[: self.at_alice], self.x[:, : self.at_alice]),
            "bob": ([*names[self.at_alice :], "y"], bob),
        }
        paths = {}
        for party, (header, values) in columns.items():
            paths[party] = directory / f"{party}-table.csv"
            np.savetxt(
                paths[party],
                values,
                "%.9g",
                ",",
                header=",".join(header),
                comments="",
                newline="\n",
            )
        return paths


@cache
def far_off() -> Dataset:
    """A line tells the classes apart, and one row lies 200 times as far from it as the others: with
    hardly a penalty, its weighted sum grows beyond all that a sigmoid is followed for."""
    draw = np.random.default_rng(1)
    y = (np.arange(400) % 2).astype(np.float64)
    x = np.stack([0.1 * (2 * y - 1), draw.standard_normal(400)], axis=1)
    x[1, 0] = 20.0
    return Dataset(x, y, at_alice=1)


def breast_cancer() -> Dataset:
    """569 tumours, 30 figures, half of them at each: nearly equal columns, and |t| up to 55."""
    x, y = load_breast_cancer(return_X_y=True)
    return Dataset(x, y.astype(np.float64), 15)


@cache
def heavy_tails() -> Dataset:
    """Amounts that are zero more often than not, and a few of them thousands of times the rest."""
    draw = np.random.default_rng(11)
    spread = np.array([0.8, 1.1, 1.6, 1.7, 1.4, 1.0])
    amounts = np.exp(spread * draw.standard_normal((10_000, 6)))
    x = np.where(draw.random(amounts.shape) < 0.4, amounts, 0.0)
    t = np.log1p(x) @ np.array([0.7, 1.0, -1.3, 0.9, 0.6, 0.8]) - 1.5
    return Dataset(x, _labels(draw, t), 6)


@cache
def rare_events() -> Dataset:
    """One row in some 200 has the label 1."""
    draw = np.random.default_rng(12)
    x = draw.standard_normal((10_000, 6))
    t = x @ np.array([0.9, -0.9, 0.5, 0.5, 0.0, 0.0]) - 6.3
    return Dataset(x, _labels(draw, t), 6)


def _labels(draw: np.random.Generator, t: Array) -> Array:
    return (draw.random(len(t)) < 1 / (1 + np.exp(-t))).astype(np.float64)
