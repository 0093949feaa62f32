"""Standard streams as a command needs them: always there, in any encoding, and never its end."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from pathlib import Path
from typing import TextIO

NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EBADF)
"""What a stream says whose reader has gone: a pipe, a terminal, a descriptor that was closed."""


def settle() -> None:
    """Call first in a command. A stream that was closed leads nowhere, and its number is taken, so
    that no file or socket gets it; a letter that an encoding lacks is written as an escape."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 it stays open
            setattr(sys, name, nowhere)
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def lead_nowhere(stream: TextIO) -> None:
    """From now on what is written to a stream is lost, and so is what it has not written yet."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def outlive() -> None:
    """From now on this process goes on whoever stops to read what it writes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            encoding, errors, by_line = stream.encoding, stream.errors, stream.line_buffering
            setattr(sys, name, _Outliving(stream.detach(), encoding, errors, None, by_line))


def takes_unicode(stream: TextIO) -> bool:
    """Whether a stream can be given any letter; else JSON must escape what is not ASCII."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


class _Outliving(io.TextIOWrapper):
    """A stream whose failures are its own: what cannot be written is lost."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if error.errno in NOBODY_READS:
            lead_nowhere(self)
