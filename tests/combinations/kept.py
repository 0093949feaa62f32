"""Cases of a model that is kept on shares, which a later job opens or begins from."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import numpy as np

from tests.combinations import draws, joined, plainly, private, warm
from tests.combinations.draws import SHAPES, Case
from tests.combinations.plainly import RefusedError

LARGEST_CHANGE = 16.0
"""By so much of what it varied by may a column vary now, or have moved."""


def draw(seed: int) -> Case:
    """The case of a seed: a model that is opened, of matched rows or of others."""
    shape = random.Random(f"kept shape {seed % SHAPES}")
    chance = random.Random(f"kept case {seed}")
    trained = shape.choice((draws.draw, draws.draw, joined.draw, private.draw_labels))(seed)
    opened = copy.deepcopy(_keeping(trained).job)
    holders = [p for p, names in opened["features"].items() if names]
    opened |= {"result": shape.choice(("alice", "bob", "both", "own")), "kept": ""}
    if opened["result"] in plainly.HOLDERS and "align" not in opened:
        opened["result"] = shape.choice([*holders, "both"])
    before, wrong = _keeping(trained), ""
    way = chance.random()
    if way < 0.04:
        opened["protocol"] = "aby3" if opened["protocol"] != "aby3" else "pond"
        wrong = "another protocol than the training's"
    elif way < 0.08:
        opened["training"] = {"C": 0.5}
        wrong = "another penalty than the training's"
    return replace(trained, job=opened, before=before, wrong=wrong or trained.wrong)


def draw_start(seed: int) -> Case:
    """One that begins from a model that nobody has seen."""
    case = warm.draw(seed)
    assert case.before is not None
    job, former = case.job, _keeping(case.before)
    alike = ("protocol", "features", "columns")
    same: dict[str, Any] = {key: job[key] for key in alike if key in job}
    wrong = case.wrong if case.wrong.endswith(_KEPT_TOO) else ""
    if not wrong:
        former.job.update(copy.deepcopy(same))
    if "is read otherwise" in case.wrong:
        former.job["columns"] = copy.deepcopy(case.before.job["columns"])
    return replace(case, before=former, wrong=wrong or _moved(case, former))


_KEPT_TOO = ("of another kind", "is read otherwise", "may have seen")


def _keeping(case: Case) -> Case:
    """A case whose model is kept, and of which nothing is told."""
    job = {k: v for k, v in case.job.items() if k not in ("evaluation", "statistics")}
    return replace(case, job=job | {"result": "kept"})


def _moved(case: Case, former: Case) -> str:
    """Why a table is refused by what the former one was; empty where it is not."""
    try:
        before = plainly.clear(former.job, former.tables, former.pairs)
        now = plainly.clear(case.job, case.tables, case.pairs)
    except RefusedError:
        return ""
    moved = np.abs(now.mean - before.mean) / before.scale
    worst = max(float((now.scale / before.scale).max()), float(moved.max()))
    return "a column has moved" if worst > LARGEST_CHANGE else ""
