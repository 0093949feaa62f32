"""A party's part in the alignment of the tables, from its own table to what its programs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from party.agreement.job import HOLDERS, AlignedJob, Holder, Job, Sizes
from party.agreement.parties import other_of
from party.alignment import (
    Exchange,
    Ring,
    join_as_holder,
    join_as_left,
    join_as_right,
    join_as_server,
    join_left_as_server,
    same_order_as_holder,
    same_order_as_server,
)
from party.models.joint_scores.model import JointScores
from party.models.registry import model_of
from party.runtime import Assignment

if TYPE_CHECKING:
    from party.models.descent import OwnColumns
    from party.table import Table

Rows = npt.NDArray[np.float32] | Ring
"""What a party's programs read: numbers, or of aligned tables those of the ring."""


@dataclass(frozen=True, eq=False)
class AlignedTables:
    """What came of it: the job, with its rows, and what the party's programs read; None for the
    third server. ``order``: at who scores all its rows, which of these stands at each place."""

    job: AlignedJob
    table: Ring | None
    order: npt.NDArray[np.int64] | None = None


def align(assignment: Assignment, run: str, exchange: Exchange) -> AlignedTables:
    """Find the rows in common, and share them.

    Args:
        assignment: the party's.
        run: the name of the run.
        exchange: with both other parties.

    Raises:
        JobError: there are too few, or another party says what it may not.
        InputError: the own table does not fit.
    """
    job, party, status = assignment.job, assignment.party, assignment.status
    assert job.align is not None
    status.enter("aligning", "aligning the tables")
    if job.left is not None:
        return _joined_to(job.left, assignment, run, exchange)
    widths, least = _widths(job), job.align.minimum
    if party == "server":
        found = AlignedJob.of(job, join_as_server(exchange, widths, least))
        status.aligned(found)
        return AlignedTables(found, None)

    table, identifiers = assignment.table, assignment.identifiers
    assert table is not None and identifiers is not None

    def own(alice: int, bob: int) -> OwnColumns:
        # How many rows are in common shapes nothing of what is sent.
        sizes = Sizes(alice=alice, bob=bob, common=min(alice, bob))
        aligned, model = AlignedJob.of(job, sizes), model_of(job.parameters)
        return model.to_align(aligned, party, table.matrix, table.start)

    joined = join_as_holder(exchange, party, run, identifiers, own, widths, least)
    found = AlignedJob.of(job, joined.sizes)
    status.aligned(found)
    return AlignedTables(found, joined.own.table(found, _side_by_side(found, joined.shares)))


def _joined_to(left: Holder, assignment: Assignment, run: str, exchange: Exchange) -> AlignedTables:
    """Join the other's columns to all rows of the left holder."""
    job, party, status = assignment.job, assignment.party, assignment.status
    assert job.align is not None and job.scores is not None
    right, least = other_of(left), job.align.minimum
    width = 1 if right == job.scores.holder else len(job.derived_of(right))
    if party == "server":
        found = AlignedJob.of(job, join_left_as_server(exchange, left, width, least))
        status.aligned(found)
        return AlignedTables(found, None)

    table, identifiers, model = assignment.table, assignment.identifiers, model_of(job.parameters)
    assert table is not None and table.ring is not None and identifiers is not None
    assert isinstance(model, JointScores)
    order = None
    if party == left:
        joined = join_as_left(exchange, party, run, identifiers, width, least)
        sizes, share, order = joined.sizes, joined.share, joined.order
    else:
        own = _RightColumns.of(model, job, party, table)
        sizes, share = join_as_right(exchange, party, run, identifiers, own, least)
    found = AlignedJob.of(job, sizes)
    status.aligned(found)
    return AlignedTables(found, model.joined_table(found, party, table.ring, share, order), order)


@dataclass(frozen=True, eq=False)
class _RightColumns:
    """The columns that are joined to the left's rows, and what stands for a row without them."""

    values: Ring
    absent: Ring

    @classmethod
    def of(cls, model: JointScores, job: Job, party: Holder, table: Table) -> _RightColumns:
        assert table.ring is not None and table.absent is not None
        return cls(model.joined_columns(job, party, table.ring), table.absent)

    def rows(self, which: npt.NDArray[np.int64]) -> Ring:
        return self.values[which]


def see_to_order(assignment: Assignment, run: str, exchange: Exchange) -> None:
    """See that both tables have the same rows in the same order, as the job says.

    Raises:
        JobError: they have not, or another party says what it may not.
    """
    assignment.status.enter("aligning", "comparing the order of rows")
    if assignment.party == "server":
        same_order_as_server(exchange)
    else:
        assert assignment.identifiers is not None
        same_order_as_holder(exchange, assignment.party, run, assignment.identifiers)


def _widths(job: Job) -> dict[Holder, int]:
    """The columns that each holder has: its features, the ones, the label."""
    return {
        holder: len(job.derived_of(holder))
        + (holder == job.intercept_holder)
        + (job.label_of(holder) is not None)
        for holder in HOLDERS
    }


def _side_by_side(job: Job, shares: dict[Holder, Ring]) -> list[Ring]:
    """A share of all columns: the features and ones of both holders, and the label."""
    columns = [
        shares[holder][:, : shares[holder].shape[1] - (holder == job.label_holder)]
        for holder in HOLDERS
    ]
    return [*columns, shares[job.label_holder][:, -1:]]
