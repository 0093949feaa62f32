"""Files that others read while they are replaced: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from party.process.errors import Cause, InputError, JobError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk, or of a user's part of it, that is full."""

_READ_HINTS = {
    errno.ENOENT: "give the path of a file that is there",
    errno.ENOTDIR: "give the path of a file that is there",
    errno.EISDIR: "give a file, not a directory",
    errno.EACCES: "let this user read the file and enter its directory",
    errno.ENAMETOOLONG: "give a shorter path",
}
_WRITE_HINTS = {
    errno.ENOENT: "make the directory above it first",
    errno.EISDIR: "name a file, not a directory",
    errno.ENOTDIR: "name a place whose path leads through directories alone",
    errno.EACCES: "name a directory that this user may write to",
    errno.EPERM: "name a directory that this user may write to",
    errno.EROFS: "name a directory on a disk that can be written to",
    errno.ENAMETOOLONG: "give a shorter path",
} | dict.fromkeys(DISK_FULL, "free some space on the disk")


def unreadable(error: OSError, of: str, path: Path) -> InputError:
    """For a file that the system does not let us read; ``of`` is what it is: "the job"."""
    hint = _READ_HINTS.get(error.errno or 0, "see that the path leads to a file that can be read")
    return InputError(f"cannot read {of}: {error.strerror}", str(path), hint)


def unwritable(error: OSError, what: str, path: Path) -> InputError:
    """For a place that the system does not let us write to; ``what`` could not be done."""
    cause: Cause | None = "disk-full" if error.errno in DISK_FULL else None
    return InputError(f"{what}: {error.strerror}", str(path), writing_hint(error), cause)


def writing_hint(error: OSError) -> str:
    """What to do about a place that does not take what is written."""
    return _WRITE_HINTS.get(error.errno or 0, "name a place that can be written to")


def see_to_place(output: Path, called: str, *read: Path) -> None:
    """That a file which a user has named can be put there, before any work is done for it.

    Raises InputError where it would take the place of what it is made of, ``read``, or of what is
    no file; ``called`` is what it holds: "the scores".
    """
    what = f"cannot write {called}"
    try:
        mode = output.lstat().st_mode
    except FileNotFoundError as error:
        if not output.parent.is_dir():
            raise unwritable(error, what, output) from None
        return
    except OSError as error:
        raise unwritable(error, what, output) from None
    if stat.S_ISDIR(mode):
        raise unwritable(IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), what, output)
    if not stat.S_ISREG(mode):
        hint = "name a file, and not a device, a pipe or a link"
        raise InputError(f"{what}: it would take the place of what is no file", str(output), hint)
    if any(one.exists() and output.samefile(one) for one in read):
        hint = "name another file"
        raise InputError(f"{what}: it would replace what it is made of", str(output), hint)


def replace(
    path: Path,
    content: bytes | Iterable[bytes],
    mode: int = 0o600,
    called: str = "the file",
    where: str = "",
) -> None:
    """Put ``content``, whole or part by part, where whatever stood at ``path`` was, durably and in
    one moment: the file, and its name in the directory.

    Raises JobError when the disk refuses; ``called`` and ``where`` are for its text.
    """
    making = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        number = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(number, "wb") as stream:
            for part in (content,) if isinstance(content, bytes) else content:
                stream.write(part)
            stream.flush()
            os.fsync(number)
        making.replace(path)
        sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            making.unlink()
        what = f"cannot write {called}: {error.strerror}"
        cause: Cause | None = "disk-full" if error.errno in DISK_FULL else None
        raise JobError(what, where or str(path), writing_hint(error), cause) from None
    except BaseException:  # a signal
        with contextlib.suppress(OSError):
            making.unlink()
        raise


def sync(directory: Path) -> None:
    """Have the directory on the disk, with the names that are in it now, and no others."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def replace_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """``replace`` with a value as JSON, for people and machines."""
    replace(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(), mode)


@contextlib.contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Wait for, and hold, a lock between processes of this machine; the file is made if need be.

    Raises InputError where it cannot be.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(error, "cannot write there", path.parent) from None
    try:
        fcntl.flock(number, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def owned(directory: Path, who: str) -> Iterator[None]:
    """Hold a directory for output, made if need be; ``who`` holds it, if another does already.

    Nothing in it is touched before it is held. Raises InputError where it cannot be.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        what = f"cannot write into the output directory: {error.strerror}"
        hint = "name a directory of your own with --output"
        raise InputError(what, str(directory), hint) from None
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = f"another {who} is running with this output directory"
            hint = f"give each {who} an --output of its own"
            raise InputError(what, str(directory), hint) from None
        yield
    finally:
        os.close(number)
