"""What every job and document is an instance of: values with types, which nothing changes later.

A schema is built when the first value of its class is made or read, and not when the class is
defined: a process uses few of them, and to build them all was a third of its start. Two threads may
be the first at once: pydantic builds under a lock, in the versions that the kit takes.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Values that do not change."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Strict(Frozen):
    """What a person or another party gives: nothing unknown, of another type or infinite is in
    it."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
