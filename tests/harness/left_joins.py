"""The three roles of a left join in this process, and all that they say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from party.agreement.job import AlignedJob, Holder, Job, Party, Sizes
from party.agreement.parties import other_of
from party.alignment import Identifiers, LeftJoined, left_join
from party.models.joint_scores.model import JointScores
from party.models.registry import model_of
from party.table import Table
from tests.harness.alignments import RUN, Name, OwnColumns, Ring, Wire, identifiers
from tests.harness.tasks import Task


@dataclass
class RightColumns(OwnColumns):
    """The right holder's numbers of the ring, and those of a row that it lacks."""

    absent: Ring


@dataclass
class LeftJoin:
    """What came of one: what each has in the end, errors, and all that was said."""

    left: LeftJoined | None
    right: tuple[Sizes, Ring] | None
    server: Sizes | None
    failures: dict[Party, BaseException | None]
    wire: Wire

    def table(self) -> Ring:
        """The right's columns for each row of the left's table, in that table's order."""
        assert self.left is not None and self.right is not None
        found = self.left.share + self.right[1]
        found[self.left.order] = found.copy()
        return found


def play(
    names: Mapping[Holder, Sequence[Name]],
    columns: Ring,
    absent: Ring,
    left: Holder = "alice",
    minimum: int = 1,
    wire: Wire | None = None,
    roles: ModuleType = left_join,
) -> LeftJoin:
    """Lets all three play their roles, each in a thread.

    Args:
        names: identifiers of the rows of both tables.
        columns: of the right's rows.
        absent: of a row that the right lacks.
        roles: another module than the product's.
    """
    on, right, width = wire or Wire(), other_of(left), columns.shape[1]
    found = LeftJoin(None, None, None, {}, on)

    def left_plays() -> None:
        with (end := on.of(left)).told():
            own = identifiers(names[left])
            found.left = roles.join_as_left(end, left, RUN, own, width, minimum)

    def right_plays() -> None:
        with (end := on.of(right)).told():
            own, numbers = identifiers(names[right]), RightColumns(columns, absent)
            found.right = roles.join_as_right(end, right, RUN, own, numbers, minimum)

    def server_plays() -> None:
        with (end := on.of("server")).told():
            found.server = roles.join_as_server(end, left, width, minimum)

    tasks: dict[Party, Task] = {
        left: Task(left_plays),
        right: Task(right_plays),
        "server": Task(server_plays),
    }
    for task in tasks.values():
        task.ended()
    found.failures = {party: task.failure for party, task in tasks.items()}
    return found


def joined(
    agreed: Job, read: Mapping[Holder, tuple[Table, Identifiers]]
) -> tuple[dict[Holder, Ring], Ring]:
    """What both holders' programs read after the join of a job that scores, and the left's order.

    Args:
        read: each holder's table, and whose its rows are.

    Raises what ended it.
    """
    assert agreed.left is not None and agreed.align is not None
    left, right, minimum = agreed.left, other_of(agreed.left), agreed.align.minimum
    model, wire = model_of(agreed.parameters), Wire()
    assert isinstance(model, JointScores)
    (table, own), (others, other_own) = read[left], read[right]
    ring, others_ring = table.ring, others.ring
    assert ring is not None and others_ring is not None and others.absent is not None
    columns = RightColumns(model.joined_columns(agreed, right, others_ring), others.absent)
    width, found, order = len(others.absent), {}, []

    def left_plays() -> None:
        with (end := wire.of(left)).told():
            got = left_join.join_as_left(end, left, RUN, own, width, minimum)
        sized = AlignedJob.of(agreed, got.sizes)
        found[left] = model.joined_table(sized, left, ring, got.share, got.order)
        order.append(got.order)

    def right_plays() -> None:
        with (end := wire.of(right)).told():
            sizes, share = left_join.join_as_right(end, right, RUN, other_own, columns, minimum)
        sized = AlignedJob.of(agreed, sizes)
        found[right] = model.joined_table(sized, right, others_ring, share, None)

    def server_plays() -> None:
        with (end := wire.of("server")).told():
            left_join.join_as_server(end, left, width, minimum)

    tasks = Task(left_plays), Task(right_plays), Task(server_plays)
    for task in tasks:
        task.ended()
    for task in tasks:
        task.well()
    return found, order[0]
