"""Reads in a process of its own, so that the libraries' memory goes when all is read.

The child puts what is large into an anonymous file in memory that the parent opened, and says the
rest in one line of JSON on its standard output: what it found, or the error.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from party.process import children
from party.process.errors import ErrorDocument, JobError, KitError
from party.process.exit import internal
from party.process.hardening import harden_process
from party.table.findings import UnfitTableError


def ask(module: str, what: str, path: Path, memory: int | None, **question: Any) -> dict[str, Any]:
    """What a child finds.

    Args:
        module: what it runs, which calls ``answer``.
        what: it reads: "the table".
        path: the table.
        memory: the file in memory; None where nothing is kept.
        question: what else it must know, plain.

    Raises:
        InputError: as the child does.
        JobError: the child died, for want of memory perhaps.
    """
    asked = {"path": str(path), "memory": memory} | question
    done = subprocess.run(
        children.command(module),
        input=json.dumps(asked).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what a library says there may hold a value
        pass_fds=[] if memory is None else [memory],
        env=children.environment(OPENBLAS_NUM_THREADS="1"),
        check=False,
    )
    if done.returncode != 0:
        raise _ended(done.returncode, what, path)
    if told := ErrorDocument.in_text(done.stdout.decode(errors="replace")):
        raise told.error()
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise JobError(f"the process that reads {what} gave no answer", str(path)) from None
    if unfit := answer.get("unfit"):
        raise UnfitTableError.from_json(unfit)
    return answer


def answer(what: str, found: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The child's side: a question on standard input, an answer on standard output."""
    children.end_with_parent(signal.SIGKILL)
    harden_process()
    try:
        said = json.dumps(found(json.load(sys.stdin)))
    except UnfitTableError as failure:
        said = json.dumps({"unfit": failure.to_json()})
    except KitError as failure:
        said = ErrorDocument.of(failure).to_json()
    except Exception as error:
        own = internal(error, f"{what} cannot be read, by an internal error")
        said = ErrorDocument.of(own).to_json()
    print(said)


def _ended(code: int, what: str, path: Path) -> JobError:
    ending = f"with exit code {code}" if code > 0 else f"by {signal.Signals(-code).name}"
    # A cgroup without memory kills, and pages that cannot be had raise a bus error.
    short = code in (-signal.SIGKILL, -signal.SIGBUS)
    hint = "was memory short? give the party more" if short else None
    if code in (-signal.SIGABRT, -signal.SIGSEGV):
        hint = "is the file damaged? write it again"  # what a library cannot bear
    return JobError(f"the process that reads {what} was ended {ending}", str(path), hint)
