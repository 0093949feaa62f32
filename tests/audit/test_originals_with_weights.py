"""The plan of a descent whose classes are weighted passes, and tells nothing more."""

from __future__ import annotations

import pytest

from party.agreement.job import Descent, Job
from party.audit import audit
from party.audit.audit import alike
from party.plan.cut import cut
from tests.audit.conftest import ARRANGED, descent_job, plan_of
from tests.audit.witness import Witness

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


PUBLIC = Descent(passes=9, class_weight={"0": 0.5, "1": 3.0})
BALANCED = Descent(passes=9, class_weight="balanced")
"""The label's holder alone knows the weights: its label's column has them."""


@pytest.fixture(params=[("pond", PUBLIC), ("aby3", PUBLIC), ("aby3", BALANCED)])
def weighted(request: pytest.FixtureRequest) -> Job:
    protocol, training = request.param
    return descent_job(protocol, **ARRANGED["columns at both"] | {"training": training})


def test_it_passes_and_the_weights_are_shared_once(weighted: Job) -> None:
    plan = plan_of(weighted)
    report = audit(plan, weighted)
    assert not any(view.leaks for program in report.programs for view in program.views)
    assert {each.what for each in report.revealed} == {
        "settled",
        "inside",
        "weights.alice",
        "weights.bob",
    }
    written = {p.name for p in plan.programs for s in p.writes if s.share.value == "classes"}
    assert written == {"share"}
    (classes,) = (value for value in plan.state if value.name == "classes")
    assert classes.parts == ((0,), (), (1,)), "masked at alice, and the mask at the server"


def test_the_server_is_sent_nothing_for_them(weighted: Job) -> None:
    sent = cut(plan_of(weighted).by_name["gradient"]).messages
    assert not any(message.receiver == 2 for message in sent)


def test_all_secrets_can_be_exchanged_under_each_view_of_it(weighted: Job) -> None:
    plan = plan_of(weighted)
    for name in ("share", "gradient"):
        witness = Witness(plan.by_name[name], alike(plan, plan.by_name[name]))
        for part in witness.parts:
            witness.exchange(part)
