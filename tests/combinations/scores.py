"""Cases of jobs that score rows by the model of a training of columns at both holders."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

from tests.combinations import joined, private
from tests.combinations.draws import LABEL, SHAPES, Case, Cells, shape_of, with_tables
from tests.combinations.joined import HOLDERS

KIND = "joint-scores"


def draw(seed: int) -> Case:
    """The case of a seed: new rows, or those of the training, in the same order at both."""
    shape = random.Random(f"scores shape {seed % SHAPES}")
    chance = random.Random(f"scores case {seed}")
    job, slots = shape_of(shape, both=True)
    result, protocol = shape.choice(("alice", "bob", "both")), shape.choice(("pond", "aby3"))
    if isinstance(job["model"], dict):
        job.pop("evaluation", None)
        job.get("training", {}).pop("class_weight", None)
    if job["result"] == "own":
        job["result"] = "both"
    job.pop("statistics", None)
    whole = with_tables(seed, chance, job, slots)
    tables, words = whole.new, "new rows"
    if chance.random() < 0.3:
        tables, words = whole.tables, "the training's rows"
    case = replace(whole, tables=copy.deepcopy(tables), before=whole, words=(*whole.words, words))
    rows = len(next(iter(tables["alice"].values())))
    case = _scoring(chance, case, {"result": result, "protocol": protocol, "rows": rows})
    if chance.random() < 0.04:
        case.job["rows"] += 1
        case = replace(case, wrong="another number of rows")
    return case


def draw_left(seed: int) -> Case:
    """One of all rows of one table, of which the training took those in common."""
    before = joined.draw(seed, both=True)
    chance = random.Random(f"left scores case {seed}")
    if before.job["result"] == "own":
        before.job["result"] = "both"
    if before.job["align"].get("order") == "same" and before.job["model"] == "logistic-regression":
        before = private.with_noise(chance, before)
    assert before.people is not None
    left, right = chance.sample(HOLDERS, 2)
    tables, people = dict(before.tables), dict(before.people)
    some = list(range(len(people[right])))
    chance.shuffle(some)
    some = some[: int(len(some) * chance.choice((1.0, 1.0, 0.5)))]
    tables[right] = {name: [cells[row] for row in some] for name, cells in tables[right].items()}
    people[right] = [people[right][row] for row in some]
    common = len({*people[left]} & {*people[right]})
    align = {
        "key": before.job["align"]["key"],
        "join": "left",
        "minimum": chance.choice((1, common)),
    }
    wrong = ends = ""
    if chance.random() < 0.1:
        align["minimum"] = common + 1
        ends = f"fewer than {common + 1} rows are in common"
    if len({*people[right]}) < len(people[right]):
        align["duplicates"] = "first"
        if chance.random() < 0.2:
            del align["duplicates"]
            wrong = "identifiers stand twice"
    if len({*people[left]}) < len(people[left]):
        wrong = "identifiers of rows to score stand twice"
    case = replace(
        before, before=before, tables=tables, people=people, pairs=None, wrong=wrong, ends=ends
    )
    change = {"result": left, "protocol": chance.choice(("pond", "aby3")), "align": align}
    return _scoring(chance, case, change)


def _scoring(chance: random.Random, case: Case, change: dict[str, Any]) -> Case:
    """A case of the rows of another that has trained."""
    assert case.before is not None
    former = case.before.job
    kept = {name: former[name] for name in ("name", "features", "columns") if name in former}
    job: dict[str, Any] = copy.deepcopy(kept) | change
    if "columns" in job:
        job["columns"].pop(LABEL, None)
    holders = [former["result"]] if former["result"] in HOLDERS else list(HOLDERS)
    job["model"] = {"kind": KIND, "holder": chance.choice(holders)}
    if isinstance(former["model"], dict):
        job["model"] |= {"predicts": former["model"]["kind"], "unit": former["model"]["unit"]}
    words = case.words
    if chance.random() < 0.1:
        words = (*words, _spoilt(chance, job, case.tables))
    return replace(case, job=job, words=words)


def _spoilt(chance: random.Random, job: dict[str, Any], tables: dict[str, Cells]) -> str:
    """Put into a cell what may not fit; for people."""
    holder = chance.choice(HOLDERS)
    name = chance.choice(job["features"][holder])
    cells = list(tables[holder][name])
    row = chance.randrange(len(cells))
    cells[row] = chance.choice(("", "1e30", "-1e4", "n/a"))
    if "date" in str(job.get("columns", {}).get(name)):
        cells[row] = ""
    tables[holder] = tables[holder] | {name: cells}
    return f"{name} with {cells[row]!r}"
