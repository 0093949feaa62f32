"""The text of a table, block by block, whatever it is packed in."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from party.process.errors import InputError
from party.process.files import unreadable
from party.table.expected import Expected
from party.table.packing import HEAD_BYTES, other_form
from party.table.parts import AGAIN, joined, read_manifest

BLOCK_BYTES = 1024 * 1024
"""Bytes that are read at a time, and the most that one line may have."""

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Some whole lines of the text, and the number of the first one, counted from 1."""

    line: int
    text: bytes


class Text:
    """One pass over a table's text. Memory does not grow with the table.

    Raises, while it is iterated, InputError for what cannot be opened, read or unpacked, and for a
    line that has no end.
    """

    def __init__(self, path: Path, expected: Expected) -> None:
        self._path = path
        self._expected = expected
        self._sha256 = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the text as far as it was read."""
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[Block]:
        stream, digest = self._open()
        with stream:
            line, rest = 1, b""
            for block in self._unpacked(stream):
                self._sha256.update(block)
                rest += block
                end = rest.rfind(b"\n") + 1
                if end:
                    yield Block(line, rest[:end])
                    line += rest.count(b"\n", 0, end)
                    rest = rest[end:]
                if len(rest) > BLOCK_BYTES:
                    place = self._expected.place(self._path, line)
                    hint = "end lines in LF or CRLF; is this a CSV file?"
                    raise InputError(f"the line has more than {BLOCK_BYTES} bytes", place, hint)
            if rest:
                yield Block(line, rest)
        if digest is not None and digest != self.digest:
            raise InputError("the parts are not those of one table", str(self._path), AGAIN)

    def _open(self) -> tuple[BinaryIO, str | None]:
        """The stream, still packed, and the digest of its text where a manifest says one."""
        path = self._path
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                manifest = read_manifest(path, self._expected.job, self._expected.party)
                return joined(path, manifest), manifest.sha256
            if stat.S_ISREG(mode):
                return path.open("rb"), None
        except OSError as error:
            raise unreadable(error, "the table", self._path) from None
        hint = "give a CSV file, gzip or plain, or a directory of parts"
        raise InputError("the table is neither a file nor a directory", str(path), hint)

    def _unpacked(self, stream: BinaryIO) -> Iterator[bytes]:
        buffered = cast(io.BufferedReader, stream)
        try:
            if buffered.peek(2).startswith(_GZIP):
                stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
            block = stream.read(BLOCK_BYTES)
            if other := other_form(block[:HEAD_BYTES]):
                name, hint = other
                raise InputError(f"the table is {name}, not CSV text", str(self._path), hint)
            while block:
                yield block
                block = stream.read(BLOCK_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            hint = "compress it again, or give the plain CSV"
            raise InputError("the gzip file is damaged or cut off", str(self._path), hint) from None
        except OSError as error:
            raise unreadable(error, "the table", self._path) from None


def without_mark(block: Block) -> Block:
    """The first block without a byte order mark."""
    return Block(block.line, block.text.removeprefix(_BYTE_ORDER_MARK))
