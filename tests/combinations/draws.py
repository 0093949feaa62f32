"""A small job and its tables, drawn from a seed.

What a plan depends on is drawn from a few shapes, so that plans are built once and used again. All
else, the tables above all, is drawn anew for each seed.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Cells = dict[str, list[str]]
"""A table: the cells of each column by its name."""

SHAPES = 48
"""Of plans: each is used by every so many-th seed."""

LABEL = "label"
ORIGIN = date(2000, 1, 1)


class FindingError(Exception):
    """Something that must not come of a job."""


@dataclass(frozen=True)
class Case:
    """A job and its tables.

    Attributes:
        seed: all of it follows from it.
        job: as it is written down; it may be one that is refused.
        tables: each holder's, of the rows that it has.
        new: rows of the same columns, to be scored.
        words: what is special about the tables, for people.
        pairs: the rows of both tables that belong together, [rows in common, 2]; None where those
            in the same place do.
        wrong: why it must be refused for what only the one who drew it knows; empty elsewhere.
        ends: what it must fail with.
        before: the case of the job that is done first, and leaves what this one takes.
        people: whose each row of each holder's is, where rows are matched; None elsewhere.
        label_key: what stands in the file by which labels are turned round; empty elsewhere.
    """

    seed: int
    job: dict[str, Any]
    tables: dict[str, Cells]
    new: dict[str, Cells]
    words: tuple[str, ...]
    pairs: NDArray[np.int64] | None = None
    wrong: str = ""
    ends: str = ""
    before: Case | None = None
    people: dict[str, list[int]] | None = None
    label_key: str = ""

    @property
    def scores(self) -> bool:
        """Whether its job scores rows, and trains nothing."""
        return "joint-scores" in str(self.job["model"])

    def write(self, directory: Path) -> dict[str, Path]:
        """Each holder's table as a CSV file."""
        return {
            holder: write(directory / f"{holder}-table.csv", table)
            for holder, table in self.tables.items()
        }


def write(path: Path, table: Cells) -> Path:
    """A table as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


def first_places(people: list[int]) -> dict[int, int]:
    """The first row of each."""
    return {who: place for place, who in reversed(list(enumerate(people)))}


def draw(seed: int) -> Case:
    """The case of a seed."""
    job, slots = shape_of(random.Random(f"shape {seed % SHAPES}"))
    return with_tables(seed, random.Random(f"case {seed}"), job, slots)


def with_tables(
    seed: int, chance: random.Random, job: dict[str, Any], slots: dict[str, int]
) -> Case:
    """A case of a job without columns: see ``shape_of``."""
    numbers = np.random.default_rng(chance.randrange(2**32))
    rows, words = job["rows"], []
    fresh = chance.choice((20, 40))
    evaluated = "evaluation" in job
    columns: dict[str, Any] = {}
    all_cells: dict[str, Cells] = {"alice": {}, "bob": {}}
    t = np.zeros(rows + fresh)
    former: Array | None = None
    for holder, wanted in slots.items():
        left = wanted
        while left:
            name = f"{holder[0]}{wanted - left}"
            made = _Column(chance, numbers, rows + fresh, left, evaluated, former)
            left -= made.slots
            former = made.latent
            if made.schema is not None:
                columns[name] = made.schema
            all_cells[holder][name] = made.cells
            t += chance.choice((0.0, 0.5, 1.0, 2.0)) * made.latent
            words.append(f"{name} {made.kind}")
    job["features"] = {holder: list(cells) for holder, cells in all_cells.items() if cells}
    label, told = _labels(chance, numbers, t, job)
    words += told
    holder = next(iter(job["label"]))
    if chance.random() < 0.15 and "unit" not in str(job["model"]):
        columns[LABEL] = {"type": "boolean", "positive": ["Yes!"], "negative": ["no"]}
        label = [chance.choice(("yes!", "YES!")) if one == "1" else "No" for one in label]
    if columns:
        job["columns"] = columns
    tables = {
        one: {name: cells[:rows] for name, cells in table.items()}
        for one, table in all_cells.items()
    }
    new = {
        one: {name: cells[rows:] for name, cells in table.items()}
        for one, table in all_cells.items()
    }
    tables[holder][LABEL] = label[:rows]
    if chance.random() < 0.2:
        words.append("rows twice")
        for table in tables.values():
            for cells in table.values():
                cells[rows // 2 : rows // 2 * 2] = cells[: rows // 2]
    if chance.random() < 0.3:  # columns are found by name
        words.append("columns in another order, and one that nobody asked for")
        for one, table in tables.items():
            names = [*table, "other"]
            table["other"] = ["?"] * rows
            chance.shuffle(names)
            tables[one] = {name: table[name] for name in names}
    return Case(seed, job, {k: v for k, v in tables.items() if v}, new, tuple(words))


def shape_of(chance: random.Random, both: bool = False) -> tuple[dict[str, Any], dict[str, int]]:
    """What the plan depends on: a job without columns, and how many columns of the model each
    holder's become; some of each where ``both`` have any."""
    widths = ((3, 0), (4, 0), (2, 2), (2, 2), (1, 3), (0, 3))
    alice, bob = chance.choice([one for one in widths if min(one) or not both])
    linear = chance.random() < 0.2
    holders = ["bob"] * (alice > 0) + ["alice"] * (bob > 0)
    job: dict[str, Any] = {
        "name": "combined",
        "protocol": chance.choice(("pond", "pond", "aby3", "securenn")),
        "rows": chance.choice((60, 150, 300)),
        "label": {chance.choice(holders): LABEL},
        "model": {"kind": "linear-regression", "unit": chance.choice((1.0, 50.0))}
        if linear
        else "logistic-regression",
        "result": chance.choice(("alice", "bob", "both", "both", "own")),
    }
    if chance.random() < 0.25:
        job["training"] = {
            "epochs": chance.choice((5, 20)),
            "batch_size": chance.choice((16, 25)),
            "learning_rate": chance.choice((0.05, 0.2, 0.5)),
            "order_seed": chance.randrange(100),
        }
    else:
        training: dict[str, Any] = {}
        if chance.random() < 0.5:
            training["C"] = chance.choice((0.1, 10.0, 1000.0))
        if chance.random() < 0.2:
            training["tolerance"] = chance.choice((0.0, 1e-4))
        if chance.random() < 0.3:
            training["class_weight"] = chance.choice(("balanced", {"0": 1.0, "1": 5.0}))
        if training:
            job["training"] = training
    if chance.random() < 0.35:
        job["evaluation"] = chance.choice(
            (
                {"held_out": 0.4, "minimum": 5},
                {"held_out": 0.5},
                {"folds": 3},
                {"folds": 2, "seed": 5},
            )
        )
    if chance.random() < 0.3:
        job["statistics"] = chance.choice((True, {"level": 0.9}))
    return job, {"alice": alice, "bob": bob}


class _Column:
    """A feature that becomes as many columns of the model as ``slots``, at most those left.

    Attributes:
        kind: for people.
        slots: columns of the model.
        schema: what the job says of it; None for a plain number.
        cells: the texts in its rows, [rows].
        latent: what it adds to a row's t, about standardised, [rows].
    """

    def __init__(
        self,
        chance: random.Random,
        numbers: np.random.Generator,
        rows: int,
        left: int,
        evaluated: bool,
        former: Array | None,
    ) -> None:
        self.chance, self.rows, self.evaluated, self.former = chance, rows, evaluated, former
        self.numbers = numbers
        self.schema: dict[str, Any] | str | None = None
        self.slots = 1
        kinds = ["number"] * 4 + ["boolean", "category", "date"]
        self.kind = chance.choice(kinds)
        wide = left > 1 and chance.random() < 0.4
        getattr(self, f"_{self.kind}")(wide)

    def _gaps(self) -> NDArray[np.bool_]:
        return self.numbers.random(self.rows) < self.chance.choice((0.02, 0.2, 0.6))

    def _number(self, wide: bool) -> None:
        z = self.numbers.standard_normal(self.rows)
        form = self.chance.choice(
            (
                "normal",
                "normal",
                "skew",
                "ties",
                "large",
                "offset",
                "like",
                "few",
                "rare",
                "constant",
            )
            if self.chance.random() < 0.9
            else ("words", "outlier")
        )
        values = {
            "normal": z,
            "skew": np.exp(1.5 * z),
            "ties": np.round(z),
            "large": 3e7 * z,
            "offset": 1e5 + z,
            "like": z if self.former is None else self.former + 0.01 * z,
            "few": (z > 0.5).astype(float),
            "rare": (z > 2.0).astype(float),
            "constant": np.full(self.rows, 7.25),
            "words": z,
            "outlier": np.where(np.arange(self.rows) == 3, 1e4, z),
        }[form]
        if form == "constant" and self.chance.random() < 0.6:
            values, form = 2.0 * z, "normal"
        self.kind = form
        self.latent = _standard(np.log1p(values) if form == "skew" else values)
        schema: dict[str, Any] = {}
        if form == "skew" and self.chance.random() < 0.6:
            schema["log1p"] = True
        learns = not self.evaluated or self.chance.random() < 0.05
        if learns and self.chance.random() < 0.25:
            schema["clip"] = self.chance.choice(([0.01, 0.99], [0.1, 0.75], [0.0, 1.0]))
        if self.chance.random() < 0.25:
            public = {"mean": float(np.round(values.mean(), 3)), "deviation": 2.0 * _spread(values)}
            schema["scale"] = "robust" if learns and self.chance.random() < 0.5 else public
        places = self.chance.choice((3, 9, 17))
        self.cells = [f"{value:.{places}g}" for value in values]
        if form == "words":
            self.cells[2] = self.chance.choice(("n/a", "", "inf", "1,5", "0x10", "1_000"))
            self.kind = f"number with {self.cells[2]!r}"
        if wide or self.chance.random() < 0.3:
            missing = ["mean", "median"] * learns + [0.0, 2.5]
            schema["missing"] = self.chance.choice(missing)
            gaps = self._gaps()
            self.cells = [
                self.chance.choice(("", " ")) if gap else cell
                for gap, cell in zip(gaps, self.cells, strict=True)
            ]
            self.kind += " with gaps"
            if wide:
                schema["indicator"], self.slots = True, 2
        self.schema = schema or None

    def _boolean(self, wide: bool) -> None:
        true = self.numbers.random(self.rows) < self.chance.choice((0.1, 0.5))
        self.latent = _standard(true.astype(float))
        self.schema = "boolean"
        yes, no = ["yes", "TRUE", "1", "y"], ["no", "False", "0"]
        if wide or self.chance.random() < 0.3:
            yes, no = ["JA", "ja "], ["nein", "Nein"]
            self.schema = {"type": "boolean", "positive": ["ja"], "negative": ["nein"]}
        self.cells = [self.chance.choice(yes if one else no) for one in true]
        if wide:
            assert isinstance(self.schema, dict)
            self.schema |= {
                "missing": self.chance.choice(("positive", "negative")),
                "indicator": True,
            }
            self.slots = 2
            self.cells = [
                "" if gap else cell for gap, cell in zip(self._gaps(), self.cells, strict=True)
            ]

    def _category(self, wide: bool) -> None:
        words = ["São Paulo", "x", "Cherbourg, FR", 'say "so"', "1"]
        self.chance.shuffle(words)
        count = self.chance.choice((3, 4))
        index = self.numbers.integers(0, count, self.rows)
        self.latent = _standard((index == 0).astype(float))
        self.cells = [words[i] for i in index]
        forms: list[dict[str, Any]] = (
            [
                {"values": words[:2]},
                {"values": words[:2], "other": "column"},
                {"values": words[:1], "missing": "column"},
                {"values": words[:2], "missing": "other"},
            ]
            if wide
            else [
                {"values": words[:1]},
                {"values": words[:1], "missing": "other"},
                {"values": words[:1], "other": "column"},
            ]
        )
        form = self.chance.choice(forms)
        self.schema = {"type": "category"} | form
        self.slots = 2 if wide else 1
        if "missing" in form:
            self.cells = [
                "" if gap else cell for gap, cell in zip(self._gaps(), self.cells, strict=True)
            ]
        elif self.chance.random() < 0.05:
            self.cells[1] = ""

    def _date(self, wide: bool) -> None:
        days = self.numbers.integers(0, 3000, self.rows)
        self.latent = _standard(days.astype(float))
        self.cells = [(ORIGIN + timedelta(int(one))).isoformat() for one in days]
        if self.chance.random() < 0.3:
            self.cells = [f"{cell}T12:30:00" for cell in self.cells]
        self.schema = "date"
        if wide or self.chance.random() < 0.5:
            self.schema = {
                "type": "date",
                "origin": self.chance.choice(("1999-02-28", "2030-01-01")),
                "unit": self.chance.choice(("days", "years")),
            }
        if wide:
            assert isinstance(self.schema, dict)
            learns = not self.evaluated
            self.schema |= {
                "missing": self.chance.choice(["mean", "median"] * learns + ["2004-02-29"]),
                "indicator": True,
            }
            self.slots = 2
            self.cells = [
                "" if gap else cell for gap, cell in zip(self._gaps(), self.cells, strict=True)
            ]


def _labels(
    chance: random.Random, numbers: np.random.Generator, t: Array, job: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """Labels that follow from t, more or less; and how, for people."""
    if isinstance(job["model"], dict):
        unit = job["model"]["unit"]
        noise = chance.choice((0.1, 1.0))
        values = unit * (t + noise * numbers.standard_normal(len(t)) + chance.choice((0.0, 3.0)))
        return [f"{value:.6g}" for value in values], [f"labels with noise of {noise:g}"]
    form = chance.choice(("plain", "plain", "plain", "few", "separable", "tossed", "one class"))
    if form == "one class" and chance.random() < 0.7:
        form = "plain"
    p = 1 / (1 + np.exp(-(t - (3.5 if form == "few" else 0.3))))
    y = numbers.random(len(t)) < p
    if form == "separable":
        y = t > np.median(t)
    elif form == "tossed":
        y = numbers.random(len(t)) < 0.5
    elif form == "one class":
        y = np.ones(len(t), bool)
    text = (
        chance.choice((("0", "1"), ("0", "1"), ("0.0", "1.0"))) if form != "plain" else ("0", "1")
    )
    return [text[1] if one else text[0] for one in y], [f"labels {form}"]


def _spread(values: Array) -> float:
    return float(np.round(values.std(), 6)) or 1.0


def _standard(values: Array) -> Array:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
