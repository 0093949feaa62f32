"""Reads a table in a process of its own, so that the CSV library's memory goes when it is read.

The child puts the matrix into an anonymous file in memory that the parent opened, and says the rest
in one line of JSON on its standard output: what it found, or the error. When it has ended, the
parent seals the file's size and maps it. The matrix is read-only; ``Table.room`` is for the model.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from party.process import children
from party.process.errors import ErrorDocument, JobError, KitError
from party.process.exit import internal
from party.process.hardening import harden_process
from party.table.expected import Expected
from party.table.findings import UnfitTableError
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
        found = _ask_child(path, expected, memory)
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


def _ask_child(path: Path, expected: Expected, memory: int) -> dict[str, Any]:
    question = {"path": str(path), "expected": expected.to_json(), "memory": memory}
    done = subprocess.run(
        children.command("party.table"),
        input=json.dumps(question).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what a library says there may hold a value
        pass_fds=[memory],
        env=children.environment(OPENBLAS_NUM_THREADS="1"),
        check=False,
    )
    if done.returncode != 0:
        raise _ended(done.returncode, path)
    if told := ErrorDocument.in_text(done.stdout.decode(errors="replace")):
        raise told.error()
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise JobError("the process that reads the table gave no answer", str(path)) from None
    if unfit := answer.get("unfit"):
        raise UnfitTableError.from_json(unfit)
    return answer


def _ended(code: int, path: Path) -> JobError:
    ending = f"with exit code {code}" if code > 0 else f"by {signal.Signals(-code).name}"
    # A cgroup without memory kills, and pages that cannot be had raise a bus error.
    short = code in (-signal.SIGKILL, -signal.SIGBUS)
    hint = "was memory short? give the party more" if short else None
    if code in (-signal.SIGABRT, -signal.SIGSEGV):
        hint = "is the file damaged? write it again"  # what a library cannot bear
    return JobError(f"the process that reads the table was ended {ending}", str(path), hint)


def child() -> None:
    """The child's side: a question on standard input, an answer on standard output."""
    children.end_with_parent(signal.SIGKILL)
    harden_process()
    try:
        answer = json.dumps(_answer(json.load(sys.stdin)))
    except UnfitTableError as failure:
        answer = json.dumps({"unfit": failure.to_json()})
    except KitError as failure:
        answer = ErrorDocument.of(failure).to_json()
    except Exception as error:
        own = internal(error, "the table was not read, by an internal error")
        answer = ErrorDocument.of(own).to_json()
    print(answer)


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
