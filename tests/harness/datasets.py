"""Tables on which a training can go wrong, each made from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_iris

from party.agreement.job import Job

Array = NDArray[np.float64]

EXAMPLE = Path(__file__).parents[2] / "examples/fraud"


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


@cache
def walk_through() -> Dataset:
    """The published walk-through's tables: 16 figures of 8,000 rows or so, and a label."""
    x, y = (np.loadtxt(EXAMPLE / f"{name}.csv", delimiter=",") for name in ("alice", "bob"))
    return Dataset(x, y, x.shape[1])


@cache
def breast_cancer() -> Dataset:
    """569 tumours, 30 figures, half of them at each: nearly equal columns, and |t| up to 55."""
    x, y = load_breast_cancer(return_X_y=True)
    return Dataset(x, y.astype(np.float64), 15)


def irises() -> Dataset:
    """100 flowers of two kinds that a line nearly tells apart."""
    x, y = load_iris(return_X_y=True)
    return Dataset(x[y > 0], (y[y > 0] == 2).astype(np.float64), 4)


@cache
def heavy_tails() -> Dataset:
    """Amounts that are zero more often than not, and a few of them thousands of times the rest."""
    spread, effects = (0.8, 1.1, 1.6, 1.7, 1.4, 1.0), (0.7, 1.0, -1.3, 0.9, 0.6, 0.8)
    return _amounts(11, 10_000, spread, effects, -1.5)


@cache
def heavier_tails() -> Dataset:
    """The same with fewer rows and wider spread: mini-batches lose hold of single rows."""
    spread, effects = (1.0, 1.5, 2.0, 1.2, 1.8, 1.4), (0.9, 0.6, 1.1, -1.2, 0.7, 0.5)
    return _amounts(7, 4_000, spread, effects, -1.2)


@cache
def rare_events() -> Dataset:
    """One row in some 200 has the label 1."""
    return _normal(12, 10_000, (0.9, -0.9, 0.5, 0.5, 0.0, 0.0), -6.3)


@cache
def rarer_events() -> Dataset:
    """45 rows of 10,000 have the label 1."""
    return _normal(7, 10_000, (1.0, -0.8, 0.6, 0.4, 0.0, 0.0), -6.4)


@cache
def few_rows() -> Dataset:
    """500 rows in which nothing is out of the ordinary."""
    return _normal(7, 500, (1.2, -1.0, 0.7, 0.3, 0.0, 0.0, 0.2), 0.0)


@cache
def other_order() -> Dataset:
    """Those rows, and their labels in another order: which belong together is not to be seen."""
    table = few_rows()
    # On from where the generator stood that made the table.
    draw = np.random.default_rng(7)
    draw.standard_normal(table.x.size)
    draw.random(len(table.y))
    return replace(table, y=draw.permutation(table.y))


@cache
def many_columns() -> Dataset:
    """85 columns that share what moves them."""
    draw = np.random.default_rng(7)
    x = draw.standard_normal((4_000, 85)) + draw.standard_normal((4_000, 1))
    return Dataset(x, _labels(draw, x @ draw.normal(0.0, 0.12, 85)), 85)


def _amounts(
    seed: int, rows: int, spread: Sequence[float], effects: Sequence[float], intercept: float
) -> Dataset:
    draw = np.random.default_rng(seed)
    amounts = np.exp(np.array(spread) * draw.standard_normal((rows, len(spread))))
    x = np.where(draw.random(amounts.shape) < 0.4, amounts, 0.0)
    t = np.log1p(x) @ np.array(effects) + intercept
    return Dataset(x, _labels(draw, t), len(spread))


def _normal(seed: int, rows: int, effects: Sequence[float], intercept: float) -> Dataset:
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((rows, len(effects)))
    return Dataset(x, _labels(draw, x @ np.array(effects) + intercept), len(effects))


def _labels(draw: np.random.Generator, t: Array) -> Array:
    return (draw.random(len(t)) < 1 / (1 + np.exp(-t))).astype(np.float64)
