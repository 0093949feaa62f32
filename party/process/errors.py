"""The two ways in which a command ends badly; raised where known, shown once, at the exit.

An error says what is wrong, where (file, row, column, key) and what to do about it. It never
carries a value of anybody's data, nor a secret: its text ends up on screens and in logs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Cause = Literal[
    "own-input",
    "refused",
    "peer-unreachable",
    "peer-failed",
    "out-of-memory",
    "disk-full",
    "time-limit",
    "stopped",
    "wrong-model",
    "internal",
]
"""Why a party ended, for machines: what is wrong with its own files or options; the three do not
agree, or may not; a peer is gone and did not come back; a peer gave up for good; memory; disk; its
own time limit; a signal; what came out is no model; none of these."""

TIME_IS_UP = "the time limit has passed"
"""How a party says that its own limit ended the job, whomever it waited for just then."""


def printable(value: object, longest: int = 200) -> str:
    """Another's words as they may be shown: cut short, and without what would move a cursor."""
    return "".join(c if c.isprintable() else "?" for c in str(value)[:longest])


class KitError(Exception):
    """A failure that a user can act on. Use one of the two kinds below.

    What is wrong, and what to do, may be several lines each. ``cause``: for machines; without one
    it is that of its kind.
    """

    exit_code: int
    cause: Cause = "internal"

    def __init__(
        self,
        what: str,
        where: str | None = None,
        hint: str | None = None,
        cause: Cause | None = None,
    ) -> None:
        super().__init__(what)
        if cause is not None:
            self.cause = cause
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append("  do: " + self.hint.replace("\n", "\n      "))
        return "\n".join(lines)


class InputError(KitError):
    """Wrong input or usage; nothing was done and nothing was sent. Exit code 2."""

    exit_code = 2
    cause = "own-input"


class JobError(KitError):
    """The job was started and failed. Exit code 1."""

    exit_code = 1


AS_JSON = "TFE_KIT_ERRORS_AS_JSON"
"""In the environment of a process whose error another process reads: it is written to stderr as a
document, in a line of its own, in place of the text for people."""


@dataclass(frozen=True)
class ErrorDocument:
    """An error on its way from one process to another: the only form that it takes there."""

    what: str
    where: str | None
    hint: str | None
    exit_code: int
    cause: Cause | None = None

    @classmethod
    def of(cls, error: KitError) -> ErrorDocument:
        """The document of an error."""
        return cls(error.what, error.where, error.hint, error.exit_code, error.cause)

    def to_json(self) -> str:
        """One line."""
        return json.dumps({"error": asdict(self)})

    @classmethod
    def in_text(cls, text: str) -> ErrorDocument | None:
        """The last document among the lines of a text; None where there is none.

        What other libraries write to stderr may stand before and after it.
        """
        for line in reversed(text.splitlines()):
            try:
                told = json.loads(line)["error"]
                known = told.get("cause")
                cause = known if known in get_args(Cause) else None
                found = cls(told["what"], told["where"], told["hint"], told["exit_code"], cause)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue
            texts = (found.where, found.hint)
            if isinstance(found.what, str) and all(isinstance(one, str | None) for one in texts):
                return found
        return None

    def error(self, by: str | None = None) -> KitError:
        """The error, of the same kind; ``by`` names who had it, where that needs to be said."""
        kind = InputError if self.exit_code == InputError.exit_code else JobError
        what = self.what if by is None else f"{by}: {self.what}"
        return kind(what, self.where, self.hint, self.cause)
