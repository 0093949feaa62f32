"""The protocols by name: the one place that lists them."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

from party.protocols.interface import Protocol

ProtocolName = Literal["pond", "aby3", "securenn"]


@cache
def protocol_of(name: ProtocolName) -> Protocol:
    """The protocol of a name."""
    from party.protocols.aby3 import Aby3
    from party.protocols.pond import Pond
    from party.protocols.securenn import SecureNN

    found: dict[ProtocolName, type[Pond | Aby3]] = {
        "pond": Pond,
        "aby3": Aby3,
        "securenn": SecureNN,
    }
    return found[name]()


NAMES: tuple[ProtocolName, ...] = get_args(ProtocolName)
"""All of them, the default before the others."""
