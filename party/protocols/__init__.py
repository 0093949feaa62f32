"""How secrets are shared and computed with: one folder a protocol.

A protocol shares private inputs, multiplies, truncates, approximates the sigmoid and opens. It
knows nothing of models. Nothing outside this package names a protocol, but ``registry``.
"""

from party.protocols.interface import Circuit, Protocol, Sigmoid
from party.protocols.registry import ProtocolName, protocol_of

__all__ = ["Circuit", "Protocol", "ProtocolName", "Sigmoid", "protocol_of"]
