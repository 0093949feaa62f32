"""The plans as they are built pass, quickly, and what they show their parties says nothing."""

from __future__ import annotations

import time

import pytest

from party.agreement.job import Job
from party.audit import audit
from party.audit.audit import alike
from party.plan import Plan
from tests.audit.conftest import PROTOCOLS, job, plan_of
from tests.audit.witness import Witness

SIZES = [(1, 1, 0.5), (16, 128, 0.125), (100, 1024, 0.1)]


@pytest.mark.parametrize("features, batch, rate", SIZES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_plans_pass_within_a_second(
    protocol: str, features: int, batch: int, rate: float
) -> None:
    agreed = job(protocol, features, batch, rate)
    plan = plan_of(agreed)
    begin = time.process_time()
    report = audit(plan, agreed)
    assert time.process_time() - begin < 1
    assert not any(view.leaks for program in report.programs for view in program.views)


def test_only_the_model_is_revealed_and_only_to_alice(plan: Plan, agreed: Job) -> None:
    (revealed,) = audit(plan, agreed).revealed
    assert (revealed.what, revealed.to, revealed.sent_by) == ("weights.alice", "alice", ("bob",))


def test_every_message_is_accounted_for(plan: Plan, agreed: Job) -> None:
    for program in audit(plan, agreed).programs:
        for view in program.views:
            assert view.messages == view.keys + view.hidden + view.transferred + view.known


def test_the_third_server_of_pond_receives_nothing() -> None:
    agreed = job("pond")
    for program in audit(plan_of(agreed), agreed).programs:
        assert program.views[2].messages == 0


@pytest.mark.parametrize("name", ["share", "step", "open"])
def test_all_secrets_can_be_exchanged_under_each_view(plan: Plan, name: str) -> None:
    program = plan.by_name[name]
    witness = Witness(program, alike(plan, program))
    for part in witness.parts:
        witness.exchange(part)
