"""Takes a table in parts from a stream onto a volume: whole and checked, or not at all.

``deployer data copy`` runs this in a pod that has the volume, and speaks with it through the stream
of ``kubectl exec``, on which neither side can say that it has ended: each length is told before.
Headers and answers are lines of JSON::

    receiver  {"whole": false, "there": {"part-000": "<sha256>"}}
    sender    {"part": "part-001", "size": 921600, "sha256": "…"}  and so many bytes
    receiver  {"took": "part-001"}                                  when it is on the disk
    sender    {"manifest": 1312}  and so many bytes
    receiver  {"done": "<sha256 of the text>"}, or an error

A part that is there from a copy that was cut off is not sent again. All are read again from the
volume, and unpacked, before the table takes the place of the one before it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from party.process.errors import ErrorDocument, InputError, JobError, KitError
from party.process.exit import internal
from party.process.files import unwritable
from party.table.packing import unpacked
from party.table.parts import MANIFEST, MANIFEST_BYTES, PART_BYTES, Manifest, joined, read_manifest

_LINE_BYTES = 1000

Say = Callable[[dict[str, Any]], None]


def receive(place: Path, job: str, party: str, digest: str, source: BinaryIO, say: Say) -> None:
    """Takes one table.

    Args:
        place: the directory of parts that it becomes.
        job: the job's name.
        party: whose table it is.
        digest: SHA-256, in hex, of its text.
        source: what the sender says.
        say: tells the sender something.

    Raises:
        InputError: it cannot be written there, or something else is there.
        JobError: it was cut off, or is not what was announced. What was there is there.
    """
    coming = place.with_name(f".{place.name}-{digest[:16]}")
    try:
        place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with _alone(place):
            _check_room(place)
            if _is_whole(place, job, party, digest):
                say({"whole": True, "there": {}})
                return
            for left in place.parent.glob(f".{place.name}-*"):
                if left != coming:
                    shutil.rmtree(left)
            coming.mkdir(mode=0o750, exist_ok=True)
            say({"whole": False, "there": _there(coming)})
            _take_parts(coming, source, say)
            if not _is_whole(coming, job, party, digest):
                raise JobError("the table on the volume is not the one that was sent", str(place))
            _put(coming, place)
    except OSError as error:
        raise unwritable(error, "cannot write the table onto the volume", place) from None
    say({"done": digest})


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    number = os.open(place.with_name(f".{place.name}.lock"), os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        what = "another copy to this volume is at work"
        raise InputError(what, str(place), "wait for it, and start again") from None
    finally:
        os.close(number)


def _check_room(place: Path) -> None:
    """Nothing that is no table of ours is ever replaced."""
    if (
        place.exists()
        and not (place / MANIFEST).is_file()
        and (not place.is_dir() or any(place.iterdir()))
    ):
        hint = "name another place: tableVolume.path"
        raise InputError("something is there that is no table in parts", str(place), hint)


def _is_whole(directory: Path, job: str, party: str, digest: str) -> bool:
    """Whether a directory holds this table: each part, and the text that all of them make."""
    try:
        manifest = read_manifest(directory, job, party)
        text = hashlib.sha256()
        for block in unpacked(joined(directory, manifest), directory):
            text.update(block)
    except InputError:
        return False
    return digest == manifest.sha256 == text.hexdigest()


def _there(coming: Path) -> dict[str, str]:
    """The digests of the parts that an earlier copy brought; nothing else is left."""
    found = {}
    for path in coming.iterdir():
        if path.name.startswith("part-"):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            path.unlink()
    return found


def _take_parts(coming: Path, source: BinaryIO, say: Say) -> None:
    while True:
        header = _header(source)
        if "manifest" in header:
            text = _exactly(source, header["manifest"], MANIFEST_BYTES)
            named = {part.name for part in Manifest.from_json(text).parts}
            for path in coming.iterdir():
                if path.name not in named:
                    path.unlink()
            _write(coming / MANIFEST, text)
            return
        content = _exactly(source, header["size"], PART_BYTES)
        if hashlib.sha256(content).hexdigest() != header["sha256"]:
            raise JobError("a part was damaged on its way", hint="start again")
        _write(coming / Path(header["part"]).name, content)
        say({"took": header["part"]})


def _header(source: BinaryIO) -> dict[str, Any]:
    line = source.readline(_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise JobError("the copy was cut off", hint="start again: what is there is not sent again")
    header: dict[str, Any] = json.loads(line)
    return header


def _exactly(source: BinaryIO, size: int, most: int) -> bytes:
    content = source.read(min(size, most))
    if len(content) != size:
        raise JobError("the copy was cut off", hint="start again: what is there is not sent again")
    return content


def _write(path: Path, content: bytes) -> None:
    """A file, whole under its name and on the disk."""
    making = path.with_name(f"new-{path.name}")
    number = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(number, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(number)
    making.rename(path)


def _put(coming: Path, place: Path) -> None:
    """The new directory under the old one's name. A party that reads in between finds no table, or
    parts that are not its manifest's, and looks again."""
    _sync(coming)
    earlier = place.with_name(f".{place.name}-earlier")
    if place.exists():
        place.rename(earlier)
    coming.rename(place)
    _sync(place.parent)
    shutil.rmtree(earlier, ignore_errors=True)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def run(
    place: Path, job: str, party: str, digest: str, source: BinaryIO, say: Callable[[str], None]
) -> None:
    """``receive``, whose errors are told too; ``say`` takes lines."""
    try:
        receive(place, job, party, digest, source, lambda told: say(json.dumps(told)))
    except KitError as failure:
        say(ErrorDocument.of(failure).to_json())
    except Exception as error:
        say(ErrorDocument.of(internal(error)).to_json())


def main() -> None:
    """The place, the job's name, the party and the digest are the arguments."""
    place, job, party, digest = sys.argv[1:]
    run(Path(place), job, party, digest, sys.stdin.buffer, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
