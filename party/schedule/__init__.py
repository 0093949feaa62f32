"""The schedule: a party's part of the plan, lowered to instructions, verified and cached."""

from party.schedule.listing import listing
from party.schedule.schedule import (
    HEADER_BYTES,
    ROW_INSTRUCTIONS,
    Code,
    Held,
    Region,
    Schedule,
    arena,
    changed_by,
    opened_values,
    schedule,
    shares_of,
)
from party.schedule.verify import verify

__all__ = [
    "HEADER_BYTES",
    "ROW_INSTRUCTIONS",
    "Code",
    "Held",
    "Region",
    "Schedule",
    "arena",
    "changed_by",
    "listing",
    "opened_values",
    "schedule",
    "shares_of",
    "verify",
]
