"""The plans as they are built pass, quickly, and what they show their parties says nothing."""

from __future__ import annotations

import time
from functools import cache

import pytest

from party.agreement.job import PARTIES, Job, Training
from party.audit import audit
from party.audit.audit import Report, alike
from party.plan import Plan
from party.plan.cut import cut
from party.plan.parameters import PlanParameters
from tests.audit.conftest import ARRANGED, PROTOCOLS, descent_job, job, plan_of
from tests.audit.witness import Witness
from tests.harness.plans import short_plan

pytestmark = pytest.mark.drawn

MOST_S = 10.0
"""Of the processor: a second or so on a machine of today."""

SIZES = [(1, 1, 0.5), (16, 128, 0.125), (100, 1024, 0.1)]


@pytest.mark.parametrize("features, batch, rate", SIZES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_plans_pass_within_seconds(
    protocol: str, features: int, batch: int, rate: float
) -> None:
    agreed = job(protocol, features, batch, rate)
    plan = plan_of(agreed)
    begin = time.process_time()
    report = audit(plan, agreed)
    assert time.process_time() - begin < MOST_S
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


OPENED = {
    "columns at alice": {("weights.alice", "alice")},
    "columns at bob": {("weights.bob", "bob")},
    "columns at both": {("weights.alice", "alice"), ("weights.bob", "bob")},
    "label at alice": {
        (value, to) for value in ("weights.alice", "weights.bob") for to in ("alice", "bob")
    },
    "for nobody": set(),
    "rows matched": {("weights.alice", "alice"), ("weights.bob", "bob")},
    "rows matched with a label": {("weights.alice", "alice")},
}
"""The model, and to whom, for each of ``ARRANGED``."""

UNSEEN = ("columns at both", "label at alice", "for nobody", "rows matched")
"""Where no receiver sees every column, so that all are told whether there is a model."""


def vouched(arranged: str) -> set[tuple[str, str]]:
    return {("inside", party) for party in PARTIES} if arranged in UNSEEN else set()


BATCHES = Training(epochs=1, batch_size=6, learning_rate=30 / 512)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
@pytest.mark.parametrize("arranged", ARRANGED)
def test_so_they_can_whoever_holds_what_and_tables_cross_in_share_alone(
    protocol: str, arranged: str
) -> None:
    agreed = descent_job(protocol, training=BATCHES, **ARRANGED[arranged])
    plan = plan_of(agreed)
    report = audit(plan, agreed)
    revealed = {(each.what, each.to) for each in report.revealed}
    assert revealed == OPENED[arranged] | vouched(arranged)
    for program in plan.programs:
        witness = Witness(program, alike(plan, program))
        for part in witness.parts:
            witness.exchange(part)
        received = [m for m in cut(program).messages if m.receiver == 2]
        assert not received or program.name == "vouch", "the server is sent none"
        left = {s.share.value for s in program.writes if s.share.value.startswith("table.")}
        tables = {v.name for v in plan.state if v.by_rows}
        assert left == (tables if program.name == "share" else set())


# -- a descent over all rows

RUN = ["share", "prepare", "gradient", "update.0", "update.1", "update.2", "update.3"]
RUN += ["compare", "ask", "finish", "open"]
"""The programs of nine passes."""


@pytest.fixture(params=ARRANGED)
def arranged(request: pytest.FixtureRequest) -> str:
    """Who has what."""
    name: str = request.param
    return name


@pytest.fixture(params=["pond", "aby3"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each that has a descent of its own: see ``test_securenn_descends_with_ponds_programs``."""
    name: str = request.param
    return name


def planned(protocol: str, arranged: str) -> Plan:
    """The whole plan of the first arrangement, and short ones of the others."""
    agreed = descent_job(protocol, **ARRANGED[arranged])
    first = arranged == next(iter(ARRANGED))
    return plan_of(agreed) if first else short_plan(PlanParameters.of(agreed))


@cache
def audited(protocol: str, arranged: str) -> Report:
    return audit(planned(protocol, arranged), descent_job(protocol, **ARRANGED[arranged]))


@pytest.mark.slow
@pytest.mark.parametrize("features, rows", [(1, 1), (20, 5000)])
def test_the_plans_of_a_descent_pass_within_seconds(
    protocol: str, features: int, rows: int
) -> None:
    agreed = descent_job(protocol, rows, features=tuple(f"x{i}" for i in range(features)))
    plan = plan_of(agreed)
    begin = time.process_time()
    report = audit(plan, agreed)
    assert time.process_time() - begin < MOST_S
    assert [program.name for program in report.programs] == RUN


@pytest.mark.slow
def test_a_descent_reveals_the_model_at_the_end_and_whether_it_settled_on_the_way(
    protocol: str, arranged: str
) -> None:
    revealed = audited(protocol, arranged).revealed
    at_the_end = [(each.what, each.to) for each in revealed if each.program == "open"]
    on_the_way = [(each.what, each.to) for each in revealed if each.program == "ask"]
    after = [(each.what, each.to) for each in revealed if each.program == "vouch"]
    assert len(at_the_end) + len(on_the_way) + len(after) == len(revealed)
    assert len(after) == len(set(after)) and set(after) == vouched(arranged)
    assert len(set(at_the_end)) == len(at_the_end)
    assert set(at_the_end) == OPENED[arranged]
    assert on_the_way == [("settled", party) for party in PARTIES]


@pytest.mark.slow
def test_a_descent_without_a_tolerance_reveals_the_model_alone(protocol: str) -> None:
    agreed = descent_job(protocol, tolerance=0)
    report = audit(plan_of(agreed), agreed)
    (revealed,) = report.revealed
    assert (revealed.what, revealed.to, revealed.program) == ("weights.alice", "alice", "open")
    assert not {"compare", "ask"} & {program.name for program in report.programs}


@pytest.mark.slow
def test_every_message_of_a_descent_is_accounted_for(protocol: str, arranged: str) -> None:
    for program in audited(protocol, arranged).programs:
        for view in program.views:
            assert not view.leaks
            assert view.messages == view.keys + view.hidden + view.transferred + view.known


@pytest.mark.slow
def test_the_server_of_a_descent_receives_its_part_of_the_answer_and_nothing_else(
    protocol: str, arranged: str
) -> None:
    """Not in ABY3 either; what it deals, it deals unasked."""
    plan = planned(protocol, arranged)
    received = [
        (program.name, program.by_name[message.tensor].shape)
        for program in plan.programs
        for message in cut(program).messages
        if message.receiver == 2
    ]
    last = [("vouch", (1, 1))] if arranged in UNSEEN else []
    assert received == [("ask", (1, 1)), *last]
    assert all(p.views[2].messages == 0 for p in audited(protocol, arranged).programs)


@pytest.mark.slow
def test_of_a_table_the_other_holder_keeps_what_is_masked_and_the_server_the_mask(
    protocol: str, arranged: str
) -> None:
    """It crosses in the program that shares it, once, and in no other."""
    plan = planned(protocol, arranged)
    tables = {v.name: v.parts for v in plan.state if v.name.split(".")[0] in ("table", "home")}
    assert tables
    for name, parts in tables.items():
        assert parts == (((), (0,), (1,)) if name.endswith("alice") else ((0,), (), (1,)))
        left = [p.name for p in plan.programs for s in p.writes if s.share.value == name]
        assert left == 2 * ["share" if name.startswith("table") else "prepare"]


@pytest.mark.slow
def test_all_secrets_can_be_exchanged_under_each_view_of_a_descent(
    protocol: str, arranged: str
) -> None:
    plan = planned(protocol, arranged)
    for program in plan.programs:
        witness = Witness(program, alike(plan, program))
        for part in witness.parts:
            witness.exchange(part)


@pytest.mark.slow
def test_securenn_descends_with_ponds_programs(arranged: str) -> None:
    """So that what is tried on the one is tried on the other."""
    pond, securenn = (
        [program.canonical() for program in planned(p, arranged).programs]
        for p in ("pond", "securenn")
    )
    assert pond == securenn
