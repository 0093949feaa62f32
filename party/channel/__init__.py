"""Connections between the parties: how they find each other and agree on what they are to do.

``join`` ends when all three are ready; after it the connections are the executor's.
"""

from party.channel.hello import PROTOCOL_VERSION, versions
from party.channel.join import Joined, join, listen

__all__ = ["PROTOCOL_VERSION", "Joined", "join", "listen", "versions"]
