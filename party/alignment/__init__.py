"""Alignment on shares: rows that belong together are found by an identifier that both holders have,
and no party learns which rows these are.

``identifiers`` reads them and gives them one form, ``masks`` has the random streams, ``protocol``
the three roles, which exchange messages and know of no connection. What each party sees, and why it
says nothing, is in ``docs/alignment.md``.
"""

from party.alignment.identifiers import Identifiers, load_for
from party.alignment.protocol import (
    Columns,
    Exchange,
    Joined,
    Ring,
    join_as_holder,
    join_as_server,
    same_order_as_holder,
    same_order_as_server,
)

__all__ = [
    "Columns",
    "Exchange",
    "Identifiers",
    "Joined",
    "Ring",
    "join_as_holder",
    "join_as_server",
    "load_for",
    "same_order_as_holder",
    "same_order_as_server",
]
