"""A party's part in the alignment of the tables, from its own table to what its programs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from party.agreement.job import HOLDERS, AlignedJob, Holder, Job, Sizes
from party.alignment import (
    Exchange,
    Ring,
    join_as_holder,
    join_as_server,
    same_order_as_holder,
    same_order_as_server,
)
from party.models.registry import model_of
from party.runtime import Assignment

if TYPE_CHECKING:
    from party.models.descent import OwnColumns

Rows = npt.NDArray[np.float32] | Ring
"""What a party's programs read: numbers, or of aligned tables those of the ring."""


@dataclass(frozen=True, eq=False)
class AlignedTables:
    """What came of it: the job, with the rows in common, and what the party's programs read; None
    for the third server."""

    job: AlignedJob
    table: Ring | None


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
    widths, least = _widths(job), job.align.minimum
    status.enter("aligning", "aligning the tables")
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
        holder: len(job.features_of(holder))
        + (holder == job.intercept_holder)
        + (job.label_of(holder) is not None)
        for holder in HOLDERS
    }


def _side_by_side(job: Job, shares: dict[Holder, Ring]) -> Ring:
    """A share of all columns: the features and ones of both holders, and the label."""
    columns = [
        shares[holder][:, : shares[holder].shape[1] - (holder == job.label_holder)]
        for holder in HOLDERS
    ]
    return np.concatenate([*columns, shares[job.label_holder][:, -1:]], axis=1)
