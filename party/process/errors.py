"""The two ways in which a command ends badly; raised where known, shown once, at the edge.

An error says what is wrong, where (file, row, column, key) and what to do about it. It never
carries a value of anybody's data, nor a secret: its text ends up on screens and in logs.
"""

from __future__ import annotations

TIME_IS_UP = "the time limit has passed"
"""How a party says that its own limit ended the job, whomever it waited for just then."""


def printable(value: object, longest: int = 200) -> str:
    """Another's words as they may be shown: cut short, and without what would move a cursor."""
    return "".join(c if c.isprintable() else "?" for c in str(value)[:longest])


class KitError(Exception):
    """A failure that a user can act on. Use one of the two kinds below."""

    exit_code: int

    def __init__(self, what: str, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  do: {self.hint}")
        return "\n".join(lines)


class InputError(KitError):
    """Wrong input or usage; nothing was done and nothing was sent. Exit code 2."""

    exit_code = 2


class JobError(KitError):
    """The job was started and failed. Exit code 1."""

    exit_code = 1
