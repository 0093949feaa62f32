"""The plans of an evaluation over folds: what is counted of all of them is opened once, and of a
fold's own training nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Evaluation, Job
from party.agreement.privacy import LabelPrivacy, Privacy
from party.audit import audit
from party.audit.audit import Report, alike
from party.models.descent import RESET
from party.models.evaluation.program import SCORE
from party.plan import Plan
from party.plan.graph import Operation, Share, Slot
from party.process.errors import JobError
from tests.audit.conftest import MATCHED
from tests.audit.judge import judged
from tests.audit.mutants import some_of_every_kind, with_operations, with_program
from tests.audit.test_evaluations import PROTOCOLS, SOMETHING_ELSE, agreed, judge, plan_of
from tests.audit.test_refusals_of_descents import (
    ALICE,
    BOB,
    SERVER,
    kept_at,
    left,
    passed_on,
    slot,
    with_openings,
)
from tests.audit.witness import Witness
from tests.harness.plans import small_grid

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

SAMPLE = 5
"""Of the mutants of one kind and protocol."""


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_grid():
        yield


def folded(protocol: str) -> Job:
    return agreed(protocol, evaluation=Evaluation(folds=2, minimum=2))


@pytest.fixture(params=PROTOCOLS)
def job(request: pytest.FixtureRequest) -> Job:
    """A job of two folds."""
    return folded(request.param)


def test_what_is_opened_is_what_a_share_held_out_opens(job: Job) -> None:
    held_out = agreed(job.protocol)
    assert audit(plan_of(job), job).revealed == audit(plan_of(held_out), held_out).revealed


@pytest.mark.parametrize("change", [{}, MATCHED], ids=["in order", "matched"])
def test_labels_that_were_turned_round_change_no_message(job: Job, change: dict[str, Any]) -> None:
    """What stands for one in the trainings is put in where it, or a share of it, lies already."""
    private = Privacy(labels=LabelPrivacy(epsilon=1.0))
    jobs = [
        agreed(job.protocol, evaluation=job.evaluation, **change, privacy=one)
        for one in (None, private)
    ]
    assert plan_of(jobs[0]).digest != plan_of(jobs[1]).digest
    plain, turned = (audit(plan_of(one), one) for one in jobs)
    assert turned.revealed == plain.revealed

    def received(report: Report) -> list[tuple[int, ...]]:
        views = [view for program in report.programs for view in program.views]
        return [(v.messages, v.bytes, v.keys, v.hidden, v.transferred, v.known) for v in views]

    assert received(turned) == received(plain)


def test_nothing_crosses_between_two_folds_and_the_weights_are_zero(job: Job) -> None:
    (report,) = (p for p in audit(plan_of(job), job).programs if p.name == RESET)
    assert all(view.messages == 0 for view in report.views)
    reset = plan_of(job).by_name[RESET]
    assert not reset.inputs and not reset.reads and not reset.opens
    left = {s.share.value for s in reset.writes}
    assert left == {f"{v}.{p}" for v in ("point", "iterate") for p in ("alice", "bob")}
    for one in reset.writes:
        value = reset.by_name[one.operation].value
        assert value is not None and not value.any()


def test_secrets_can_be_exchanged_under_each_view_of_rows_that_are_counted(job: Job) -> None:
    program = plan_of(job).by_name[SCORE]
    witness = Witness(program, alike(plan_of(job), program))
    for part in witness.parts:
        witness.exchange(part)


# -- what is refused


def reading(plan: Plan, value: str, party: int) -> tuple[Plan, Operation]:
    """The plan whose reset reads a share of what a fold's training has found."""
    shape = plan.shared(value).shape
    given = Operation("given", "Placeholder", party, (), np.dtype(np.int64), shape)
    program = with_operations(plan.by_name[RESET], [given])
    reads = (Slot("given", Share(value, party, 0)),)
    return with_program(plan, replace(program, reads=reads)), given


def reset_opens_the_weights(plan: Plan) -> Plan:
    return with_openings(plan, "open", RESET)


def reset_opens_the_counts_of_a_fold(plan: Plan) -> Plan:
    return with_openings(plan, "tell", RESET)


def score_opens_the_counts_of_a_fold(plan: Plan) -> Plan:
    return with_openings(plan, "tell", SCORE)


def ask_opens_the_counts_of_a_fold(plan: Plan) -> Plan:
    return with_openings(plan, "tell", "ask")


def a_folds_weights_sent_to_alice(plan: Plan) -> Plan:
    """Bob's share of them, which is all that she lacks."""
    return kept_at(*_with(reading(plan, "iterate.alice", BOB)), ALICE)


def a_folds_counts_sent_to_bob(plan: Plan) -> Plan:
    return kept_at(*_with(reading(plan, "positives", ALICE)), BOB)


def _with(found: tuple[Plan, Operation]) -> tuple[Plan, str, Operation]:
    return found[0], RESET, found[1]


def weights_of_one_party_left(plan: Plan) -> Plan:
    """Shares of zero at one, and of the fold's weights at the other."""
    reset = plan.by_name[RESET]
    writes = [s for s in reset.writes if s.share != Share("point.alice", BOB, 0)]
    return with_program(plan, replace(reset, writes=tuple(writes)))


def rows_of_a_fold_sent_to_the_server(plan: Plan) -> Plan:
    """Who knows their mask."""
    return passed_on(plan, SCORE, slot(plan, SCORE, "table.alice", BOB), SERVER)


def mask_of_a_folds_rows_sent_to_bob(plan: Plan) -> Plan:
    return passed_on(plan, SCORE, slot(plan, SCORE, "table.alice", SERVER), BOB)


def no_reset(plan: Plan) -> Plan:
    return replace(plan, programs=tuple(p for p in plan.programs if p.name != RESET))


REFUSED: dict[Callable[[Plan], Plan], str] = {
    reset_opens_the_weights: "'reset' opens a value, and runs again and again",
    reset_opens_the_counts_of_a_fold: "'reset' opens a value, and runs again and again",
    score_opens_the_counts_of_a_fold: "'score' opens a value, and runs again and again",
    ask_opens_the_counts_of_a_fold: SOMETHING_ELSE,
    a_folds_weights_sent_to_alice: "alice reads a batch or share of bob's",
    a_folds_counts_sent_to_bob: "bob reads a batch or share of alice's",
    weights_of_one_party_left: "'reset' changes some shares of 'point.alice' only",
    rows_of_a_fold_sent_to_the_server: "bob would send server",
    mask_of_a_folds_rows_sent_to_bob: "server would send bob",
    no_reset: "other programs than its model",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_reason(wrong: Callable[[Plan], Plan], job: Job) -> None:
    with pytest.raises(JobError, match=REFUSED[wrong]):
        audit(wrong(plan_of(job)), job)


def test_a_copy_that_is_not_reset_is_refused() -> None:
    """Of ABY3's, of which two parties have each part."""
    job = folded("aby3")
    zeros = left(plan_of(job), RESET, "point.alice", ALICE)
    assert zeros.value is not None
    ones = replace(zeros, value=zeros.value + 1)
    plan = with_program(plan_of(job), with_operations(plan_of(job).by_name[RESET], [ones]))
    with pytest.raises(JobError, match="different shares of the same part of 'point"):
        audit(plan, job)


def test_mutants_are_refused_or_harmless(job: Job) -> None:
    mutants = some_of_every_kind(plan_of(job), (RESET, SCORE), SAMPLE)
    assert {RESET, SCORE} == {mutant.program for mutant in mutants}
    tally = judged(mutants, job, partial(judge, job))
    label = {"pond": "Pond", "aby3": "ABY3"}[job.protocol]
    said = re.search(WORDS.format(label), Path("docs/audit.md").read_text())
    numbers = tally.total(), tally["refused"], tally["harmless"]
    assert said and tuple(int(n) for n in said.groups()) == numbers, numbers


WORDS = r"of folds? {}'s (\d+) that were tried (\d+) are refused, and (\d+) are harmless"
WORDS = WORDS.replace(" ", r"\s")
