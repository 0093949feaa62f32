"""A holder's identifiers: read from its table, in one form, and hashed with a key.

**The form.** An identifier is text, whatever it looks like: each cell in Unicode's compatibility
form (NFKC), with case folded and white space at both ends removed. Nothing else is changed: leading
zeros and signs count as they stand, and so do dates, unless the job says that a column is of dates:
then it is the day that counts (``forms``). The cells of several columns are one identifier
together, each told from the next by its length.

Rows without an identifier, or with one that another row has, are refused by their lines and never
by their values.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.alignment.forms import Form, as_text
from party.table.apart import answer, ask
from party.table.expected import Expected
from party.table.findings import Finding, UnfitTableError
from party.table.loading import load

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.table.table import Table

TAG_BYTES = 16
"""Of the hash that stands for an identifier: of 10 million in two tables, two that differ have the
same one with probability 2**-80."""

LENGTH_BYTES = 4
"""Of the length of a cell, before it."""

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, eq=False, repr=False)
class Identifiers:
    """The identifiers of a table's rows.

    Attributes:
        text: all of them, one behind the other, uint8.
        ends: where each ends.
        rows: whose they are: places in the table, from 0, rising.
        table_rows: rows of the table, those included that an earlier one stands for.
        like_dates: columns of the key in which only dates stand, while the job takes them for text.
    """

    text: NDArray[np.uint8]
    ends: NDArray[np.int64]
    rows: NDArray[np.int64]
    table_rows: int
    like_dates: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What of the key may keep rows apart that belong together."""
        return tuple(
            f"the key's column {name!r} has dates, which count as they are written: if the other's "
            f"may be written otherwise, agree on {{column: {name}, type: date}} in align.key"
            for name in self.like_dates
        )

    def __len__(self) -> int:
        return len(self.ends)

    def __repr__(self) -> str:
        return f"<Identifiers of {len(self)} rows>"

    def by_row(self) -> dict[int, bytes]:
        """The identifiers by the place of their row in the table."""
        text, begin, found = self.text.tobytes(), 0, {}
        for row, end in zip(self.rows.tolist(), self.ends.tolist(), strict=True):
            found[row], begin = text[begin:end], end
        return found

    def tags(self, key: bytes, which: NDArray[np.intp]) -> bytes:
        """The tags of some of them, one behind the other: HMAC-SHA256, cut to ``TAG_BYTES``."""
        text = self.text.data
        ends = self.ends[which].tolist()
        begins = np.where(which > 0, self.ends[which - 1], 0).tolist()
        digest = hmac.digest
        return b"".join(
            [
                digest(key, text[begin:end], "sha256")[:TAG_BYTES]
                for begin, end in zip(begins, ends, strict=True)
            ]
        )


def canonical(cells: Sequence[str], forms: Sequence[Form] | None = None) -> bytes | None:
    """The form of one identifier; None where a cell is empty.

    Args:
        cells: of its columns.
        forms: of each; texts unless told.

    Raises NotADateError.
    """
    found = []
    for cell, form in zip(cells, forms or [as_text] * len(cells), strict=True):
        text = form(cell)
        if not text:
            return None
        encoded = text.encode()
        found.append(len(encoded).to_bytes(LENGTH_BYTES, "little") + encoded)
    return b"".join(found)


def read_identifiers(path: Path, job: Job, party: Party) -> Identifiers:
    """Reads a table's identifiers, in this process. See ``load_identifiers`` for one of its own.

    Raises:
        UnfitTableError: with lines, and no value, for rows whose identifier is missing, repeated or
            no date where it should be one.
        InputError: the table cannot be read.
    """
    from party.alignment.reading import read  # here, since it brings the CSV library

    assert job.align is not None
    expected = replace(Expected.of(job, party), columns=job.align.of(party), label=None)
    return read(path, expected, job.align, party, job.left)


# -- in a process of its own, whose memory goes when they are read


def load_identifiers(path: Path, job: Job, party: Party) -> Identifiers:
    """As ``read_identifiers``, in a child process.

    Raises:
        JobError: the child died, for want of memory perhaps.
    """
    memory = os.memfd_create("identifiers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        asked = {"job": job.model_dump(mode="json"), "party": party}
        counts = ask("party.alignment", "the identifiers", path, memory, **asked)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
        mapped = mmap.mmap(memory, 0, prot=mmap.PROT_READ)
    finally:
        os.close(memory)
    count = counts["count"]
    numbers = np.frombuffer(mapped, np.int64, 2 * count)
    text = np.frombuffer(mapped, np.uint8, offset=numbers.nbytes)
    rows, like_dates = counts["table_rows"], tuple(counts["like_dates"])
    return Identifiers(text, numbers[:count], numbers[count:], rows, like_dates)


def load_for(path: Path, job: Job, party: Party) -> tuple[Table, Identifiers | None]:
    """A table as the job needs it, with identifiers where tables are aligned. Raises as ``load``
    and ``load_identified`` do."""
    if job.align is None:
        return load(path, job, party), None
    return load_identified(path, job, party)


def load_identified(path: Path, job: Job, party: Party) -> tuple[Table, Identifiers]:
    """A table that is to be aligned, of as many rows as it has, and its identifiers.

    Raises:
        UnfitTableError: with all that does not fit.
        InputError: the table cannot be read, or changes meanwhile.
    """
    findings: tuple[Finding, ...] = ()
    try:
        identifiers = load_identifiers(path, job, party)
        rows = identifiers.table_rows
    except UnfitTableError as error:
        findings, rows = error.findings, error.rows
        if not rows:
            raise
    try:
        own = job.model_copy(update={"rows": rows}) if job.matches else job
        table = load(path, own, party)
    except UnfitTableError as error:
        raise UnfitTableError([*findings, *error.findings], path) from None
    if findings:
        raise UnfitTableError(findings, path)
    return table, identifiers


def child() -> None:
    """The child's side."""
    answer("the identifiers", _answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    from party.agreement.job import Job

    job = Job.model_validate_json(json.dumps(question["job"]))
    found = read_identifiers(Path(question["path"]), job, question["party"])
    with os.fdopen(question["memory"], "wb", closefd=False) as memory:
        memory.write(found.ends.data)
        memory.write(found.rows.data)
        memory.write(found.text.data)
    counts = {"count": len(found), "table_rows": found.table_rows}
    return counts | {"like_dates": found.like_dates}
