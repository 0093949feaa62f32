"""Whatever is wrong with a plan in a way that could show a party something, the audit refuses it.

Mutants that it lets pass must be harmless, which ``judge`` finds out without it. The docs are held
to the counts. Plans have a short sum of sines, of which one is like another. There are tens of
thousands, of which a sample of every kind is tried, always the same one; ``TFE_KIT_MUTANTS=all``
tries all.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from party.agreement.job import Job
from party.audit import audit
from party.models import reach
from party.plan import Plan
from party.plan.graph import Share
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.audit.conftest import (
    ROWS,
    SPLIT,
    TALLY,
    counts,
    descent_job,
    descents_in_the_docs,
    in_the_docs,
    job,
    sampled_job,
    small_samples,
)
from tests.audit.judge import Judge
from tests.audit.mutants import KINDS, Mutant, Mutator
from tests.harness.plans import short_plan

MUTATED = ("pond", "aby3")
"""Protocols whose plans are mutated. SecureNN's programs are Pond's."""

ALL = os.environ.get("TFE_KIT_MUTANTS") == "all"
SAMPLE = 40
"""Of the mutants of one kind."""


def mutated(protocol: str) -> Plan:
    """The small job's plan, with little that repeats."""
    return short_plan(PlanParameters.of(job(protocol)))


@cache
def mutants(protocol: str, kind: str) -> list[Mutant]:
    plan = mutated(protocol)
    return [
        mutant for program in plan.programs for mutant in Mutator(plan, program.name).of_kind(kind)
    ]


@cache
def judge(protocol: str, program: str) -> Judge:
    return Judge(mutated(protocol), program)


def descending(protocol: str) -> tuple[Job, Plan]:
    """A job whose descent has little that repeats, and its plan."""
    agreed = descent_job(protocol, 6, **SPLIT | {"result": "own"})
    return agreed, short_plan(PlanParameters.of(agreed))


@cache
def descents_mutants(protocol: str, kind: str) -> list[Mutant]:
    plan = descending(protocol)[1]
    # What weighs the step before is all that the updates differ in.
    others = ("update.", *reach.PROGRAMS)
    names = [p.name for p in plan.programs if not p.name.startswith(others)] + ["update.1"]
    return [mutant for name in names for mutant in Mutator(plan, name).of_kind(kind)]


@cache
def descents_judge(protocol: str, program: str) -> Judge:
    return Judge(descending(protocol)[1], program)


def sampled(made: list[Mutant], kind: str) -> list[Mutant]:
    """Those of one kind that are tried."""
    few = ALL or len(made) <= SAMPLE
    return made if few else random.Random(kind).sample(made, SAMPLE)


def try_all(
    agreed: Job,
    tried: list[Mutant],
    plan: Plan,
    judged: Callable[[str, str], Judge],
) -> Counter[str]:
    """How many are refused and how many harmless; fails at the first that is neither, or that has
    the original's digest, by which parties that meet would not tell it apart."""
    tally: Counter[str] = Counter()
    original = plan.digest
    for mutant in tried:
        assert mutant.plan.digest != original, mutant.what
        if _is_refused(mutant, agreed):
            tally["refused"] += 1
            continue
        harmless = judged(agreed.protocol, mutant.program).harmless(mutant.plan)
        assert harmless, f"{mutant.kind} passes, and was not shown harmless: {mutant.what}"
        tally["harmless"] += 1
    return tally


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", MUTATED)
def test_mutants_are_refused_or_harmless(
    protocol: str, kind: str, request: pytest.FixtureRequest
) -> None:
    some = sampled(mutants(protocol, kind), kind)
    tally = try_all(job(protocol), some, mutated(protocol), judge)
    assert tally["refused"] > 0 or not some
    request.node.user_properties.append((TALLY, [protocol, kind, dict(tally)]))
    if not ALL:
        assert counts(tally) == in_the_docs()[ROWS[kind]][protocol][1:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", MUTATED)
def test_mutants_of_descents_are_refused_or_harmless(
    protocol: str, kind: str, request: pytest.FixtureRequest
) -> None:
    some = sampled(descents_mutants(protocol, kind), kind)
    agreed, plan = descending(protocol)
    tally = try_all(agreed, some, plan, descents_judge)
    assert tally["refused"] > 0
    request.node.user_properties.append((TALLY, [f"{protocol} descent", kind, dict(tally)]))
    if not ALL:
        assert counts(tally) == descents_in_the_docs()[ROWS[kind]][protocol][1:]


FEW = 5
"""Of the mutants of one kind, in the programs that not every descent has."""

SAID = {
    protocol: (
        rf"of {label}'s ([\d,]+) mutants (\d+) were tried, of which (\d+) are refused and "
        r"(\d+) are harmless"
    ).replace(" ", r"\s")
    for protocol, label in (("pond", "Pond"), ("aby3", "ABY3"))
}


@pytest.mark.parametrize("protocol", MUTATED)
def test_mutants_of_programs_that_not_every_descent_has_are_refused_or_harmless(
    protocol: str,
) -> None:
    """In the programs that are another descent's too, it is the others that are mutated."""
    with small_samples():
        agreed = sampled_job(protocol, 12)
        plan = short_plan(PlanParameters.of(agreed))
        audit(plan, agreed)
        made = {
            kind: [m for name in NEWER for m in Mutator(plan, name).of_kind(kind)] for kind in KINDS
        }
        few = [
            mutant
            for kind, some in made.items()
            for mutant in (some if ALL else random.Random(kind).sample(some, min(FEW, len(some))))
        ]
        judged = cache(lambda _, name: Judge(plan, name))
        tally = try_all(agreed, few, plan, judged)
    assert tally["harmless"] > 0
    if not ALL:
        said = re.search(SAID[protocol], Path("docs/audit.md").read_text())
        numbers = sum(map(len, made.values())), *counts(tally)
        assert said and tuple(int(n.replace(",", "")) for n in said.groups()) == numbers, numbers


NEWER = ("share", "gradient", "mark", "anchor", "inner.1", "reach", "judge", "vouch")
"""Their programs, and those that ask for the range of the sigmoid; inner.2 and inner.3 differ from
the first in a public weight."""


@pytest.mark.parametrize("protocol", MUTATED)
def test_the_docs_count_all_mutants(protocol: str) -> None:
    """How many are made, that is; what became of them is the long tests'."""
    for docs, of_kind in ((in_the_docs(), mutants), (descents_in_the_docs(), descents_mutants)):
        table = {label: row[protocol] for label, row in docs.items()}
        whole = table.pop("all")
        assert whole == tuple(map(sum, zip(*table.values(), strict=True)))
        assert all(tried == refused + harmless for _, tried, refused, harmless in table.values())
        made = {label: numbers[0] for label, numbers in table.items()}
        assert made == {ROWS[kind]: len(of_kind(protocol, kind)) for kind in KINDS}


def test_a_weight_that_goes_out_unmasked_is_refused_by_name() -> None:
    agreed = job("pond")
    plan = mutated("pond")
    step = plan.by_name["step"]
    (weights,) = (s.operation for s in step.reads if s.share == Share("weights.alice", 1, 0))
    masked = next(o for o in step.operations if o.kind == "Sub" and o.inputs[0] == weights)
    mutant = next(m for m in mutants("pond", "drop") if f"from {masked.name} (step" in m.what)
    with pytest.raises(JobError, match=r"bob would send alice .* bob's share of weights.alice"):
        audit(mutant.plan, agreed)


def test_the_judge_does_not_take_everything_for_harmless() -> None:
    agreed = job("pond")
    refused = [m for m in mutants("pond", "drop") if _is_refused(m, agreed)]
    assert refused
    assert not any(judge("pond", m.program).harmless(m.plan) for m in refused)


def _is_refused(mutant: Mutant, agreed: Job) -> bool:
    try:
        audit(mutant.plan, agreed)
    except JobError:
        return True
    return False
