"""The plan of a descent that goes on with a sample's gradients passes, and tells nothing more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from party.agreement.job import PARTIES, Job
from party.audit import audit
from party.audit.audit import alike
from party.plan.cut import cut
from tests.audit.conftest import plan_of, sampled_job, small_samples
from tests.audit.witness import Witness

SAMPLED = ["mark", "anchor", *(f"inner.{i}" for i in range(1, 4))]
ASKED = ["reach", "judge"]

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


@pytest.fixture(params=["pond", "aby3"])
def sampled(request: pytest.FixtureRequest) -> Iterator[Job]:
    """A job of a few rows, of which a third are the sample."""
    with small_samples():
        yield sampled_job(request.param)


def test_it_passes_and_reveals_what_a_descent_reveals(sampled: Job) -> None:
    report = audit(plan_of(sampled), sampled)
    assert set(SAMPLED) < {program.name for program in report.programs}
    assert not any(view.leaks for program in report.programs for view in program.views)
    on_the_way = [(each.what, each.to) for each in report.revealed if each.program != "open"]
    told = [(what, party) for what in ("settled", "inside") for party in PARTIES]
    assert on_the_way == told


def test_a_correction_costs_no_message_of_its_own(sampled: Job) -> None:
    """Setting the sample's gradient apart is local, and an anchor's step is as long as any."""
    plan = plan_of(sampled)
    assert cut(plan.by_name["mark"]).messages == ()
    server = [m for name in SAMPLED for m in cut(plan.by_name[name]).messages if m.receiver == 2]
    assert server == [], "it is sent nothing"


def test_all_secrets_can_be_exchanged_under_each_view_of_it(sampled: Job) -> None:
    plan = plan_of(sampled)
    for name in (*SAMPLED, *ASKED):
        witness = Witness(plan.by_name[name], alike(plan, plan.by_name[name]))
        for part in witness.parts:
            witness.exchange(part)
