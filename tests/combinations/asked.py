"""Cases of jobs that all ask for more than weights: figures of rows held out, standard errors."""

from __future__ import annotations

import random
from typing import Any

from tests.combinations.draws import SHAPES, Case, shape_of, with_tables
from tests.combinations.plainly import HOLDERS


def draw_evaluated(seed: int) -> Case:
    """The case of a seed: folds, or a share of the rows."""
    shape = random.Random(f"evaluated shape {seed % SHAPES}")
    chance = random.Random(f"evaluated case {seed}")
    job, slots = _of_passes(shape, classes=True)
    folds = {"folds": shape.randint(2, 6)}
    job["evaluation"] = shape.choice((folds, folds, {"held_out": shape.choice((0.2, 0.4, 0.6))}))
    job["evaluation"] |= {"minimum": shape.choice((2, 5)), "seed": shape.randrange(1000)}
    _to(shape, job, job["evaluation"])
    return with_tables(seed, chance, job, slots)


def draw_errors(seed: int) -> Case:
    """One of standard errors."""
    shape = random.Random(f"errors shape {seed % SHAPES}")
    chance = random.Random(f"errors case {seed}")
    job, slots = _of_passes(shape, classes=shape.random() < 0.6)
    if job["result"] == "own":
        job["result"] = "both"
    weights = job.get("training", {}).get("class_weight")
    lacks = all(slots.values()) or job["result"] not in slots or not slots[job["result"]]
    if weights is not None and lacks:
        del job["training"]["class_weight"]
        job["training"]["C"] = 2.0
    job["rows"] = shape.choice((150, 300, 600))  # in which few rows stand out
    job["statistics"] = {"level": shape.choice((0.5, 0.9, 0.99, 0.9999))}
    _to(shape, job, job["statistics"])
    return with_tables(seed, chance, job, slots)


def _of_passes(shape: random.Random, classes: bool) -> tuple[dict[str, Any], dict[str, int]]:
    """A job without columns by passes over all rows, which asks for nothing yet."""
    job, slots = shape_of(shape)
    while isinstance(job["model"], dict) == classes or "epochs" in job.get("training", {}):
        job, slots = shape_of(shape)
    job.pop("evaluation", None)
    job.pop("statistics", None)
    training = job.get("training", {})
    if not classes or training.get("class_weight") == "balanced":
        training.pop("class_weight", None)
    if not training:
        job.pop("training", None)
    return job, slots


def _to(shape: random.Random, job: dict[str, Any], asked: dict[str, Any]) -> None:
    """Let one of two receivers alone be told."""
    if job["result"] == "both" and shape.random() < 0.4:
        asked["to"] = [shape.choice(HOLDERS)]
