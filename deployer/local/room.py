"""The private directory of a run on one machine, which holds its keys and does not outlive it.

Each is held by a lock on the directory itself, which the kernel releases when its process ends in
whatever way. Who starts a run removes those of this user that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from party.process.errors import InputError, JobError
from party.process.exit import undisturbed

_PREFIX = "tfe-kit-run-"


@contextlib.contextmanager
def private_room() -> Iterator[Path]:
    """A directory of this process alone, gone after the block; before it, stale ones go.

    Raises:
        InputError: there is no place for it.
        JobError: it cannot be removed.
    """
    _sweep()
    path, lock = _make()
    try:
        yield path
    finally:
        with undisturbed():
            _remove(path)
            os.close(lock)


def _make() -> tuple[Path, int]:
    while True:
        try:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        except OSError as error:
            what = f"cannot make a directory for the keys of this run: {error.strerror}"
            hint = "set TMPDIR to a directory that you may write to"
            raise InputError(what, tempfile.gettempdir(), hint) from None
        lock = _lock(path)
        if lock is not None:
            return path, lock
        # Another run's sweep came between, and has removed it or is about to.


def _sweep() -> None:
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if path.lstat().st_uid == os.geteuid() and (lock := _lock(path)) is not None:
                    try:
                        shutil.rmtree(path)
                    finally:
                        os.close(lock)


def _lock(path: Path) -> int | None:
    """Hold a directory; None where another does, or where it is not there any more."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been removed by who held it before.
        if os.path.samestat(os.fstat(lock), path.lstat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        what = f"the keys of this run cannot be removed: {error.strerror}"
        raise JobError(what, str(path), "remove the directory") from None
