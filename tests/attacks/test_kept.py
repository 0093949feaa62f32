"""Openings of a kept model: who is opened weights learns these, and nobody anything else. Of one
that a training begins from nobody learns anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import Descent, Job
from party.audit import audit
from party.plan.parameters import PlanParameters
from tests.attacks.conftest import Tried
from tests.attacks.distinguishers import (
    LEVEL,
    both_worlds_look_alike,
    by_chance,
    evidence,
    guessed,
    rejected,
    relations,
)
from tests.attacks.transcripts import (
    Array,
    Seen,
    Theatre,
    together,
    tossed,
    worlds_of_descents,
)
from tests.audit.conftest import SPLIT, descent_job
from tests.harness.plans import short_plan

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

PROTOCOLS = ("pond", "aby3")
NAMES = ("alice", "bob", "server")
OPENINGS = 1200


def opening(protocol: str, result: str) -> Job:
    """Opens a model of one column at each holder, and of the intercept."""
    agreed = descent_job(protocol, **SPLIT | {"features": {"alice": ("x",), "bob": ("z",)}})
    return Job.model_validate(agreed.model_dump() | {"result": result, "kept": "0" * 64})


def worlds(theatre: Theatre, observer: int) -> tuple[dict[str, int], dict[str, int]]:
    """Raw weights that differ, in their lowest bits and others, but for the observer's own."""
    one = {value.name: 5 for value in theatre.plan.state}
    own = {f"weights.{NAMES[observer]}": 5}
    return one, dict.fromkeys(one, 2**40 + 2) | (own if own.keys() <= one.keys() else {})


@pytest.mark.parametrize("observer", [0, 1, 2], ids=lambda party: NAMES[party])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_learns_weights_that_it_is_not_opened(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Each gets its own; then another one gets all, of the same shares."""
    theatres = []
    for number, result in enumerate(("own", "alice" if observer == 1 else "bob")):
        job = opening(protocol, result)
        plan = short_plan(PlanParameters.of(job))
        audit(plan, job)
        (place := tmp_path / str(number)).mkdir()
        theatres.append(Theatre(plan, place, played=("open",)))
    first, second = theatres
    pair, coins = worlds(first, observer), tossed(OPENINGS)
    views: list[dict[str, list[Array]]] = [{}, {}, {}]
    for coin in coins:
        for value in first.plan.state:
            first.write(value, np.full(value.shape, pair[coin][value.name], np.int64))
        for party in range(3):
            second.hold(party, first.held(party))
        for theatre in theatres:
            theatre.run("open", {}, None)
        for party, view in enumerate(views):
            seen = first.held(party)
            for number, theatre in enumerate(theatres):
                seen |= {f"opening {number}, {n}": x for n, x in theatre.messages(party).items()}
            for name, content in seen.items():
                view.setdefault(name, []).append(content)
    told: list[Seen] = [{name: np.array(them) for name, them in view.items()} for view in views]
    if seen_there := told[observer]:
        assert rejected(evidence(seen_there, coins), LEVEL) == []
        right, of = guessed(seen_there, coins)
        assert by_chance(right, of) > LEVEL, f"{right} of {of} guessed"
        bits, telling = relations(seen_there, coins)
        assert telling == 0
        who = f"{NAMES[observer]}, {protocol}"
        tried(of, f"worlds of weights that are opened to others guessed, {right} rightly ({who})")
        tried(bits, f"lowest bits, of which no sum tells one world from the other ({who})")
    _, telling = relations(together(told[:2]), coins)
    assert telling > 0, "alice and bob together have what tells"


@pytest.mark.parametrize("observer", [0, 1], ids=lambda party: NAMES[party])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_learns_of_a_model_that_a_training_begins_from(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Weights that differ, and the other holder's means and scales; its own small matrices cross in
    the same program."""
    training = Descent(passes=1, start="0" * 64)
    columns = SPLIT | {"features": {"alice": ("x",), "bob": ("z",)}, "training": training}
    job = descent_job(protocol, 2, **columns)
    plan, coins = short_plan(PlanParameters.of(job)), tossed(OPENINGS)
    audit(plan, job)
    here = Theatre(plan, tmp_path, played=("prepare",))
    assert here.received(2) == []
    views = here.descend(worlds_of_descents(plan, observer), coins)
    told = both_worlds_look_alike(views, observer, coins)
    who = f"{NAMES[observer]}, a beginning from a kept model, {protocol}"
    tried(told.guesses, f"worlds guessed by a trained classifier, {told.right} rightly ({who})")
    tried(told.bits, f"lowest bits, of which no sum tells one world from the other ({who})")
