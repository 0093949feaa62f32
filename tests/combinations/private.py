"""Cases of jobs that keep labels or weights private."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from party.table.private_labels import LabelKey
from tests.combinations import draws, joined, plainly
from tests.combinations.draws import SHAPES, Case, shape_of, with_tables

_NEXT = 1_000_003
"""From one seed to the next, where a case is of no classes."""


def draw_labels(seed: int) -> Case:
    """The case of a seed: labels of which some are turned round, of matched rows or of others."""
    chance = random.Random(f"private labels case {seed}")
    case = _of_classes(joined.draw if chance.random() < 0.35 else draws.draw, seed)
    job = copy.deepcopy(case.job)
    job.pop("statistics", None)
    job.get("training", {}).pop("class_weight", None)
    if not job.get("training", {"C": 1.0}):
        del job["training"]
    epsilon = chance.choice((0.5, 1.5, 3.0, 3.0, 6.0, 10.0))
    job["privacy"] = {"labels": {"epsilon": epsilon}}
    key, wrong = LabelKey(chance.randbytes(32)).text(), case.wrong
    if chance.random() < 0.03:
        key, wrong = "", "no label key"
    words = (*case.words, f"labels private with epsilon {epsilon:g}")
    return replace(case, job=job, label_key=key, words=words, wrong=wrong)


def draw_weights(seed: int) -> Case:
    """One of weights that have noise."""
    shape = random.Random(f"private weights shape {seed % SHAPES}")
    chance = random.Random(f"private weights case {seed}")
    job, slots = shape_of(shape)
    while isinstance(job["model"], dict):
        job, slots = shape_of(shape)
    case = with_tables(seed, chance, job | {"evaluation": {}}, slots)  # which learns nothing
    return with_noise(shape, case)


def with_noise(shape: random.Random, case: Case) -> Case:
    """The case whose weights have noise, and whose columns are standardised by what all know."""
    job = {k: v for k, v in case.job.items() if k not in ("evaluation", "statistics")}
    job["training"] = {"passes": 400, "tolerance": 0, "C": shape.choice((0.002, 0.01, 0.03))}
    job["columns"] = job.get("columns", {}) | {
        name: schema
        for holder, names in job["features"].items()
        for name in names
        if (schema := _public(job, name, case.tables[holder][name])) is not None
    }
    private = {"epsilon": shape.choice((1.0, 3.0, 10.0)), "delta": shape.choice((1e-4, 1e-6))}
    job["privacy"] = {"weights": private | {"norm": shape.choice((1.0, 2.0))}}
    return replace(case, job=job)


def _of_classes(draw: Callable[[int], Case], seed: int) -> Case:
    """The case of a seed, or of the first behind it whose labels are of two classes."""
    case = draw(seed)
    while isinstance(case.job["model"], dict):
        seed += _NEXT
        case = draw(seed)
    return case


def _public(job: dict[str, Any], name: str, cells: list[str]) -> dict[str, Any] | None:
    """A column of numbers or days, standardised by what all may know; None for another."""
    said = job.get("columns", {}).get(name, {})
    schema = {"type": said} if isinstance(said, str) else dict(said)
    if schema.get("type", "number") not in ("number", "date"):
        return None
    reading = plainly.Reading(name, schema)
    mean, deviation = 0.0, 1.0
    try:
        reading.learn(cells)
        values = reading.derived(cells)[name]
        mean, deviation = float(f"{values.mean():.2g}"), float(f"{values.std():.2g}") or 1.0
    except plainly.RefusedError:
        pass
    if schema == {"type": "number"}:
        schema = {}
    return schema | {"scale": {"mean": mean, "deviation": deviation}}
