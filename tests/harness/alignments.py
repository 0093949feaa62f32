"""The three roles of an alignment in this process, and all that they say to each other."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import HOLDERS, PARTIES, AlignedJob, Holder, Job, Party, Sizes
from party.alignment import Identifiers, Joined, join_as_holder, join_as_server, protocol
from party.alignment.identifiers import canonical
from party.models.registry import model_of
from party.process.errors import JobError
from tests.harness.tasks import Task

RUN = "5" * 64
Ring = NDArray[np.int64]
Name = str | Sequence[str]


def aligned_job(**change: Any) -> Job:
    """A job with one feature at Alice and the label at Bob."""
    agreed = {"name": "small", "features": ("x",), "label": "y", "align": {"key": "id"}}
    return Job.model_validate(agreed | change)


def identifiers(names: Sequence[Name]) -> Identifiers:
    """Those of a table with a row for each name."""
    found = [canonical([one] if isinstance(one, str) else one) for one in names]
    assert None not in found
    text = b"".join(one for one in found if one is not None)
    ends = np.cumsum([len(one) for one in found if one is not None], dtype=np.int64)
    rows = np.arange(len(found), dtype=np.int64)
    return Identifiers(np.frombuffer(text, np.uint8), ends, rows, len(found))


@dataclass
class OwnColumns:
    """A holder's numbers of the ring."""

    values: Ring

    def rows(self, which: NDArray[np.int64]) -> Ring:
        return self.values[which]


@dataclass
class Wire:
    """Queues between the parties, and what each was sent.

    Attributes:
        seen: by receiver, each message with its sender.
        said: the same by sender, with the receiver.
    """

    seen: dict[Party, list[tuple[Party, bytes]]] = field(
        default_factory=lambda: {party: [] for party in PARTIES}
    )
    queues: dict[tuple[Party, Party], Queue[bytes | None]] = field(
        default_factory=lambda: {(a, b): Queue() for a in PARTIES for b in PARTIES if a != b}
    )

    def of(self, party: Party) -> End:
        return End(self, party)


@dataclass
class End:
    """A party's end of the wire."""

    wire: Wire
    party: Party

    def send(self, to: Party, data: bytes) -> None:
        self.wire.seen[to].append((self.party, bytes(data)))
        self.wire.queues[self.party, to].put(bytes(data))

    def receive(self, sender: Party, size: int) -> bytes:
        data = self.wire.queues[sender, self.party].get(timeout=60)
        if data is None:
            raise JobError(f"{sender} gave up")
        if len(data) != size:
            raise JobError(f"{sender} sent {len(data)} bytes, where {size} were due")
        return data

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """When this party fails, the others are told."""
        try:
            yield
        except BaseException:
            for other in PARTIES:
                if other != self.party:
                    self.wire.queues[self.party, other].put(None)
            raise


@dataclass
class Alignment:
    """What came of one: what each holder has, the server's sizes, errors, and all that was said."""

    joined: dict[Holder, Joined[OwnColumns]]
    sizes: Sizes | None
    failures: dict[Party, BaseException | None]
    wire: Wire

    def table(self, holder: Holder) -> Ring:
        """The common rows of a holder's columns: the sum of both shares."""
        return self.joined["alice"].shares[holder] + self.joined["bob"].shares[holder]


def play(
    names: Mapping[Holder, Sequence[Name]],
    columns: Mapping[Holder, Ring],
    minimum: int = 1,
    wire: Wire | None = None,
) -> Alignment:
    """Lets all three play their roles, each in a thread."""
    on = wire or Wire()
    widths: dict[Holder, int] = {holder: columns[holder].shape[1] for holder in HOLDERS}
    joined: dict[Holder, Joined[OwnColumns]] = {}
    sizes: list[Sizes] = []

    def holder_plays(holder: Holder) -> None:
        own = OwnColumns(columns[holder])
        end = on.of(holder)
        with end.told():
            joined[holder] = join_as_holder(
                end, holder, RUN, identifiers(names[holder]), lambda a, b: own, widths, minimum
            )

    def server_plays() -> None:
        end = on.of("server")
        with end.told():
            sizes.append(join_as_server(end, widths, minimum))

    tasks: dict[Party, Task] = {
        "alice": Task(lambda: holder_plays("alice")),
        "bob": Task(lambda: holder_plays("bob")),
        "server": Task(server_plays),
    }
    for task in tasks.values():
        task.ended()
    failures = {party: task.failure for party, task in tasks.items()}
    return Alignment(joined, sizes[0] if sizes else None, failures, on)


def order_seen_to(
    alice: Sequence[Name], bob: Sequence[Name], roles: ModuleType = protocol
) -> tuple[list[BaseException | None], Wire]:
    """What comes of it where tables should have the same rows in the same order."""
    wire = Wire()
    names: dict[Holder, Sequence[Name]] = {"alice": alice, "bob": bob}

    def holder_plays(holder: Holder) -> None:
        with wire.of(holder).told():
            roles.same_order_as_holder(wire.of(holder), holder, RUN, identifiers(names[holder]))

    def server_plays() -> None:
        with wire.of("server").told():
            roles.same_order_as_server(wire.of("server"))

    tasks = [Task(lambda: holder_plays("alice")), Task(lambda: holder_plays("bob"))]
    tasks.append(Task(server_plays))
    for task in tasks:
        task.ended()
    return [task.failure for task in tasks], wire


def write_table(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """A CSV file."""
    lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def aligned_tables(job: AlignedJob, draw: np.random.Generator) -> dict[int, Ring]:
    """What both holders' programs read after an alignment of made-up tables: shares that add up to
    the common rows."""
    return Aligned.of(
        job,
        {
            holder: draw.normal(size=(getattr(job.sizes, holder), len(job.features_of(holder))))
            for holder in HOLDERS
        },
        draw.integers(0, 2, getattr(job.sizes, job.label_holder)),
        draw,
    ).shares(draw)


@dataclass(frozen=True)
class Aligned:
    """The common rows of two tables.

    Attributes:
        rows: of each holder, its columns as numbers of the ring; a label is the last.
    """

    job: AlignedJob
    owned: dict[Holder, Any]
    rows: dict[Holder, Ring]

    @classmethod
    def of(
        cls,
        job: AlignedJob,
        features: Mapping[Holder, Any],
        label: Any,
        draw: np.random.Generator,
    ) -> Aligned:
        """Of whole tables, of which any rows are in common."""
        owned: dict[Holder, Any] = {}
        rows: dict[Holder, Ring] = {}
        for holder in HOLDERS:
            matrix = np.asarray(features[holder], np.float32)
            if holder == job.intercept_holder:
                matrix = np.column_stack([matrix, np.ones(len(matrix), np.float32)])
            if holder == job.label_holder:
                matrix = np.column_stack([matrix, label])
            owned[holder] = model_of(job.parameters).to_align(
                job, holder, matrix.astype(np.float32)
            )
            rows[holder] = owned[holder].rows(draw.permutation(len(matrix))[: job.rows])
        return cls(job, owned, rows)

    def shares(self, draw: np.random.Generator) -> dict[int, Ring]:
        """What both holders' programs read: fresh shares of the rows."""
        shares: dict[Holder, list[Ring]] = {holder: [] for holder in HOLDERS}
        labels: dict[Holder, Ring] = {}
        for holder, rows in self.rows.items():
            own = draw.integers(-(2**63), 2**63, rows.shape, np.int64)
            for who, share in (("alice", own), ("bob", rows - own)):
                cut = rows.shape[1] - (holder == self.job.label_holder)
                shares[who].append(share[:, :cut])  # type: ignore[index]
                if cut < rows.shape[1]:
                    labels[who] = share[:, cut:]  # type: ignore[index]
        return {
            index: self.owned[holder].table(self.job, [*shares[holder], labels[holder]])
            for index, holder in enumerate(HOLDERS)
        }


def without(module: ModuleType, changes: tuple[tuple[str, str], ...]) -> ModuleType:
    """A protocol with some of its text changed."""
    text = inspect.getsource(module)
    for old, new in changes:
        assert text.count(old) == 1, f"the protocol reads {old!r} no more"
        text = text.replace(old, new)
    mutant = ModuleType("mutant")
    with patch.dict("sys.modules", {"mutant": mutant}):
        exec(compile(text, "mutant", "exec"), mutant.__dict__)
    return mutant
