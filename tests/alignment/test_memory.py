"""Memory of an alignment: so many bytes a row, and no more."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import HOLDERS, AlignedJob, Holder, Party, Sizes
from party.alignment import join_as_holder
from party.models.registry import model_of
from tests.harness.alignments import RUN, OwnColumns, Ring, aligned_job, identifiers, play

CHILD = 100
"""Bytes a row of the process that reads identifiers, beside their text."""


def test_reading_identifiers_takes_so_much_a_row(tmp_path: Path) -> None:
    rows = (100_000, 400_000)  # both of many blocks
    small, large = (peak_of_child(tmp_path, count) for count in rows)
    text = len("customer-123456") + 4
    assert (large - small) / (rows[1] - rows[0]) < CHILD + text


def peak_of_child(folder: Path, rows: int) -> int:
    """Peak bytes of the child that reads as many identifiers."""
    path = folder / f"{rows}.csv"
    path.write_text("id,x\n" + "".join(f"customer-{i + 100_000},1\n" for i in range(rows)))
    script = f"""
        import resource
        from pathlib import Path
        from party.agreement.job import Job
        from party.alignment import load_identifiers
        job = Job.model_validate_json({aligned_job().model_dump_json()!r})
        assert len(load_identifiers(Path({str(path)!r}), job, "alice")) == {rows}
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    """
    code = textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return int(done.stdout) * 1024


def peak(of: Callable[[], object]) -> int:
    """Most bytes that Python and NumPy had at a time, beyond what they had before."""
    tracemalloc.start()
    try:
        of()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@dataclass
class Replayed:
    """Three parties' exchange, as a holder of a former run heard it."""

    messages: dict[Party, Iterator[bytes]]

    @classmethod
    def of(cls, seen: list[tuple[Party, bytes]]) -> Replayed:
        """What a party was sent."""
        senders = {sender for sender, _ in seen}
        return cls({one: iter([data for who, data in seen if who == one]) for one in senders})

    def send(self, to: Party, data: bytes) -> None:
        """It is lost."""

    def receive(self, sender: Party, size: int) -> bytes:
        """The next message."""
        data = next(self.messages[sender])
        assert len(data) == size
        return data


SOME = 12 << 20
"""Bytes for messages on their way, whatever the rows."""


@pytest.mark.parametrize("me", HOLDERS)
def test_a_holder_has_its_shares_once(me: Holder) -> None:
    """Beside them an alignment takes no more than places and orders do."""
    rows = 60_000
    widths: dict[Holder, int] = {"alice": 20, "bob": 24}
    names = [f"{i}" for i in range(rows)]
    columns: dict[Holder, Ring] = {h: np.ones((rows, widths[h]), np.int64) for h in HOLDERS}
    played = play(dict.fromkeys(HOLDERS, names), columns)
    exchange, own = Replayed.of(played.wire.seen[me]), OwnColumns(columns[me])
    del played
    given = identifiers(names)
    shares = 8 * rows * sum(widths.values())
    most = peak(lambda: join_as_holder(exchange, me, RUN, given, lambda a, b: own, widths, 1))
    assert shares < most < shares + 60 * rows + SOME


def test_joined_rows_are_twice_in_memory_at_most() -> None:
    rows = 60_000
    features = {"alice": tuple(f"a{i}" for i in range(19)), "bob": ("b0", "b1", "b2")}
    job = aligned_job(features=features, label={"bob": "y"})
    aligned = AlignedJob.of(job, Sizes(alice=rows, bob=rows, common=rows))
    draw = np.random.default_rng(1)
    own = model_of(job.parameters).to_align(
        aligned, "bob", draw.normal(size=(rows, 4)).astype(np.float32)
    )
    shares = [np.ones((rows, width), np.int64) for width in (20, 3, 1)]
    most = peak(lambda: own.table(aligned, shares))
    assert most < 1.2 * sum(one.nbytes for one in shares)
