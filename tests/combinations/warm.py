"""Cases that begin from the model of a former job of the same columns."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

from tests.combinations import joined
from tests.combinations.draws import SHAPES, Case, Cells, shape_of, with_tables


def draw(seed: int) -> Case:
    """The case of a seed, and the one that it begins from."""
    shape = random.Random(f"warm shape {seed % SHAPES}")
    chance = random.Random(f"warm case {seed}")
    job, slots = shape_of(shape)
    rows = job["rows"]
    _fit(job, slots, shape.choice(("own", "both")))
    whole = with_tables(seed, chance, job | {"rows": 2 * rows}, slots)
    words = list(whole.words)
    job = whole.job | {"rows": rows}
    before, now = (
        {
            p: {name: cells[part] for name, cells in table.items()}
            for p, table in whole.tables.items()
        }
        for part in (slice(0, rows), slice(rows, 2 * rows))
    )
    former = copy.deepcopy(job)
    if chance.random() < 0.4:
        words.append(_moved(chance, job, now))
    job["training"] = job.get("training", {}) | {"start": "model"}
    words.append(_otherwise(chance, job, former))
    for agreed in (job, former):
        for holder, names in agreed["features"].items():
            agreed["features"][holder] = chance.sample(names, len(names))
    return replace(
        whole,
        job=job,
        tables=now,
        words=tuple(words),
        wrong=_wrong(chance, job, former),
        before=replace(whole, job=former, tables=before),
    )


def draw_joined(seed: int) -> Case:
    """One of matched rows, of the former tables and of the new ones."""
    case = joined.draw(seed)
    chance = random.Random(f"warm joined case {seed}")
    job = copy.deepcopy(case.job)
    _fit(
        job, {p: len(names) for p, names in job["features"].items()}, chance.choice(("own", "both"))
    )
    before, tables, words = replace(case, job=copy.deepcopy(job)), case.tables, case.words
    if chance.random() < 0.4:
        tables = copy.deepcopy(tables)
        words = (*words, _moved(chance, job, tables))
    job["training"] = job.get("training", {}) | {"start": "model"}
    return replace(case, job=job, tables=tables, words=words, before=before)


def _fit(job: dict[str, Any], slots: dict[str, int], result: str) -> None:
    """Take out of a job what is refused with a start, or leaves a holder without its weights."""
    training = job.get("training", {})
    if "epochs" in training:
        training.clear()
    if isinstance(job["model"], dict):
        job.pop("evaluation", None)
        training.pop("class_weight", None)
    if "folds" in job.get("evaluation", {}):
        del job["evaluation"]
    if not training:
        job.pop("training", None)
    elif training.get("class_weight") == "balanced":
        job.pop("statistics", None)
    holders = [p for p, wide in slots.items() if wide]
    if holders != [job["result"]] and job["result"] not in ("own", "both"):
        job["result"] = result if len(holders) == 2 else holders[0]


def _moved(chance: random.Random, job: dict[str, Any], tables: dict[str, Cells]) -> str:
    """Another unit, or other values, of a column of plain numbers in the new table; for people."""
    plain = [
        (p, name)
        for p, names in job["features"].items()
        for name in names
        if name not in job.get("columns", {})
    ]
    if not plain:
        return "nothing moved"
    holder, name = chance.choice(plain)
    by, and_by = chance.choice((0.5, 2.0, 30.0, -1.0)), chance.choice((0.0, 1.0, 5.0))
    cells = tables[holder][name]
    try:
        tables[holder][name] = [f"{by * float(cell) + and_by:.9g}" for cell in cells]
    except ValueError:
        return "nothing moved"
    return f"{name} times {by:g}, and {and_by:g}"


def _otherwise(chance: random.Random, job: dict[str, Any], former: dict[str, Any]) -> str:
    """What may be different of the former job; for people."""
    way = chance.randrange(6)
    if way == 0 and isinstance(job["model"], dict):
        former["model"] = job["model"] | {"unit": 2 * job["model"]["unit"]}
        return "of another unit"
    if way == 1:
        former["training"] = {"C": 0.01}
        former.pop("statistics", None)
        return "of another penalty"
    if way == 2:
        former.pop("evaluation", None)
        return "of no evaluation"
    if way == 3:
        former["protocol"] = "aby3" if job["protocol"] != "aby3" else "pond"
        return "of another protocol"
    return "of a job alike"


def _wrong(chance: random.Random, job: dict[str, Any], former: dict[str, Any]) -> str:
    """Make of a few a start that is refused; why."""
    way = chance.random()
    holders = [p for p, names in job["features"].items() if names]
    if way < 0.03 and len(holders) == 2 and former["result"] == "both":
        former["result"] = "alice"
        former.pop("statistics", None)
        return "bob has no weights"
    if way < 0.06 and not isinstance(job["model"], dict):
        former["model"] = {"kind": "linear-regression", "unit": 1.0}
        former.pop("evaluation", None)
        former.pop("training", None)
        former.pop("statistics", None)
        return "of another kind"
    if way < 0.1:
        for name, schema in job.get("columns", {}).items():
            if isinstance(schema, dict) and "missing" in schema and schema.get("type") is None:
                job["columns"] = job["columns"] | {name: schema | {"missing": 1.25}}
                return f"{name} is read otherwise"
    if way > 0.97:
        job["evaluation"] = {"folds": 2}
        return "folds of rows that the former one may have seen"
    return ""
