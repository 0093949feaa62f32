"""Alignment on shares: rows that belong together are found by an identifier that both holders have,
and no party learns which rows these are.

``identifiers`` reads them and gives them one form, ``masks`` has the random streams, ``protocol``
the three roles, ``left_join`` those of a join that keeps all rows of one table; they exchange
``messages`` and know of no connection. What each party sees, and why it says nothing, is in
``docs/alignment.md``.
"""

from party.alignment.identifiers import Identifiers, load_for, load_identifiers
from party.alignment.left_join import LeftJoined, join_as_left, join_as_right
from party.alignment.left_join import join_as_server as join_left_as_server
from party.alignment.messages import Columns, Exchange, Ring
from party.alignment.protocol import (
    Joined,
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
    "LeftJoined",
    "Ring",
    "join_as_holder",
    "join_as_left",
    "join_as_right",
    "join_as_server",
    "join_left_as_server",
    "load_for",
    "load_identifiers",
    "same_order_as_holder",
    "same_order_as_server",
]
