"""Rows that are scored together: who is told the scores learns these, and nobody anything else."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import Job
from party.audit import audit
from party.models.joint_scores.model import (
    FEATURE_BITS,
    OPENED_BITS,
    SUM_BITS,
    WEIGHT_BITS,
)
from party.plan import Plan
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.attacks.conftest import Tried
from tests.attacks.distinguishers import both_worlds_look_alike
from tests.attacks.test_no_mask_twice import _masks, _once
from tests.attacks.transcripts import (
    Array,
    DescentWorld,
    Theatre,
    blocks_of_bytes,
    tossed,
)
from tests.audit.judge import Judge
from tests.audit.mutants import KINDS, Mutator, with_program
from tests.harness.plans import plan, scoring_job, shapes_of_tables

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

PROTOCOLS = ("pond", "aby3", "securenn")
PLAYED = ("share", "score", "open")
STEPS = 1200
DROPPED = SUM_BITS - OPENED_BITS
"""Bits of a sum that are not opened."""
NAMES = ("alice", "bob")


@pytest.mark.parametrize("result", ["alice", "bob", "both"])
@pytest.mark.parametrize("holder", ["alice", "bob"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_audit_names_the_sums_and_whom_they_go_to(
    protocol: str, holder: str, result: str
) -> None:
    agreed = scoring_job(protocol, rows=6, holder=holder, result=result)
    report = audit(plan(PlanParameters.of(agreed)), agreed)
    receivers = NAMES if result == "both" else (result,)
    assert [(one.what, one.to) for one in report.revealed] == [("sums", to) for to in receivers]


def test_sums_for_another_party_or_of_fewer_rows_are_refused() -> None:
    agreed = scoring_job("pond", rows=6)
    made = plan(PlanParameters.of(agreed))
    for_bob = scoring_job("pond", rows=6, result="bob")
    told = made.by_name["open"]
    others = plan(PlanParameters.of(for_bob)).by_name["open"]
    with pytest.raises(JobError, match="opens something else than the job says"):
        audit(with_program(made, others), agreed)
    fewer = replace(
        told, operations=tuple(replace(o, shape=(5, *o.shape[1:])) for o in told.operations)
    )
    with pytest.raises(JobError, match="refused"):
        audit(with_program(made, fewer), agreed)


def worlds(observer: int, holder: int) -> tuple[DescentWorld, DescentWorld]:
    """Two of scores that differ in their lowest bits alone, which the observer is not told, and of
    its own table: the other's rows differ, or its weights and what its own columns add up to. All
    of it does in the lowest bits too."""
    rows, weights = np.array([[3, 5], [-7, 2]]), np.array([[9], [9]])
    sums = np.array([[4], [11]])
    change = np.array([[1, -1], [2, -2]])
    if observer == holder:
        low = change + np.array([[0, 1], [0, 3]])
        pair = [(sums, weights, rows), (sums, weights, rows + 2**40 * change + low)]
    else:
        rows = np.array([[3, 3], [-7, -7]])
        away = 2**40 + 1
        low = np.array([[1], [-3]])
        pair = [
            (sums, weights, rows),
            (sums - away * rows[:, :1] + low, weights + np.array([[away], [0]]), rows),
        ]
    return tuple(  # type: ignore[return-value]
        DescentWorld({holder: np.concatenate([own, w]), 1 - holder: other}, 0)
        for own, w, other in pair
    )


def assert_rounded(found: Array, t: Array) -> None:
    """Down or up: sums that are opened, of those with all bits."""
    assert (abs(found * 2**DROPPED - t) < 2**DROPPED).all()


@pytest.mark.parametrize("observer", [0, 1], ids=lambda party: NAMES[party])
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_who_is_told_the_scores_sees_no_more(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Neither who has the model nor who has the other columns tells worlds apart whose scores
    differ in no bit that is opened: of all roundings none comes out another way, but for a chance
    of one in hundreds. SecureNN's programs are Pond's."""
    agreed, coins = scoring_job(protocol, rows=2, result="both"), tossed(STEPS)
    here = Theatre(plan(PlanParameters.of(agreed)), tmp_path, played=PLAYED)
    assert here.received(2) == []
    pair = worlds(observer, 0)
    t = [w.tables[0][:2] + w.tables[1] @ w.tables[0][2:] for w in pair]
    assert (abs(t[0] - t[1]) % 2 == 1).all(), "exact sums would tell by their last bit"
    assert (abs(t[0] - t[1]) < 2.0**DROPPED / STEPS / 1000).all()
    views = here.descend(pair, coins)
    assert_rounded(here.total("sums"), t[0])
    told = both_worlds_look_alike(views, observer, coins)
    who = f"{NAMES[observer]}, scores by {protocol}"
    guessed = f"guessed by a trained classifier, {told.right} rightly ({who})"
    tried(told.guesses, f"worlds of the same scores {guessed}")
    tried(told.bits, f"lowest bits, of which no sum tells one world from the other ({who})")


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_of_two_columns_a_score_leaves_more_than_can_be_guessed(
    protocol: str, tmp_path: Path, tried: Tried
) -> None:
    """To who has the model, of all pairs of values within four deviations; while a handful would
    fit the exact sum."""
    largest = 4 << FEATURE_BITS
    x = np.random.default_rng(5).normal(size=(2, 2)).clip(-4, 4)
    rows = np.rint(x * 2.0**FEATURE_BITS).astype(np.int64)
    made = plan(PlanParameters.of(scoring_job(protocol, rows=2)))
    for number, wanted in enumerate([(0.5, 0.4), (1.2, 0.8), (-0.337, 2.91)]):
        weights = np.rint(np.array(wanted) * 2.0**WEIGHT_BITS).astype(np.int64)
        place = tmp_path / str(number)
        place.mkdir()
        here = Theatre(made, place, played=())
        tables = {0: np.concatenate([[[0], [0]], weights[:, None]]), 1: rows}
        for name, begin in (("share", 2), ("score", 0)):
            here.run(name, tables, begin + np.arange(2, dtype=np.int32))
        exact, one = (rows @ weights)[0], here.total("sums")[0]
        assert_rounded(one, exact)
        assert solutions(weights, int(exact), 1, largest, every=1) < 100, "the exact sum leaves few"
        # Whoever sees how it was rounded knows an interval of one unit that holds the sum.
        lowest = (int(one[0]) << DROPPED) - (1 << DROPPED - 1)
        left = 256 * solutions(weights, lowest, 1 << DROPPED, largest, every=256)
        assert left > 2**27
        tried(left, f"pairs of values that fit one score by weights {wanted} ({protocol})")


def solutions(weights: Array, low: int, count: int, largest: int, every: int) -> int:
    """How many pairs of whole numbers of at most ``largest`` in magnitude, times the weights, give
    one of ``count`` sums from ``low`` on. Of the first number, every so manieth is tried."""
    a, b = weights.tolist()
    rest = low - a * np.arange(-largest, largest + 1, every)
    least, most = np.maximum(-(-rest // b), -largest), np.minimum((rest + count - 1) // b, largest)
    return int(np.maximum(most - least + 1, 0).sum())


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_no_mask_is_used_twice(
    protocol: str, tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows are scored twice by the same weights, in blocks of which the last takes rows of
    the one before."""
    monkeypatch.setattr("party.plan.parameters.SHARE_ROWS", 8)
    agreed = scoring_job(protocol, rows=60)
    made = plan(PlanParameters.of(agreed))
    draw = np.random.default_rng(3)
    tables = {p: draw.integers(-9, 9, shape) for p, shape in shapes_of_tables(agreed).items()}
    views = []
    for number in range(2):
        directory = tmp_path / f"run{number}"
        directory.mkdir()
        here = Theatre(made, directory, played=PLAYED[:2], kinds=("KitUniform",))
        views.append(here.whole(agreed, tables))
        x = tables[1] @ tables[0][60:] + tables[0][:60]
        assert_rounded(here.total("sums"), x)
    sent = blocks_of_bytes([_once(run) for run in views])
    assert sent.count and not sent.odd and not sent.twice
    grown = [[_masks(made, run[party]) for run in views] for party in range(3)]
    assert sum(map(any, grown)) >= 2, "one who masks, and the server, at least"
    for masks in filter(any, grown):
        found = blocks_of_bytes(masks)
        assert found.count and not found.odd and not found.twice
    tried(sent.count, f"blocks of 16 bytes sent in two runs that score ({protocol})")


FEW = 12
"""Of the mutants of one kind."""


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_mutants_are_refused_or_harmless(protocol: str, tried: Tried) -> None:
    agreed = scoring_job(protocol, rows=6)
    made = plan(PlanParameters.of(agreed))
    judged = cache(lambda name: Judge(made, name))
    tally: Counter[str] = Counter()
    for kind in KINDS:
        some = [m for program in made.programs for m in Mutator(made, program.name).of_kind(kind)]
        for mutant in random.Random(kind).sample(some, min(FEW, len(some))):
            if _is_refused(mutant.plan, agreed):
                tally["refused"] += 1
                continue
            assert judged(mutant.program).harmless(mutant.plan), f"{kind} passes: {mutant.what}"
            tally["harmless"] += 1
    assert tally["refused"] > tally["harmless"] > 0
    tried(tally.total(), f"mutants of a plan that scores, refused or harmless ({protocol})")


def _is_refused(mutant: Plan, agreed: Job) -> bool:
    try:
        audit(mutant, agreed)
    except JobError:
        return True
    return False
