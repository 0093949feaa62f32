"""A run that goes on opens what it has opened, once; whatever else it opens is another opening."""

from __future__ import annotations

from typing import Any

import pytest

from party.process.errors import InputError, JobError
from tests.approval.conftest import RUN, Approved
from tests.harness.joins import PLAN

OTHER = "6" * 64


def test_the_same_opening_of_the_same_run_is_no_other_one(approved: Approved) -> None:
    """The party was killed after it had written its opening down, and comes back with the point
    before it."""
    approved.permit().open(PLAN, RUN)
    again = approved.permit(resumes=RUN)
    again.check(PLAN)
    again.goes_on(RUN)
    assert again.ledger.has_opened(RUN)
    assert len(again.ledger.entries) == 1


def test_a_run_whose_points_are_lost_opens_no_more_than_was_approved(approved: Approved) -> None:
    approved.permit().open(PLAN, RUN)
    with pytest.raises(InputError, match="is used up"):
        approved.permit()
    with pytest.raises(InputError, match="is used up"):
        approved.permit(resumes=OTHER)


def test_going_back_to_before_the_opening_is_another_opening(approved: Approved) -> None:
    """Steps that are done again are rounded otherwise: what they come to is another model, if by a
    last bit."""
    approved.permit().open(PLAN, RUN)
    again = approved.permit(resumes=RUN)
    with pytest.raises(JobError, match="is used up") as refused:
        again.goes_on(None)
    assert refused.value.cause == "refused"
    with pytest.raises(JobError, match="nothing was opened"):
        again.open(PLAN, OTHER)


def test_two_approved_runs_are_two_however_often_they_go_on(approved: Approved) -> None:
    for party in ("alice", "bob", "server"):
        approved.approve(party, runs=2)
    approved.permit().open(PLAN, RUN)
    for _ in range(3):
        approved.permit(resumes=RUN).goes_on(RUN)
    approved.permit().open(PLAN, OTHER)
    approved.permit(resumes=OTHER).goes_on(OTHER)
    with pytest.raises(InputError, match="is used up"):
        approved.permit()


def test_who_has_its_result_needs_no_approvals_to_end_by_and_opens_nothing_without(
    approved: Approved,
) -> None:
    has_all: dict[str, Any] = {"resumes": RUN, "has_all": True, "approvals": None}
    with pytest.raises(InputError, match="none are given"):
        approved.permit("bob", **has_all)  # it has opened nothing
    first = approved.permit()
    first.open(PLAN, RUN)
    with pytest.raises(InputError, match="none are given"):
        approved.permit("bob", **has_all | {"has_all": False})
    again = approved.permit("bob", **has_all)
    again.check(PLAN)
    assert again.digests == first.digests, "its receipt names those that it has opened by"
    with pytest.raises(JobError, match="none are given") as refused:
        again.goes_on(RUN)
    assert refused.value.cause == "refused" and refused.value.hint
    with pytest.raises(JobError, match="nothing was opened: the job asks for the approvals"):
        again.open(PLAN, RUN)
