"""A table in parts: how it travels where one object holds no more than 1 MiB, as a Secret does.

The CSV text, as far as the job takes it (``party.table.taken``), is compressed (gzip) and cut into
parts ``part-000``, ``part-001``, … beside a ``manifest.json`` that says whose table it is and what
each part is::

    {"format": 1, "job": "fraud", "party": "alice", "sha256": "…",
     "parts": [{"name": "part-000", "size": 402653, "sha256": "…"}]}

The first ``sha256`` is the text's, and ``size``, in bytes, and ``sha256`` among the parts are those
of the part itself. The same text makes the same parts, as long as zlib stays the same.

A table is read from its parts only if every one is there and is the one that the manifest means.
A manifest is no signature: it tells damage and mix-ups, not who wrote to the directory.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from party.process.errors import InputError
from party.process.files import unreadable

PART_BYTES = 900 * 1024
"""Most bytes of a part: an object's 1 MiB, less room for the manifest, names and labels."""

MANIFEST = "manifest.json"
_FORMAT = 1
MANIFEST_BYTES = 64 * 1024 * 1024
"""Most bytes of a manifest: of some 450 GiB of parts."""

AGAIN = "put the whole table there again: deployer data put, or copy where it is on a volume"
"""What to do about parts that are not those of one table."""


@dataclass(frozen=True)
class Part:
    """One part as the manifest means it."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Whose table it is, and its parts in order."""

    job: str
    party: str
    sha256: str
    parts: tuple[Part, ...]

    def to_json(self) -> bytes:
        """The content of ``manifest.json``, the same bytes for the same manifest."""
        return json.dumps({"format": _FORMAT} | asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Raises ValueError for anything that ``to_json`` would not have said."""
        try:
            value = json.loads(text)
            parts = tuple(Part(**part) for part in value["parts"])
            manifest = cls(value["job"], value["party"], value["sha256"], parts)
            # Said again, it must be the same: there is no other key or format.
            same = json.loads(manifest.to_json()) == value
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError(type(error).__name__) from None
        whose = isinstance(manifest.job, str) and manifest.job.replace("-", "").isalnum()
        which = isinstance(manifest.sha256, str)
        named = [part.name for part in parts] == [_name(i) for i in range(len(parts))]
        sized = all(type(p.size) is int and 0 < p.size <= PART_BYTES for p in parts)
        if not (same and whose and which and named and sized and parts):
            raise ValueError("not the manifest of a table")
        return manifest


def _name(index: int) -> str:
    return f"part-{index:03d}"


class Packing:
    """Compresses the text of a CSV file and cuts it, one part at a time.

    The same text gives the same parts. The manifest is known when the last part has come.

    Args:
        text: the file's bytes, in blocks of any size.
        job: the job's name.
        party: whose table it is.
    """

    def __init__(self, text: Iterable[bytes], job: str, party: str) -> None:
        self._text, self._job, self._party = text, job, party
        self._digest = hashlib.sha256()
        self._parts: list[Part] = []

    def __iter__(self) -> Iterator[tuple[Part, bytes]]:
        gzip = zlib.compressobj(level=9, wbits=31)  # 31: gzip, its header without name and time
        rest = bytearray()
        for block in self._text:
            rest += gzip.compress(block)
            self._digest.update(block)
            while len(rest) >= PART_BYTES:
                yield self._cut(rest)
        rest += gzip.flush()
        while rest:
            yield self._cut(rest)

    def _cut(self, rest: bytearray) -> tuple[Part, bytes]:
        content = bytes(rest[:PART_BYTES])
        del rest[:PART_BYTES]
        digest = hashlib.sha256(content).hexdigest()
        self._parts.append(Part(_name(len(self._parts)), len(content), digest))
        return self._parts[-1], content

    @property
    def manifest(self) -> Manifest:
        """What the parts are that came so far."""
        return Manifest(self._job, self._party, self._digest.hexdigest(), tuple(self._parts))


def packed(text: Iterable[bytes], job: str, party: str) -> tuple[Manifest, list[bytes]]:
    """All parts of a table at once: the manifest, and the parts' contents in its order."""
    packing = Packing(text, job, party)
    contents = [content for _, content in packing]
    return packing.manifest, contents


def read_manifest(directory: Path, job: str, party: str) -> Manifest:
    """The manifest in a directory of parts; checks that just its parts lie beside it.

    Raises:
        InputError: there is no manifest or not such a one, it is another job's or party's, or a
            part is missing or too many.
    """
    path = directory / MANIFEST
    try:
        with path.open("rb") as file:
            text = file.read(MANIFEST_BYTES + 1)
        # Kubernetes mounts through links whose names begin with two dots.
        names = {entry.name for entry in directory.iterdir() if not entry.name.startswith("..")}
    except FileNotFoundError:
        hint = f"give a CSV file, or a directory with {MANIFEST} and its parts"
        raise InputError("the directory holds no table", str(path), hint) from None
    except OSError as error:
        raise unreadable(error, "the table", path) from None
    try:
        manifest = Manifest.from_json(text)
    except ValueError:
        raise InputError("the manifest of the table is damaged", str(path), AGAIN) from None
    if manifest.party != party:
        what = "the table is another party's"
        raise InputError(what, str(path), f"put {party}'s own table there")
    if manifest.job != job:
        what = f"the table is another job's: {manifest.job!r}, and this job is {job!r}"
        raise InputError(what, str(path), AGAIN)
    wanted = {part.name for part in manifest.parts}
    for name in sorted(wanted - names):
        raise InputError("a part of the table is missing", str(directory / name), AGAIN)
    for _ in sorted(names - wanted - {MANIFEST}):
        what = f"there is more in the directory than the {len(wanted)} parts of the table"
        raise InputError(what, str(directory), AGAIN)
    return manifest


def contents(directory: Path, manifest: Manifest) -> Iterator[bytes]:
    """The content of each part in order, one at a time, checked.

    Raises:
        InputError: a part cannot be read, or is not the one that the manifest means.
    """
    for part in manifest.parts:
        path = directory / part.name
        try:
            with path.open("rb") as file:
                content = file.read(part.size + 1)
        except OSError as error:
            raise unreadable(error, "the table", path) from None
        if len(content) != part.size or hashlib.sha256(content).hexdigest() != part.sha256:
            what = "a part of the table is damaged, or left over from an earlier table"
            raise InputError(what, str(path), AGAIN)
        yield content


def joined(directory: Path, manifest: Manifest) -> BinaryIO:
    """The compressed table as one stream that holds no more than a part at a time.

    Reading it raises InputError as ``contents`` does.
    """
    return io.BufferedReader(_Joined(contents(directory, manifest)))


class _Joined(io.RawIOBase):
    def __init__(self, contents: Iterator[bytes]) -> None:
        self._contents = contents
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(next(self._contents, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
