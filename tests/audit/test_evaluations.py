"""The plans of an evaluation on held-out rows show nobody anything but the counts that are opened.

Nobody but whom the job names is told any, and no label is in what is opened before bins are joined.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from party.agreement.job import Align, Descent, Evaluation, Job
from party.audit import audit
from party.audit.audit import Report, alike
from party.models.evaluation.program import JOIN, SCORE, TELL
from party.plan import Plan
from party.plan.graph import Operation
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.audit.conftest import MATCHED, SPLIT, descent_job
from tests.audit.judge import Judge, judged
from tests.audit.mutants import KINDS, Mutator, some_of_every_kind, with_program
from tests.audit.test_refusals_of_descents import (
    ALICE,
    BOB,
    SERVER,
    changed,
    kept_at,
    passed_on,
    slot,
    with_openings,
    without_openings,
)
from tests.audit.witness import Witness
from tests.harness.plans import short_plan, small_grid

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

PROTOCOLS = ("pond", "aby3")
"""SecureNN's programs are Pond's."""

PROGRAMS = (SCORE, TELL, JOIN)

SAMPLE = 8
"""Of the mutants of one kind and protocol."""


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_grid():
        yield


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    name: str = request.param
    return name


def agreed(protocol: str, **change: Any) -> Job:
    given: dict[str, Any] = {
        **SPLIT,
        "rows": 10,
        "result": "both",
        "evaluation": Evaluation(held_out=0.4, minimum=2),
    }
    return descent_job(protocol, **given | change)


@cache
def plan_of(job: Job) -> Plan:
    return short_plan(PlanParameters.of(job))


def audited(protocol: str, **change: Any) -> Report:
    job = agreed(protocol, **change)
    return audit(plan_of(job), job)


@pytest.mark.parametrize("to", [("alice",), ("bob",), ("alice", "bob")])
def test_counts_are_revealed_once_to_the_named_and_labels_only_joined(
    protocol: str, to: tuple[str, ...]
) -> None:
    evaluation = Evaluation(held_out=0.4, minimum=2, to=to)  # type: ignore[arg-type]
    revealed = audited(protocol, evaluation=evaluation).revealed
    counts = [
        (each.program, each.what, each.to)
        for each in revealed
        if "weights" not in each.what and each.what not in ("settled", "inside")
    ]
    assert sorted(counts) == sorted(
        [("tell", "scores", party) for party in to]
        + [("open", "positives.joined", party) for party in to]
    )


def test_every_message_is_accounted_for_and_the_server_receives_none(protocol: str) -> None:
    for program in audited(protocol).programs:
        if program.name in PROGRAMS:
            assert program.views[SERVER].messages == 0
            for view in program.views:
                assert not view.leaks
                assert view.messages == view.keys + view.hidden + view.transferred + view.known


def test_all_secrets_can_be_exchanged_under_each_view(protocol: str) -> None:
    plan = plan_of(agreed(protocol))
    for name in PROGRAMS:
        program = plan.by_name[name]
        witness = Witness(program, alike(plan, program))
        for part in witness.parts:
            witness.exchange(part)


# -- what is refused


def renamed(plan: Plan, program: str, old: str, new: str) -> Plan:
    """The plan whose program reads and opens another value in the place of one."""
    given = plan.by_name[program]
    reads = tuple(
        replace(s, share=replace(s.share, value=new)) if s.share.value == old else s
        for s in given.reads
    )
    opens = tuple(replace(o, value=new) if o.value == old else o for o in given.opens)
    return with_program(plan, replace(given, reads=reads, opens=opens))


def tell_opens_positives(plan: Plan) -> Plan:
    return renamed(plan, TELL, "scores", "positives")


def all_positives_at_the_end(plan: Plan) -> Plan:
    return renamed(plan, "open", "positives.joined", "positives")


def score_opens_counts(plan: Plan) -> Plan:
    """Of each run's rows: what changes from one to the next."""
    return with_openings(plan, TELL, SCORE)


def join_opens_counts(plan: Plan) -> Plan:
    return with_openings(plan, TELL, JOIN)


def ask_opens_counts(plan: Plan) -> Plan:
    return with_openings(plan, TELL, "ask")


def counts_at_the_end_too(plan: Plan) -> Plan:
    return with_openings(plan, TELL, "open")


def bob_is_not_told(plan: Plan) -> Plan:
    return without_openings(plan, TELL, BOB)


def never_told(plan: Plan) -> Plan:
    return replace(plan, programs=tuple(p for p in plan.programs if p.name != TELL))


def masked(plan: Plan, party: int) -> Operation:
    """The number, score and label, that a party sends under a mask."""
    return next(
        o
        for o in plan.by_name[SCORE].operations
        if (o.kind, o.party, o.dtype.name) == ("AddV2", party, "int32")
        and plan.by_name[SCORE].by_name[o.inputs[1]].kind == "KitUniform"
    )


def number_sent_unmasked(plan: Plan) -> Plan:
    sum_ = masked(plan, BOB)
    return changed(plan, SCORE, replace(sum_, kind="Identity", inputs=sum_.inputs[:1]))


def number_masked_by_alices_mask(plan: Plan) -> Plan:
    mine, theirs = masked(plan, BOB), masked(plan, ALICE)
    return changed(plan, SCORE, replace(mine, inputs=(mine.inputs[0], theirs.inputs[1])))


def mask_sent_to_bob(plan: Plan) -> Plan:
    """Who knows what alice opened."""
    program = plan.by_name[SCORE]
    mask = program.by_name[masked(plan, ALICE).inputs[1]]
    more = replace(mask, name="mask", kind="Identity", inputs=(mask.name,), party=SERVER)
    return kept_at(changed(plan, SCORE, more), SCORE, more, BOB)


def opened_numbers_sent_to_the_server(plan: Plan) -> Plan:
    """Who knows the masks of both."""
    total = next(
        o
        for o in plan.by_name[SCORE].operations
        if o.kind == "AddV2" and o.party == ALICE and masked(plan, BOB).name in o.inputs
    )
    return kept_at(plan, SCORE, total, SERVER)


def held_out_rows_sent_unmasked(plan: Plan) -> Plan:
    program = plan.by_name[SCORE]
    table = next(
        o for o in program.operations if o.kind == "Cast" and o.party == ALICE and o.shape[1] > 1
    )
    return kept_at(plan, SCORE, table, BOB)


def joining_sent_unmasked(plan: Plan) -> Plan:
    """It follows from counts that bob may not be told."""
    program = plan.by_name[JOIN]
    chosen = next(o for o in program.operations if o.kind == "Cast" and o.party == ALICE)
    return kept_at(plan, JOIN, chosen, BOB)


def alices_counts_sent_to_bob(plan: Plan) -> Plan:
    return passed_on(plan, SCORE, slot(plan, SCORE, "positives", ALICE), BOB)


def alices_positives_sent_to_bob_when_joined(plan: Plan) -> Plan:
    return passed_on(plan, JOIN, slot(plan, JOIN, "positives", ALICE), BOB)


SOMETHING_ELSE = "opens something else than the job says, or to somebody else"

REFUSED: dict[Callable[[Plan], Plan], str] = {
    tell_opens_positives: f"of another shape|{SOMETHING_ELSE}|another type or shape",
    all_positives_at_the_end: f"another type or shape|{SOMETHING_ELSE}|nobody holds",
    score_opens_counts: "'score' opens a value, and runs again and again",
    join_opens_counts: "'join' opens a value, and runs again and again",
    ask_opens_counts: SOMETHING_ELSE,
    counts_at_the_end_too: SOMETHING_ELSE,
    bob_is_not_told: SOMETHING_ELSE,
    never_told: "other programs than its model",
    number_sent_unmasked: "bob would send alice",
    number_masked_by_alices_mask: "would send",
    mask_sent_to_bob: "would send bob",
    opened_numbers_sent_to_the_server: "would send server",
    held_out_rows_sent_unmasked: "alice would send bob .* alice's batch",
    joining_sent_unmasked: "alice would send bob .* alice's batch",
    alices_counts_sent_to_bob: "alice would send bob .* alice's share of positives",
    alices_positives_sent_to_bob_when_joined: "alice would send bob .* share of positives",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_it_is_refused_with_the_reason(wrong: Callable[[Plan], Plan], protocol: str) -> None:
    job = agreed(protocol)
    with pytest.raises(JobError, match=REFUSED[wrong]):
        audit(wrong(plan_of(job)), job)


def test_who_is_not_named_is_told_nothing(protocol: str) -> None:
    """The plan of a job that names both is not that of one that names alice."""
    alone = agreed(protocol, evaluation=Evaluation(held_out=0.4, minimum=2, to=("alice",)))
    both = plan_of(agreed(protocol))
    telling = replace(plan_of(alone), programs=both.programs)
    with pytest.raises(JobError, match=SOMETHING_ELSE):
        audit(telling, alone)


# -- mutants


@cache
def judge(job: Job, program: str) -> Judge:
    return Judge(plan_of(job), program)


def test_mutants_are_refused_or_harmless(protocol: str) -> None:
    job = agreed(protocol)
    mutants = some_of_every_kind(plan_of(job), PROGRAMS, SAMPLE)
    tally = judged(mutants, job, partial(judge, job))
    said = re.search(SAID[protocol], Path("docs/audit.md").read_text())
    numbers = tally.total(), tally["refused"], tally["harmless"]
    assert said and tuple(int(n) for n in said.groups()) == numbers, numbers


def matched(protocol: str) -> Job:
    """Rows that were matched and are weighed by their class: both have shares of the label."""
    training = Descent(passes=9, class_weight={"0": 0.5, "1": 3.0})
    more = {"training": training, "align": Align(key="id", minimum=10), "rows": 12}
    return agreed(protocol, **MATCHED | more)


def test_rows_that_were_matched_are_counted_and_weighed_as_others_are(protocol: str) -> None:
    job = matched(protocol)
    plan = plan_of(job)
    revealed = {(each.program, each.what) for each in audit(plan, job).revealed}
    assert {("tell", "scores"), ("open", "positives.joined")} <= revealed
    for name in ("share", "gradient", SCORE):
        program = plan.by_name[name]
        witness = Witness(program, alike(plan, program))
        for part in witness.parts:
            witness.exchange(part)


def test_their_mutants_are_refused_or_harmless(protocol: str) -> None:
    """One of each kind of what alignment changes; the others are those above."""
    job, refused = matched(protocol), 0
    for kind in KINDS:
        for name in ("share", SCORE):
            some = list(Mutator(plan_of(job), name).of_kind(kind))
            for mutant in random.Random(kind).sample(some, min(1, len(some))):
                try:
                    audit(mutant.plan, job)
                except JobError:
                    refused += 1
                    continue
                assert judge(job, name).harmless(mutant.plan), f"{kind} passes: {mutant.what}"
    assert refused > len(KINDS)


WORDS = r"of {}'s (\d+) that were tried (\d+) are refused, and (\d+) are harmless"
SAID = {
    name: WORDS.format(label).replace(" ", r"\s")
    for name, label in (("pond", "Pond"), ("aby3", "ABY3"))
}
