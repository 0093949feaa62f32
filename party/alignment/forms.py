"""The one form of a cell of an identifier: of a text, and of a day of the calendar."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from party.agreement.job import DateFormat

Form = Callable[[str], str]
"""From a cell to its form, which is empty where the cell is. Raises NotADateError."""

# A time of day is left out. With a zone beside it the day hangs on the zone, but at midnight.
_TIME = (
    r"(?:[T ] ?(?P<time>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?[AP]M)?)"
    r" ?(?P<zone>Z|[+-][0-9:]+)?)?"
)
_YEAR_FIRST = re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})" + _TIME, re.ASCII | re.I)
_SAID = {
    None: r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})",
    "dmy": r"(?P<d>\d{1,2})(?P<between>[./-])(?P<m>\d{1,2})(?P=between)(?P<y>\d{4})",
    "mdy": r"(?P<m>\d{1,2})(?P<between>[./-])(?P<d>\d{1,2})(?P=between)(?P<y>\d{4})",
}

LIKE_A_DATE = (
    r"^[ \t]*([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4})"
    r"([T ]|[ \t]*$)"
)
"""A date at the beginning of a text, as it is mostly written."""


class NotADateError(ValueError):
    """A cell that is no day of the calendar, in a form that is known."""


def as_text(cell: str) -> str:
    """A text without case, white space around it, and Unicode's compatibility forms (NFKC)."""
    if cell.isascii():
        return cell.lower().strip()
    # What case folding makes of a composed letter may be decomposed again.
    text = unicodedata.normalize("NFKC", cell)
    return unicodedata.normalize("NFKC", text.casefold()).strip()


def as_date(order: DateFormat | None) -> Form:
    """A day as ISO 8601 has it, 2026-01-31.

    Args:
        order: of day, month and year where the year does not come first; None: 31.1.2026.
    """
    return partial(_as_date, re.compile(_SAID[order] + _TIME, re.ASCII | re.I))


def _as_date(year_last: re.Pattern[str], cell: str) -> str:
    text = as_text(cell)
    if not text:
        return text
    found = _YEAR_FIRST.fullmatch(text) or year_last.fullmatch(text)
    if found is None or (found["zone"] and not _is_midnight(found["time"])):
        raise NotADateError
    try:
        return date(int(found["y"]), int(found["m"]), int(found["d"])).isoformat()
    except ValueError:
        raise NotADateError from None


def _is_midnight(time: str) -> bool:
    return not time.strip("0:.,")
