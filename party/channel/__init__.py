"""Connections between the parties: how they find each other and agree on what they are to do.

``join`` ends when all three are ready; after it the connections are the executor's, or, where
something is to be said before, those of ``exchange``. Its parts:
``sockets`` (TCP), ``admission`` (strangers), ``codec`` (messages on a connection) and ``agreement``
(what is said, without a connection).
"""

from party.channel.agreement import PROTOCOL_VERSION, versions
from party.channel.exchange import Messages, PeerError
from party.channel.join import AheadError, Joined, join
from party.channel.sockets import listen

__all__ = [
    "PROTOCOL_VERSION",
    "AheadError",
    "Joined",
    "Messages",
    "PeerError",
    "join",
    "listen",
    "versions",
]
