"""Who takes part in every job. It imports nothing, and every layer may read it."""

from __future__ import annotations

from typing import Literal

Party = Literal["alice", "bob", "server"]
PARTIES: tuple[Party, Party, Party] = ("alice", "bob", "server")
"""The seats, in the order of the hosts map's ``server0``, ``server1``, ``server2``: all of them
compute, in every job."""

Holder = Literal["alice", "bob"]
HOLDERS: tuple[Holder, Holder] = ("alice", "bob")
"""The parties that may hold columns, each at its index among the seats. A seat that is none of them
has no table."""


def other_of(holder: Holder) -> Holder:
    """The other holder."""
    return "bob" if holder == "alice" else "alice"
