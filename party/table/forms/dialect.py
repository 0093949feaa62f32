"""Another dialect of CSV -> the one that ``party.table`` describes, line by line."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from party.process.errors import InputError
from party.table.forms.arrow import joined
from party.table.packing import BLOCK_BYTES

_COMMA = r"^([ \t]*[+-]?[0-9]*),([0-9]+([eE][+-]?[0-9]+)?[ \t]*)$"
_POINT = r"^[ \t]*[+-]?[0-9]*\.[0-9.]*([eE][+-]?[0-9]+)?[ \t]*$"
_OF_COMMA, _OF_POINT = re.compile(_COMMA), re.compile(_POINT)


@dataclass(frozen=True)
class Dialect:
    """How a text is written.

    Attributes:
        separator: between cells, one character.
        decimal: before decimals: a point or a comma.
        encoding: of the text, as Python names it.
        gaps: what stands in a cell that is empty.
    """

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    gaps: tuple[str, ...] = ()

    def text(
        self,
        blocks: Iterable[bytes],
        numbers: Callable[[bytes], list[bool]],
        where: str,
    ) -> Iterator[bytes]:
        """The text in blocks of whole lines, each of which stays the line that it was.

        A decimal comma becomes a point in columns of numbers; what has a point there becomes no
        number, since it may be a separator of thousands.

        Args:
            blocks: its bytes.
            numbers: which columns are of numbers, by a table's first line as it comes out.
            where: the table, for errors.
        """
        columns: list[bool] | None = None
        for block in _lines(blocks, self.encoding, where):
            if columns is None:
                first = block.partition("\n")[0]
                columns = numbers(self._exactly(first, []))
            yield self._quickly(block, columns) or b"".join(
                self._exactly(line, columns) for line in _split(block)
            )

    def _quickly(self, block: str, columns: list[bool]) -> bytes | None:
        """Some lines, if they are simple enough."""
        text = block.encode()
        lines = len(_split(block))
        if '"' in block or "\r" in block.replace("\r\n", "") or "\0" in block:
            return None
        names = [str(i) for i in range(len(columns))]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(text),
                arrow_csv.ReadOptions(
                    use_threads=False, block_size=2 * len(text) + 1, column_names=names
                ),
                arrow_csv.ParseOptions(
                    delimiter=self.separator, quote_char=False, ignore_empty_lines=False
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[],
                    strings_can_be_null=False,
                ),
            )
        except (pa.ArrowException, OverflowError, ValueError, UnicodeError):
            return None
        if len(table) != lines or (len(names) == 1 and "\n\n" in f"\n{block}".replace("\r", "")):
            return None
        return joined(
            [
                self._cells(column.combine_chunks(), number)
                for column, number in zip(table.columns, columns, strict=True)
            ]
        )

    def _cells(self, cells: Any, number: bool) -> Any:
        if self.gaps:
            gap = pc.is_in(pc.utf8_trim(cells, " \t"), pa.array(self.gaps, pa.string()))
            cells = pc.if_else(gap, "", cells)
        if number and self.decimal == ",":
            if _is_simple(cells):
                return pc.replace_substring(cells, ",", ".")
            point = pc.match_substring_regex(cells, _POINT)
            cells = pc.if_else(point, pc.replace_substring(cells, ".", "'"), cells)
            cells = pc.replace_substring_regex(cells, _COMMA, r"\1.\2")
        return cells

    def _exactly(self, line: str, columns: list[bool]) -> bytes:
        """One line; as it stands there where it cannot be taken apart, to be refused as such."""
        line = line.removesuffix("\n").removesuffix("\r")
        if not line or "\r" in line or "\0" in line:
            return f"{line}\n".encode()
        try:
            cells = next(csv.reader([line], delimiter=self.separator, strict=True))
        except csv.Error:
            return f"{line}\n".encode()
        numbers = columns + [False] * (len(cells) - len(columns))
        texts = [self._cell(cell, number) for cell, number in zip(cells, numbers, strict=False)]
        return ((",".join(map(_quoted, texts)) or '""') + "\n").encode()

    def _cell(self, cell: str, number: bool) -> str:
        """What ``_cells`` makes of one."""
        if self.gaps and cell.strip(" \t") in self.gaps:
            return ""
        if number and self.decimal == ",":
            if _OF_POINT.fullmatch(cell):
                return cell.replace(".", "'")
            if found := _OF_COMMA.fullmatch(cell):
                return f"{found[1]}.{found[2]}"
        return cell


def _is_simple(cells: Any) -> bool:
    """Whether every comma is before decimals, if a cell is a number at all."""
    points = pc.any(pc.match_substring(cells, ".")).as_py()
    return not points and (pc.max(pc.count_substring(cells, ",")).as_py() or 0) <= 1


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if '"' in cell or "," in cell else cell


def _split(block: str) -> list[str]:
    return block.removesuffix("\n").split("\n")


def _lines(blocks: Iterable[bytes], encoding: str, where: str) -> Iterator[str]:
    """A text in blocks of whole lines."""
    decoder = codecs.getincrementaldecoder(encoding)()
    rest, lines, begun = "", 0, False
    for data in chain(blocks, (b"",)):
        try:
            rest += decoder.decode(data, not data)
        except UnicodeError:
            what = f"the text is not {encoding}"
            hint = "write the table's own encoding into its settings: utf-8, cp1252, latin-1"
            place = f"{where}, after line {lines + rest.count(chr(10))}"
            raise InputError(what, place, hint) from None
        if rest and not begun:
            rest, begun = rest.removeprefix("\ufeff"), True
        end = rest.rfind("\n") + 1 if data else len(rest)
        if end:
            lines += rest.count("\n", 0, end)
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) > BLOCK_BYTES:
            what = f"the line has more than {BLOCK_BYTES} bytes"
            hint = "end lines in LF or CRLF; is this a CSV file?"
            raise InputError(what, f"{where}, line {lines + 1}", hint)
