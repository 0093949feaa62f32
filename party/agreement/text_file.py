"""A text file that a person wrote: its size and its encoding are checked before anything else."""

from __future__ import annotations

from pathlib import Path

from party.process.errors import InputError
from party.process.files import unreadable

MOST_BYTES = 1024 * 1024
"""The largest job, values file or hosts map: as much as one object of Kubernetes holds."""

_MARK = b"\xef\xbb\xbf"
_OTHERS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_text(path: Path, of: str) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Args:
        path: the file.
        of: what it is, for errors: "the job".

    Raises:
        InputError: it cannot be read, is longer than ``MOST_BYTES``, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise unreadable(error, of, path) from None
    check_size(len(content), of, str(path))
    for mark, name in _OTHERS.items():
        if content.startswith(mark):
            what = f"cannot read {of}: the text is {name}, not UTF-8"
            raise InputError(what, str(path), "save it as UTF-8")
    try:
        return content.removeprefix(_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.removeprefix(_MARK).count(b"\n", 0, error.start) + 1
        what = f"cannot read {of}: the text is not UTF-8"
        raise InputError(what, f"{path}, line {line}", "save it as UTF-8") from None


def check_size(size: int, of: str, where: str) -> None:
    """Raises InputError for a text of more than ``MOST_BYTES``."""
    if size > MOST_BYTES:
        what = f"cannot read {of}: there is more than {MOST_BYTES} bytes"
        raise InputError(what, where, "is it the right file? take out what does not belong there")
