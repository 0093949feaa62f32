"""The text of a table, block by block, whatever it is packed in."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from party.process.errors import InputError
from party.process.files import unreadable
from party.table.expected import Expected
from party.table.packing import BLOCK_BYTES, unpacked
from party.table.parts import AGAIN, joined, read_manifest

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Some whole lines of the text, and the number of the first one, counted from 1."""

    line: int
    text: bytes


class Text:
    """One pass over a table's text; of another form, over the text that it would be. Memory does
    not grow with the table. Without a job, what is expected is None, and every column is taken.

    Raises, while it is iterated, InputError for what cannot be opened, read or unpacked, and for a
    line that has no end.
    """

    def __init__(self, path: Path, expected: Expected | None) -> None:
        self._path = path
        self._expected = expected
        self._sha256 = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the text as far as it was read."""
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[Block]:
        with ExitStack() as held:
            blocks, digest = self._open(held)
            line, rest = 1, b""
            for block in blocks:
                self._sha256.update(block)
                rest += block
                end = rest.rfind(b"\n") + 1
                if end:
                    yield Block(line, rest[:end])
                    line += rest.count(b"\n", 0, end)
                    rest = rest[end:]
                if len(rest) > BLOCK_BYTES:
                    place = f"{self._path}, line {line}"
                    hint = "end lines in LF or CRLF; is this a CSV file?"
                    raise InputError(f"the line has more than {BLOCK_BYTES} bytes", place, hint)
            if rest:
                yield Block(line, rest)
        if digest is not None and digest != self.digest:
            raise InputError("the parts are not those of one table", str(self._path), AGAIN)

    def _open(self, held: ExitStack) -> tuple[Iterator[bytes], str | None]:
        """The bytes of the text, and their digest where a manifest says one."""
        path = self._path
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode) and self._expected is not None:
                manifest = read_manifest(path, self._expected.job, self._expected.party)
                stream = held.enter_context(joined(path, manifest))
                return unpacked(stream, path), manifest.sha256
            if stat.S_ISREG(mode):
                if (other := self._other()) is not None:
                    return other, None
                return unpacked(held.enter_context(path.open("rb")), path), None
        except OSError as error:
            raise unreadable(error, "the table", self._path) from None
        hint = "give a file, CSV for instance, or a directory of parts"
        raise InputError("the table is neither a file nor a directory", str(path), hint)

    def _other(self) -> Iterator[bytes] | None:
        """The text of a table that is no plain CSV file."""
        from party.table.forms import other_text

        expected = self._expected
        if expected is None:
            return other_text(self._path, None, self._numbers)
        wanted = (*expected.key, *expected.columns)
        return other_text(self._path, wanted, self._numbers, expected.undated)

    def _numbers(self, line: bytes) -> list[bool]:
        """Which of a table's columns are of numbers, by its first line."""
        from party.table.header import Layout, layout_of

        width = line.count(b",") + 1
        if self._expected is None:
            return [True] * width
        layout: Layout = layout_of(Block(1, line), self._expected)
        found = [False] * layout.width
        for column, position in enumerate(layout.positions):
            if position is not None:
                found[position] = self._expected.is_number(column)
        return found


def without_mark(block: Block) -> Block:
    """The first block without a byte order mark."""
    return Block(block.line, block.text.removeprefix(_BYTE_ORDER_MARK))
