"""One line of the doctor's: what was checked, how it went, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from party.process.errors import KitError


class Outcome(StrEnum):
    """How a check went. Only ``wrong`` makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's.

    Attributes:
        about: a party, or a cluster.
        what: what was checked.
        outcome: how it went.
        says: what was found.
        do: what to do about it; empty where nothing is to be done.
    """

    about: str
    what: str
    outcome: Outcome
    says: str
    do: str = ""

    @classmethod
    def of_error(cls, about: str, what: str, error: KitError, do: str = "") -> Check:
        """Something that is wrong, as an error has it; ``do`` is in place of its own hint."""
        says = f"{error.what} ({error.where})" if error.where else error.what
        return cls(about, what, Outcome.WRONG, says, do or error.hint or "")

    @classmethod
    def unless(cls, wrong: str, about: str, what: str, do: str) -> Check:
        """Well, unless there is a sentence about what is wrong."""
        if wrong:
            return cls(about, what, Outcome.WRONG, wrong, do)
        return cls(about, what, Outcome.OK, "works")
