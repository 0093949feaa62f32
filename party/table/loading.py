"""Reads a table in a process of its own; see ``party.table.apart``.

When the child has put the matrix into the file in memory and has ended, the parent seals the file's
size and maps it. The matrix is read-only; ``Table.room`` is for the model.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from party.table.apart import answer, ask
from party.table.expected import Expected
from party.table.table import Table

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.table.columns.deriving import Counts, Fitted

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def load(path: Path, job: Job, party: Party) -> Table:
    """As ``read_table``, in a child process; the matrix is in shared memory, with room behind it.

    Raises:
        InputError: as ``read_table``.
        JobError: the child died, for want of memory perhaps.
    """
    from party.models.registry import model_of  # here, since the child needs no pydantic

    expected = Expected.of(job, party)
    (rows, columns), most = expected.shape, model_of(job.parameters).rows_at_home(job)
    memory = os.memfd_create("table", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        found = ask("party.table", "the table", path, memory, expected=expected.to_json())
        os.ftruncate(memory, 4 * most * columns)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
        mapped = memoryview(mmap.mmap(memory, 0))
    finally:
        os.close(memory)
    room = np.frombuffer(mapped, np.float32).reshape(most, columns)
    matrix = np.frombuffer(mapped.toreadonly(), np.float32, rows * columns).reshape(rows, columns)
    mean, scale = (None if found[k] is None else np.array(found[k]) for k in ("mean", "scale"))
    fitted: tuple[Fitted, ...] = ()
    counts: tuple[Counts, ...] = ()
    if found["fitted"]:
        from party.table.columns.deriving import Counts, Fitted

        fitted = tuple(Fitted(**one) for one in found["fitted"])
        counts = tuple(Counts(**one) for one in found["counts"])
    ignored = tuple(found["ignored"])
    return Table(matrix, mean, scale, found["digest"], ignored, fitted, counts, room)


def child() -> None:
    """The child's side."""
    answer("the table", _answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    from party.table.reader import read

    expected = Expected.from_json(question["expected"])
    found = read(Path(question["path"]), expected, lambda: _matrix(question["memory"], expected))
    return {
        "mean": None if found.mean is None else found.mean.tolist(),
        "scale": None if found.scale is None else found.scale.tolist(),
        "digest": found.digest,
        "ignored": found.ignored,
        "fitted": [asdict(one) for one in found.fitted],
        "counts": [asdict(one) for one in found.counts],
    }


def _matrix(memory: int, expected: Expected) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows, columns = expected.shape
    os.ftruncate(memory, 4 * rows * columns)
    return np.frombuffer(mmap.mmap(memory, 0), np.float32).reshape(rows, columns)
