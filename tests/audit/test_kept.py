"""The plan of a job that opens a kept model is its opening, and the audit names that."""

from __future__ import annotations

import pytest

from party.agreement.job import Job
from party.audit import audit
from party.plan.cut import cut
from tests.audit.conftest import ARRANGED, descent_job, plan_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("protocol", "senders"), [("pond", {0, 1}), ("aby3", {0, 1})])
def test_only_shares_of_what_is_opened_cross(protocol: str, senders: set[int]) -> None:
    agreed = descent_job(protocol, **ARRANGED["columns at both"])
    opened = Job.model_validate(agreed.model_dump() | {"result": "own", "kept": "0" * 64})
    plan = plan_of(opened)
    report = audit(plan, opened)
    assert [program.name for program in plan.programs] == ["open"]
    assert {value.name for value in plan.state} == {"weights.alice", "weights.bob"}
    assert [(each.what, each.to) for each in report.revealed] == [
        ("weights.alice", "alice"),
        ("weights.bob", "bob"),
    ]
    messages = cut(plan.by_name["open"]).messages
    assert len(messages) == 2 and {m.receiver for m in messages} == {0, 1}
    assert {m.sender for m in messages} <= senders


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_a_training_that_keeps_its_model_opens_no_weights(protocol: str) -> None:
    agreed = descent_job(protocol, **ARRANGED["columns at both"])
    kept = Job.model_validate(agreed.model_dump() | {"result": "kept"})
    report = audit(plan_of(kept), kept)
    assert {each.what for each in report.revealed} <= {"settled", "inside"}
