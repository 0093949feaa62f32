"""Whatever is wrong with a plan in a way that could show a party something, the audit refuses it.

Mutants that it lets pass must be harmless, which ``judge`` finds out without it. The docs are held
to the counts. Of ABY3's, whose plans are long, a sample is tried, unless ``TFE_KIT_MUTANTS=all``.
Of a descent's, of which there are tens of thousands, a sample of every kind is.
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
from party.plan import Plan
from party.plan.graph import Share
from party.plan.parameters import PlanParameters
from party.process.errors import JobError
from tests.audit.conftest import (
    PROTOCOLS,
    ROWS,
    SPLIT,
    TALLY,
    counts,
    descent_job,
    descents_in_the_docs,
    in_the_docs,
    job,
    plan_of,
)
from tests.audit.judge import Judge
from tests.audit.mutants import KINDS, Mutant, Mutator
from tests.harness.plans import short_plan

MANY = 150

DESCENTS = ("pond", "aby3")
"""Protocols whose descents are mutated. SecureNN's programs are Pond's."""

SAMPLE = 40
"""Of a descent's mutants of one kind."""


@cache
def mutants(protocol: str, kind: str) -> list[Mutant]:
    plan = plan_of(job(protocol))
    return [
        mutant for program in plan.programs for mutant in Mutator(plan, program.name).of_kind(kind)
    ]


@cache
def judge(protocol: str, program: str) -> Judge:
    return Judge(plan_of(job(protocol)), program)


def descending(protocol: str) -> tuple[Job, Plan]:
    """A job whose descent has little that repeats, and its plan."""
    agreed = descent_job(protocol, 6, **SPLIT | {"result": "own"})
    return agreed, short_plan(PlanParameters.of(agreed))


@cache
def descents_mutants(protocol: str, kind: str) -> list[Mutant]:
    plan = descending(protocol)[1]
    # What weighs the step before is all that the updates differ in.
    names = [p.name for p in plan.programs if not p.name.startswith("update.")] + ["update.1"]
    return [mutant for name in names for mutant in Mutator(plan, name).of_kind(kind)]


@cache
def descents_judge(protocol: str, program: str) -> Judge:
    return Judge(descending(protocol)[1], program)


def try_all(
    agreed: Job,
    tried: list[Mutant],
    plan: Plan | None = None,
    judged: Callable[[str, str], Judge] = judge,
) -> Counter[str]:
    """How many are refused and how many harmless; fails at the first that is neither, or that has
    the original's digest, by which parties that meet would not tell it apart."""
    tally: Counter[str] = Counter()
    original = (plan or plan_of(agreed)).digest
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
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mutants_are_refused_or_harmless(
    protocol: str, kind: str, request: pytest.FixtureRequest
) -> None:
    some = mutants(protocol, kind)
    if protocol == "aby3" and os.environ.get("TFE_KIT_MUTANTS") != "all" and len(some) > MANY:
        some = random.Random(kind).sample(some, MANY)
    tally = try_all(job(protocol), some)
    assert tally["refused"] > 0 or not some
    request.node.user_properties.append((TALLY, [protocol, kind, dict(tally)]))
    if protocol != "aby3":
        assert counts(tally) == in_the_docs()[ROWS[kind]][protocol]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", DESCENTS)
def test_mutants_of_descents_are_refused_or_harmless(
    protocol: str, kind: str, request: pytest.FixtureRequest
) -> None:
    some = descents_mutants(protocol, kind)
    if len(some) > SAMPLE:
        some = random.Random(kind).sample(some, SAMPLE)
    agreed, plan = descending(protocol)
    tally = try_all(agreed, some, plan, descents_judge)
    assert tally["refused"] > 0
    request.node.user_properties.append((TALLY, [f"{protocol} descent", kind, dict(tally)]))
    assert counts(tally) == descents_in_the_docs()[ROWS[kind]][protocol][1:]


@pytest.mark.parametrize("protocol", DESCENTS)
def test_the_docs_count_all_mutants_of_descents(protocol: str) -> None:
    table = {label: row[protocol] for label, row in descents_in_the_docs().items()}
    whole = table.pop("all")
    assert whole == tuple(map(sum, zip(*table.values(), strict=True)))
    assert all(tried == refused + harmless for _, tried, refused, harmless in table.values())
    made = {label: numbers[0] for label, numbers in table.items()}
    assert made == {ROWS[kind]: len(descents_mutants(protocol, kind)) for kind in KINDS}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_docs_count_all_mutants_of_every_kind(protocol: str) -> None:
    """How many are made, that is; what became of them is the long test's."""
    made = {label: row[protocol][0] for label, row in in_the_docs().items()}
    del made["all"]
    assert made == {ROWS[kind]: len(mutants(protocol, kind)) for kind in KINDS}


def test_the_docs_counts_add_up() -> None:
    table = in_the_docs()
    whole = table.pop("all")
    for protocol in PROTOCOLS:
        of_each = [row[protocol] for row in table.values()]
        assert all(made == sum(became) for made, *became in of_each if became)
        assert whole[protocol] == tuple(map(sum, zip(*of_each, strict=True)))
    judged = (whole[protocol] for protocol in ("pond", "securenn"))
    everything = tuple(map(sum, zip(*judged, strict=True)))
    words = (
        r"SecureNN's\s([\d,]+)\smutants\s([\d,]+)\sare\srefused,"
        r"\sand\seach\sof\sthe\sother\s([\d,]+)\s"
    )
    said = re.search(words, Path("docs/audit.md").read_text())
    assert said and tuple(int(n.replace(",", "")) for n in said.groups()) == everything


def test_a_weight_that_goes_out_unmasked_is_refused_by_name() -> None:
    agreed = job("pond")
    plan = plan_of(agreed)
    step = plan.by_name["step"]
    (weights,) = (s.operation for s in step.reads if s.share == Share("weights.alice", 0, 0))
    masked = next(o for o in step.operations if o.kind == "Sub" and o.inputs[0] == weights)
    (mutant,) = (m for m in mutants("pond", "drop") if f"from {masked.name} (" in m.what)
    with pytest.raises(JobError, match=r"alice would send bob .* alice's share of weights.alice"):
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
