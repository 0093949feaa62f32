"""A party's ledger: what it has opened, written down before its share of it leaves.

One JSON object a line, each with the hash of the line before it and its own. The file is replaced
as a whole, durably, for each entry: after a crash it has the entry, or nothing was opened.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from party.agreement.job import Party
from party.approval.approval import Hex, moment
from party.approval.envelope import canonical
from party.process import files
from party.process.errors import InputError
from party.process.schema import Strict

NAME = "ledger.jsonl"

_START = "0" * 64


class Entry(Strict):
    """One line.

    Attributes:
        number: from 1.
        previous: the hash of the line before; zeros in the first.
        event: ``opening``: from here on the result may be known to whom it goes; ``done``: the run
            ended well.
        plan: its digest; None in an opening before rows are matched.
        approvals: digests of the approvals that it is by; empty where the job asks for none.
        report: SHA-256 of the party's report, when it is done.
        hash: of all of this.
    """

    number: Annotated[int, Field(ge=1)]
    previous: Hex
    time: str
    event: Literal["opening", "done"]
    job: Hex
    plan: Hex | None
    run: Hex
    approvals: dict[Party, Hex]
    report: Hex | None = None
    hash: str = ""

    def hashed(self) -> str:
        """What ``hash`` must be."""
        return hashlib.sha256(canonical(self.model_dump(exclude={"hash"}))).hexdigest()

    def line(self) -> bytes:
        """The line, with its end."""
        return canonical(self.model_dump()) + b"\n"


class Ledger:
    """The ledger in a party's output directory, which the party holds locked."""

    def __init__(self, path: Path) -> None:
        """Raises InputError for a file that is damaged or was changed."""
        self.path = path
        try:
            self._text = path.read_bytes()
        except FileNotFoundError:
            self._text = b""
        except OSError as error:
            raise files.unreadable(error, "the ledger", path) from None
        self.entries = entries(self._text, str(path))

    @property
    def head(self) -> str:
        """The hash of the last entry; zeros where there is none."""
        return self.entries[-1].hash if self.entries else _START

    def openings(self, approval: str, beside: str | None = None) -> int:
        """How many results were opened by an approval of this digest, beside those of one run."""
        return sum(
            approval in one.approvals.values()
            for one in self.entries
            if one.event == "opening" and one.run != beside
        )

    def runs_opened(self, job: str, beside: str | None = None) -> int:
        """How many results of a job of this digest were opened, beside that of one run."""
        return len(
            {one.run for one in self.entries if one.event == "opening" and one.job == job}
            - {beside}
        )

    def opening(self, run: str) -> Entry | None:
        """The entry of the opening of a run's result; None where it was not opened."""
        found = (one for one in self.entries if one.event == "opening" and one.run == run)
        return next(found, None)

    def has_opened(self, run: str) -> bool:
        """Whether the result of a run was opened."""
        return self.opening(run) is not None

    def append(self, event: Literal["opening", "done"], **more: Any) -> Entry:
        """Write an entry; on return it is on the disk. Raises JobError where it cannot be."""
        entry = Entry(
            number=len(self.entries) + 1,
            previous=self.head,
            time=moment(datetime.now(UTC)),
            event=event,
            **more,
        )
        entry = entry.model_copy(update={"hash": entry.hashed()})
        text = self._text + entry.line()
        files.replace(self.path, text, called="the ledger")
        self._text = text
        self.entries.append(entry)
        return entry


def entries(text: bytes, where: str) -> list[Entry]:
    """The entries in a ledger's text. Raises InputError, with the line, for the first that does not
    follow from those before it."""
    found: list[Entry] = []
    previous = _START
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            entry = Entry.model_validate_json(line)
        except (ValidationError, ValueError):
            entry = None
        if (
            entry is None
            or entry.line() != line
            or (entry.number, entry.previous, entry.hash) != (number, previous, entry.hashed())
        ):
            raise InputError(
                "the ledger was changed or is damaged",
                f"{where}, line {number}",
                "find out who changed it; from a copy that is whole it goes on",
            )
        found.append(entry)
        previous = entry.hash
    return found
