"""A small job and the words to write tables for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from party.agreement.job import Job, Training
from party.process.errors import InputError
from party.table import Table, read_table

ROWS = ("1.5,2,-3e2", "0.25,4,7", "-8,1,0.5", "3,0,1")
LABELS = ("1", "0", "0", "1")


def small_job(rows: int = 4, columns: int = 3, protocol: str = "pond") -> Job:
    return Job.model_validate(
        {
            "name": "small",
            "protocol": protocol,
            "rows": rows,
            "features": tuple(f"f{i}" for i in range(1, columns + 1)),
            "label": "guilty",
            "training": Training(epochs=1, batch_size=min(4, rows), learning_rate=0.1),
        }
    )


@pytest.fixture
def job() -> Job:
    return small_job()


@pytest.fixture
def read(tmp_path: Path, job: Job) -> Callable[..., Table]:
    """Writes a text, or bytes, to a file and reads it as a table."""

    def read(text: str | bytes, party: str = "alice", job: Job = job) -> Table:
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_table(path, job, party)  # type: ignore[arg-type]

    return read


@pytest.fixture
def refused(read: Callable[..., Table], tmp_path: Path) -> Callable[..., InputError]:
    """Like ``read``, for a table that must be refused: gives the error, its path taken out."""

    def refused(text: str | bytes, party: str = "alice", **more: Job) -> InputError:
        with pytest.raises(InputError) as caught:
            read(text, party, **more)
        error = caught.value
        error.where = (error.where or "").replace(str(tmp_path / "table.csv"), "FILE")
        return error

    return refused
