"""What a job comes to, computed in clear from the cells of its tables by other code than the kit's:
numpy and scikit-learn, and what the docs say."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.combinations.draws import LABEL, Cells, first_places
from tests.harness.optimum import logistic_optimum

Array = NDArray[np.float64]
HOLDERS = ("alice", "bob")
BOOLEANS = {"positive": ["true", "yes", "t", "y", "1"], "negative": ["false", "no", "f", "n", "0"]}


MOST = 1024.0
"""Deviations from its column's mean beyond which a value is refused."""


CLEAR = 4.0
"""Standard errors by which each class must be away from none, where labels are turned round."""

Turned = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
"""Which of a table's labels are turned round."""

SURE = 20.0
"""A weighted sum of which the chance is next to 1."""


class RefusedError(Exception):
    """A cell, a column or a label that the docs say is refused."""


@dataclass
class Reading:
    """How a column is read, and what was learnt of it from the training's table.

    Attributes:
        name, schema: the job's; None for a plain number.
        fill, low, high: what was learnt; None where nothing was.
    """

    name: str
    schema: dict[str, Any] | None
    fill: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def kind(self) -> str:
        return str((self.schema or {}).get("type", "number"))

    def learn(self, cells: list[str]) -> None:
        """Take from a column what its schema asks for."""
        schema = self.schema or {}
        if self.kind not in ("number", "date"):
            return
        values = self._values(cells)
        known, missing = values[~np.isnan(values)], schema.get("missing")
        if missing is None and len(known) < len(values):
            raise RefusedError(f"a gap in {self.name}")
        if missing in ("mean", "median"):
            if not len(known):
                raise RefusedError(f"nothing but gaps in {self.name}")
            self.fill = float(np.mean(known) if missing == "mean" else np.median(known))
        elif missing is not None:
            self.fill = float(self._values([str(missing)])[0])
        if schema.get("clip"):
            self.low, self.high = np.quantile(self._whole(values), schema["clip"])

    def _values(self, cells: list[str]) -> Array:
        schema = self.schema or {}
        if self.kind == "number":
            return np.array([number(cell) for cell in cells])
        start = date.fromisoformat(schema.get("origin", "1970-01-01"))
        unit = 365.2425 if schema.get("unit") == "years" else 1.0
        return np.array(
            [
                (date.fromisoformat(cell.strip()[:10]) - start).days / unit
                if cell.strip()
                else math.nan
                for cell in cells
            ]
        )

    def _whole(self, values: Array) -> Array:
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        if (self.schema or {}).get("log1p"):
            if (values <= -1).any():
                raise RefusedError(f"no logarithm in {self.name}")
            values = np.log1p(values)
        return values

    def derived(self, cells: list[str]) -> dict[str, Array]:
        """Its columns of the model, [rows] each, before they are standardised."""
        schema, name = self.schema or {}, self.name
        texts = [cell.strip() for cell in cells]
        gaps = np.array([not text for text in texts], float)
        if self.kind == "category":
            return self._levels(texts, gaps, schema)
        if self.kind == "boolean":
            own = {key: schema.get(key, words) for key, words in BOOLEANS.items()}
            words = {w.lower(): float(key == "positive") for key in own for w in own[key]}
            if schema.get("missing"):
                words[""] = float(schema["missing"] == "positive")
            values = np.array([words.get(text.lower(), math.nan) for text in texts])
        else:
            values = self._whole(self._values(cells))
            if self.low is not None and self.high is not None:
                values = np.clip(values, self.low, self.high)
        if not np.isfinite(values).all():
            raise RefusedError(f"a cell of {name}")
        return {name: values} | ({f"{name}:missing": gaps} if schema.get("indicator") else {})

    def _levels(self, texts: list[str], gaps: Array, schema: dict[str, Any]) -> dict[str, Array]:
        if gaps.any() and not schema.get("missing"):
            raise RefusedError(f"a gap in {self.name}")
        named, other = schema["values"], schema.get("other", "baseline")
        found = {
            f"{self.name}={value}": np.array([text == value for text in texts], float)
            for value in named[other != "baseline" :]
        }
        rest = np.array([text not in named for text in texts], float)
        if schema.get("missing") == "column":
            rest = rest - gaps
        if other == "column":
            found[f"{self.name}:other"] = rest
        if schema.get("missing") == "column":
            found[f"{self.name}:missing"] = gaps
        return found

    def public(self) -> tuple[float, float] | None:
        """By what it is standardised where the job says it."""
        scale = (self.schema or {}).get("scale")
        return (scale["mean"], scale["deviation"]) if isinstance(scale, dict) else None

    @property
    def robust(self) -> bool:
        return (self.schema or {}).get("scale") == "robust"


def number(cell: str) -> float:
    text = cell.strip()
    if not text:
        return math.nan
    if not all(one in "+-.0123456789eE" for one in text):
        raise RefusedError("a cell that is no number")
    return float(text)


@dataclass(frozen=True, eq=False)
class Clear:
    """All columns of the model in clear.

    Attributes:
        names: of the columns, Alice's first; the intercept has none.
        holders: whose each is.
        mean, scale: by which each is standardised.
        x: standardised, with a column of ones as the last, [rows, columns + 1].
        y: labels: 0 and 1, or in units.
        held_out: which rows no training takes; with folds none, [rows].
        readings: how each holder's features are read.
        unknown: how many more of these rows no training takes, and nobody knows which: of rows that
            were matched.
        counted: labels as they are counted: as they stand, or after some were turned round, which
            stand for others in ``y``.
    """

    names: list[str]
    holders: list[str]
    mean: Array
    scale: Array
    x: Array
    y: Array
    held_out: NDArray[np.bool_]
    readings: dict[str, list[Reading]]
    unknown: int
    counted: Array

    def standardised(self, tables: Mapping[str, Cells]) -> Array:
        """Rows of other tables in the same columns, with the ones, [rows, columns + 1]."""
        values = [
            column
            for holder, readings in self.readings.items()
            for reading in readings
            for column in reading.derived(tables[holder][reading.name]).values()
        ]
        own = (np.stack(values, axis=1) - self.mean) / self.scale
        return np.column_stack([own, np.ones(len(own))])


def clear(
    job: dict[str, Any],
    tables: Mapping[str, Cells],
    pairs: NDArray[np.int64] | None = None,
    turned: Turned | None = None,
) -> Clear:
    """The tables of a job in clear; RefusedError where the docs say that they are refused.

    ``pairs``: the rows that belong together, where they are matched. Each holder takes all of its
    own for what it does at home, then. ``turned``: which labels are turned round, if any are.
    """
    norm = ((job.get("privacy") or {}).get("weights") or {}).get("norm")
    schemas = job.get("columns", {})
    out, unknown = np.zeros(0, bool), 0
    if pairs is None:
        out = held_out(job, job["rows"])
    else:
        unknown = int(held_out(job, len(pairs)).sum())
    names, holders, means, scales, columns = [], [], [], [], []
    readings: dict[str, list[Reading]] = {}
    for holder in HOLDERS:
        readings[holder] = []
        for name in job["features"].get(holder, ()):
            schema = schemas.get(name)
            reading = Reading(name, {"type": schema} if isinstance(schema, str) else schema)
            cells = tables[holder][name]
            reading.learn(cells)
            readings[holder].append(reading)
            for one, values in reading.derived(cells).items():
                trained = values if pairs is not None else values[~out]
                public = reading.public() if one == name else None
                if np.ptp(trained) == 0:
                    raise RefusedError(f"{one} never changes")
                if public is not None:
                    mean, scale = public
                elif norm is not None:
                    mean, scale = 0.0, 1.0
                elif reading.robust and one == name:
                    low, mean, high = np.quantile(trained, [0.25, 0.5, 0.75])
                    scale = high - low
                    if scale == 0:
                        raise RefusedError(f"{one} has no interquartile range")
                else:
                    mean, scale = trained.mean(), trained.std()
                names.append(one)
                holders.append(holder)
                means.append(mean)
                scales.append(scale)
                own = (values - mean) / scale
                if norm is None and np.abs(own).max() > MOST:
                    raise RefusedError(f"a value of {one} is too far from the others")
                columns.append(own if pairs is None else own[pairs[:, HOLDERS.index(holder)]])
    ((holder, label),) = job["label"].items()
    known = None if pairs is not None else out
    y = _labels(job, tables[holder][label], known)
    counted = y
    if turned is not None:
        counted = ((y > 0.5) ^ turned(y > 0.5)).astype(float)
        _see_to_both_classes(job, counted, known)
        y = debiased(job, counted)
    if pairs is not None:
        place = pairs[:, HOLDERS.index(holder)]
        y, counted, out = y[place], counted[place], np.zeros(len(pairs), bool)
    if norm is not None:
        columns = cut(holders, columns, norm)
    x = np.column_stack([*columns, np.ones(len(y))])
    return Clear(
        *(names, holders, np.array(means), np.array(scales), x, y, out, readings, unknown, counted)
    )


def cut(holders: list[str], columns: list[Array], norm: float) -> list[Array]:
    """Columns of which each holder has cut its part of each row, by its part of all columns."""
    found = np.array(columns)
    for holder in HOLDERS:
        own = np.array(holders) == holder
        length = np.linalg.norm(found[own], axis=0)
        most = norm * math.sqrt(own.sum() / len(own))
        found[own] *= np.minimum(1.0, most / np.maximum(length, 1e-300))
    return list(found)


def flip_of(job: dict[str, Any]) -> float:
    """The chance with which a label is turned round; 0 where none is."""
    labels = (job.get("privacy") or {}).get("labels")
    return 0.0 if labels is None else 1 / (1 + math.exp(labels["epsilon"]))


def debiased(job: dict[str, Any], counted: Array) -> Array:
    """What stands for labels in the training."""
    flip = flip_of(job)
    return (counted - flip) / (1 - 2 * flip)


def _see_to_both_classes(
    job: dict[str, Any], counted: Array, known: NDArray[np.bool_] | None
) -> None:
    """That both classes are still there where labels were turned round."""
    flip, wanted = flip_of(job), job.get("evaluation") or {}
    parts = [np.ones(len(counted), bool)]
    if known is not None and "folds" in wanted:
        of = fold_of(job, len(counted))
        parts = [of != fold for fold in range(wanted["folds"])]
    elif known is not None and wanted:
        parts = [~known, known]
    for part in parts:
        share = counted[part].mean()
        error = math.sqrt(share * (1 - share) / part.sum())
        if min(share - flip, 1 - flip - share) < CLEAR * error:
            raise RefusedError("one of two classes is lost")


def rows_to_score(
    job: dict[str, Any],
    trained: Clear,
    tables: Mapping[str, Cells],
    people: Mapping[str, list[int]] | None,
    private: bool,
) -> Array:
    """The rows that a job scores, by the columns of a training, with the ones: [rows, columns + 1].

    ``people``: whose each row is, where all rows of one table are scored; ``private``: whether the
    training's weights are.
    """
    left = job["result"] if "align" in job else None
    parts = []
    for holder in HOLDERS:
        own = np.array(trained.holders) == holder
        mean, scale = trained.mean[own], trained.scale[own]
        columns: list[Array] = []
        absent: list[float] = []
        for reading in trained.readings[holder]:
            derived = reading.derived(tables[holder][reading.name])
            columns += derived.values()
            if (reading.schema or {}).get("missing") is not None:
                absent += [float(values[0]) for values in reading.derived([""]).values()]
                continue
            absent += [math.nan] * len(derived)  # the mean, as far as there is one
            measured = reading.kind in ("number", "date")
            if people is not None and holder != left and private and not measured:
                raise RefusedError(f"of {reading.name} nothing stands for a row that is absent")
        x = (np.stack(columns, axis=1) - mean) / scale
        lacking = np.nan_to_num((np.array(absent) - mean) / scale)
        if people is not None and holder != left:
            x = np.vstack([x, lacking])
        if np.abs(x).max() > MOST:
            raise RefusedError(f"a value of {holder}'s is too far from those of the training")
        if people is not None and left is not None and holder != left:
            at = first_places(people[holder])
            x = x[[at.get(who, len(x) - 1) for who in people[left]]]
        parts.append(x)
    return np.column_stack([*parts, np.ones(len(parts[0]))])


def _labels(job: dict[str, Any], cells: list[str], known: NDArray[np.bool_] | None) -> Array:
    """A label's column; ``known`` are the rows that are held out, None where nobody knows them."""
    out = np.zeros(len(cells), bool) if known is None else known
    if LABEL in job.get("columns", {}):
        y = np.array([float(cell.strip().lower() == "yes!") for cell in cells])
    else:
        y = np.array([number(cell) for cell in cells])
    if isinstance(job["model"], dict):
        y = y / job["model"]["unit"]
        if (np.abs(y) > 16).any():
            raise RefusedError("labels beyond 16 units")
    elif np.ptp(y) == 0:
        raise RefusedError("labels that never change")
    elif flip_of(job):  # what is seen of them decides
        return y
    elif len(np.unique(y[~out])) < 2 or (out.any() and len(np.unique(y[out])) < 2):
        raise RefusedError("labels of one class")
    folds = (job.get("evaluation") or {}).get("folds")
    if folds and known is not None:
        of = fold_of(job, len(y))
        for fold in range(folds):
            if len(np.unique(y[of != fold])) < 2:
                raise RefusedError("a class in one fold alone")
    if np.ptp(y[~out]) == 0:
        raise RefusedError("labels that never change")
    return y


def _ranked(domain: bytes, rows: int) -> NDArray[np.int64]:
    """Rows by rising number of 64 bits, as the docs of the order say."""
    stream = hashlib.shake_256(domain).digest(8 * rows)
    ranks = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(rows)]
    return np.array(sorted(range(rows), key=ranks.__getitem__))


def held_out(job: dict[str, Any], rows: int) -> NDArray[np.bool_]:
    """Which rows no training takes, [rows]: of the share, as many as fill runs of up to 64."""
    wanted = job.get("evaluation")
    found = np.zeros(rows, bool)
    if wanted is None or "folds" in wanted:
        return found
    count = int(rows * wanted.get("held_out", 0.2))
    runs = -(-count // 64)
    count = count // runs * runs
    found[_ranked(b"tfe-kit held out" + _eight(wanted.get("seed", 0)), rows)[:count]] = True
    return found


def fold_of(job: dict[str, Any], rows: int) -> NDArray[np.int64]:
    """In which fold each row is, [rows]."""
    wanted = job["evaluation"]
    found = np.empty(rows, np.int64)
    order = _ranked(b"tfe-kit held out" + _eight(wanted.get("seed", 0)), rows)
    found[order] = np.arange(rows) % wanted["folds"]
    return found


def _eight(number: int) -> bytes:
    return number.to_bytes(8, "little")


def class_weights(job: dict[str, Any], y: Array) -> Any:
    """The weights of the labels 0 and 1, as scikit-learn takes them; None without."""
    weight = job.get("training", {}).get("class_weight")
    return (
        {int(label): each for label, each in weight.items()} if isinstance(weight, dict) else weight
    )


def row_weights(job: dict[str, Any], y: Array) -> Array:
    """By what the loss of each row is multiplied, [rows]."""
    weight = class_weights(job, y)
    if weight is None:
        return np.ones(len(y))
    if weight == "balanced":
        weight = {label: len(y) / (2 * (y == label).sum()) for label in (0, 1)}
    found: Array = np.where(y == 1, weight[1], weight[0])
    return found


def optimum(job: dict[str, Any], x: Array, y: Array) -> Array:
    """The weights of these rows at the optimum of a job by passes, [columns + 1]."""
    c = job.get("training", {}).get("C", 1.0)
    ones = x.shape[1] - 1
    if isinstance(job["model"], dict):
        squares: Any = x.T @ x + np.diag(penalties(job, x))
        found: Array = np.linalg.solve(squares, x.T @ y)
        return found
    if not 0 < y.mean() < 1:  # of rows that were matched nobody can look
        return np.append(np.zeros(ones), SURE if y.mean() > 0 else -SURE)
    if flip_of(job) or penalties(job, x)[ones]:
        return _least(job, x, y)
    return logistic_optimum(x, y, c, ones, class_weights(job, y))


def penalties(job: dict[str, Any], x: Array) -> Array:
    """By what the square of each weight is multiplied in twice the loss, [columns + 1]."""
    found = np.full(x.shape[1], 1 / job.get("training", {}).get("C", 1.0))
    if "weights" not in (job.get("privacy") or {}):
        found[-1] = 0.0
    return found


def _least(job: dict[str, Any], x: Array, y: Array) -> Array:
    """The optimum of labels that may be any numbers, by Newton's steps, halved where they are too
    long."""
    weights: Any = np.zeros(x.shape[1])
    penalty = penalties(job, x)
    for _ in range(200):
        slope = x.T @ (0.5 * (1 + np.tanh(x @ weights / 2)) - y) + penalty * weights
        step = np.linalg.solve(curvature(job, x, y, weights) + 1e-12 * np.eye(len(slope)), slope)
        before, width = loss(job, x, y, weights), 1.0
        while loss(job, x, y, weights - width * step) > before and width > 1e-9:
            width /= 2
        weights = weights - width * step
        if np.abs(step).max() < 1e-10:
            break
    found: Array = weights
    return found


def loss(job: dict[str, Any], x: Array, y: Array, weights: Array) -> float:
    """The penalised loss that a job by passes minimises, a row."""
    t = x @ weights
    if isinstance(job["model"], dict):
        rows = 0.5 * (t - y) ** 2
    else:
        rows = row_weights(job, y) * (np.logaddexp(0.0, t) - y * t)
    return float((rows.sum() + penalties(job, x) @ weights**2 / 2) / len(y))


def curvature(job: dict[str, Any], x: Array, y: Array, weights: Array) -> Array:
    """The matrix of the loss's second derivatives, of all rows together."""
    s = 0.5 * (1 + np.tanh(x @ weights / 2))
    v = np.ones(len(y)) if isinstance(job["model"], dict) else row_weights(job, y) * s * (1 - s)
    found: Array = (x * v[:, None]).T @ x + np.diag(penalties(job, x))
    return found


def batches(job: dict[str, Any], x: Array, y: Array) -> tuple[Array, int]:
    """The weights that steps over mini-batches give, and how many rows were in none."""
    said = job["training"]
    size, rows = said["batch_size"], len(y)
    width = said["learning_rate"] / size
    mantissa, exponent = math.frexp(width)
    width = math.ldexp(round(mantissa * 16), exponent - 4)  # it is kept to four bits
    weights, used = np.zeros(x.shape[1]), np.zeros(rows, bool)
    for epoch in range(said["epochs"]):
        seed = _eight(said.get("order_seed", 0)) + _eight(epoch)
        order = _ranked(b"tfe-kit order" + seed, rows)
        for i in range(rows // size):
            batch = order[i * size : (i + 1) * size]
            used[batch] = True
            t = x[batch] @ weights
            p = t if isinstance(job["model"], dict) else 0.5 * (1 + np.tanh(t / 2))
            weights = weights - width * x[batch].T @ (p - y[batch])
    return weights, int((~used).sum())


def unit(job: dict[str, Any]) -> float:
    """What a label is divided by."""
    return float(job["model"]["unit"]) if isinstance(job["model"], dict) else 1.0


def scored(job: dict[str, Any], t: Array) -> Array:
    """What a model says of rows with these sums."""
    return t * unit(job) if isinstance(job["model"], dict) else 0.5 * (1 + np.tanh(t / 2))
