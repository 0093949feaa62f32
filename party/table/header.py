"""A table's first row: is it a header, and where are the job's columns?

A header is a row with all of the job's names in it, or one in which no cell is a number. It gives
the columns their places: their order does not matter, and further columns are not the job's. What
stands in a first row may be data all the same, so that messages show the job's names alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from party.process.errors import InputError
from party.table.cells import DECIMAL_COMMA, cells_of, is_number, separator
from party.table.expected import Expected
from party.table.findings import Finding
from party.table.text import Block

_FIRST = (1,)
_ALL = "the table needs every column that the job names; without names it begins with numbers"


@dataclass(frozen=True)
class Layout:
    """Where the job's columns stand.

    Attributes:
        width: cells of each row.
        positions: of each of the job's columns in a row, from 0; None for one that is missing.
        header: its bytes, with the line's end; empty where there is none.
        findings: what is wrong with the first row itself.
        key: the positions of the columns that identify a row.
    """

    width: int
    positions: tuple[int | None, ...]
    header: bytes = b""
    findings: tuple[Finding, ...] = ()
    key: tuple[int, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the rows are just the job's columns in the job's order."""
        return self.positions == tuple(range(self.width))

    @property
    def whole(self) -> tuple[int, ...]:
        """The positions, where none is missing."""
        return tuple(position for position in self.positions if position is not None)

    @property
    def ignored(self) -> tuple[int, ...]:
        """The positions, from 1, of columns that the job does not name."""
        known = {*self.positions, *self.key}
        return tuple(i + 1 for i in range(self.width) if i not in known)


def layout_of(block: Block, expected: Expected) -> Layout:
    """The layout of a table that begins with these lines."""
    names = expected.columns
    end = block.text.find(b"\n") + 1 or len(block.text)
    header = block.text[:end]
    without = Layout(len(names), tuple(range(len(names))))
    try:
        cells = [cell.strip(" \t") for cell in cells_of(header)]
    except InputError:
        return without  # a row then, and as one it is refused
    if not set(names) <= set(cells):
        numbers = [is_number(cell) or DECIMAL_COMMA.fullmatch(cell) for cell in cells]
        if any(numbers) or not any(cells):
            return _counted(cells, without)
        if separator(header) is not None:
            return without
    return _named(cells, header, expected)


def _named(cells: list[str], header: bytes, expected: Expected) -> Layout:
    findings: list[Finding] = []
    positions: list[int | None] = []
    for name in expected.columns:
        count = cells.count(name)
        positions.append(cells.index(name) if count else None)
        if not count:
            near = get_close_matches(name, [cell[:128] for cell in cells], n=1, cutoff=0.7)
            hint = _ALL
            if near and near[0] not in expected.columns:
                at = [cell[:128] for cell in cells].index(near[0]) + 1
                hint = f"is column {at} meant? then rename it to {name!r}"
            what = f"the header does not have {name!r}"
            findings.append(Finding("missing-column", what, hint, name, lines=_FIRST, count=1))
        if count > 1:
            what = f"the header has {name!r} more than once"
            hint = "keep one of these columns, or rename the others"
            where = cells.index(name, cells.index(name) + 1) + 1
            findings.append(Finding("repeated-column", what, hint, name, where, 1, _FIRST))
    key = tuple(cells.index(name) for name in expected.key if name in cells)
    return Layout(len(cells), tuple(positions), header, tuple(findings), key)


def _counted(cells: list[str], without: Layout) -> Layout:
    """A first row of 0, 1, 2, …: what pandas writes as the header of columns without names."""
    cells = cells[not cells[0] :]  # an index has no name
    count = len(cells)
    from_0 = count >= 2 and cells == [str(i) for i in range(count)]
    from_1 = count >= 4 and cells == [str(i) for i in range(1, count + 1)]
    if not (from_0 or from_1):
        return without
    numbers = ", ".join(cells[:3]) + (", …" if count > 3 else "")
    what = f"the first row is {numbers}: a header of numbers, as pandas writes it?"
    hint = (
        "write the table with the job's names, or without a header "
        "(pandas: to_csv(…, header=False, index=False)); "
        "if it is a row of the table, put a row with the job's names before it"
    )
    finding = Finding("numeric-header", what, hint, count=1, lines=_FIRST)
    return Layout(without.width, without.positions, findings=(finding,))
