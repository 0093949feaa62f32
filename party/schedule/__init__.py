"""The schedule: a party's part of the plan, lowered to instructions, verified and cached."""

from party.schedule.listing import listing
from party.schedule.schedule import Place, Schedule, arena, schedule
from party.schedule.verify import verify

__all__ = ["Place", "Schedule", "arena", "listing", "schedule", "verify"]
