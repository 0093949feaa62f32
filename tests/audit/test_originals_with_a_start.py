"""The plan of a descent from a former model, a holder's own or one that was kept on shares, passes,
and shows nobody what it begins from."""

from __future__ import annotations

import pytest

from party.agreement.job import Descent, Job
from party.audit import audit
from party.audit.audit import alike
from party.plan.cut import cut
from tests.audit.conftest import ARRANGED, descent_job, plan_of
from tests.audit.witness import Witness

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


KEPT = "0" * 64


@pytest.fixture(params=[(p, start) for p in ("pond", "aby3") for start in ("model", KEPT)])
def started(request: pytest.FixtureRequest) -> Job:
    protocol, start = request.param
    training = Descent(passes=9, start=start)
    return descent_job(protocol, **ARRANGED["columns at both"] | {"training": training})


def test_it_passes_and_reveals_nothing_more(started: Job) -> None:
    report = audit(plan_of(started), started)
    assert not any(view.leaks for program in report.programs for view in program.views)
    cold = started.model_copy(update={"training": Descent(passes=9)})
    assert report.revealed == audit(plan_of(cold), cold).revealed


def test_the_server_is_sent_nothing_for_it_and_in_pond_its_holder_a_mask(started: Job) -> None:
    cold = started.model_copy(update={"training": Descent(passes=9)})
    sent = [cut(plan_of(job).by_name["prepare"]).messages for job in (started, cold)]
    assert not any(message.receiver == 2 for message in sent[0])
    if started.protocol == "pond" and started.starts:
        between = [[m for m in some if m.sender != 2] for some in sent]
        new = between[0][len(between[1]) :]
        # Of the first point the other one has zeros: what it sends of them is their mask alone.
        points = [(1, 0, 8 * 3), (0, 1, 8 * 1)]
        assert {(m.sender, m.receiver, m.bytes) for m in between[0]} >= set(points)
        assert len(new) == len(points)


def test_all_starts_can_be_exchanged_under_each_view_of_it(started: Job) -> None:
    plan = plan_of(started)
    witness = Witness(plan.by_name["prepare"], alike(plan, plan.by_name["prepare"]))
    for part in witness.parts:
        witness.exchange(part)
