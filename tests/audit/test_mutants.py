"""Whatever is wrong with a plan in a way that could show a party something, the audit refuses it.

Mutants that it lets pass must be harmless, which ``judge`` finds out without it. The docs are held
to the counts. Of ABY3's, whose plans are long, a sample is tried, unless ``TFE_KIT_MUTANTS=all``.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from party.agreement.job import Job
from party.audit import audit
from party.plan.graph import Share
from party.process.errors import JobError
from tests.audit.conftest import PROTOCOLS, ROWS, TALLY, counts, in_the_docs, job, plan_of
from tests.audit.judge import Judge
from tests.audit.mutants import KINDS, Mutant, Mutator

MANY = 150


@cache
def mutants(protocol: str, kind: str) -> list[Mutant]:
    plan = plan_of(job(protocol))
    return [
        mutant for program in plan.programs for mutant in Mutator(plan, program.name).of_kind(kind)
    ]


@cache
def judge(protocol: str, program: str) -> Judge:
    return Judge(plan_of(job(protocol)), program)


def try_all(agreed: Job, tried: list[Mutant]) -> Counter[str]:
    """How many are refused and how many harmless; fails at the first that is neither, or that has
    the original's digest, by which parties that meet would not tell it apart."""
    tally: Counter[str] = Counter()
    original = plan_of(agreed).digest
    for mutant in tried:
        assert mutant.plan.digest != original, mutant.what
        if _is_refused(mutant, agreed):
            tally["refused"] += 1
            continue
        harmless = judge(agreed.protocol, mutant.program).harmless(mutant.plan)
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
