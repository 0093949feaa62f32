"""How secrets are shared and computed with: one folder a protocol.

A protocol shares values, multiplies and adds; what all do alike is in ``dealing``, the sigmoid's
sums of sines are in ``sines``. It knows nothing of models. Nothing outside this package names a
protocol, but ``registry``.
"""

from party.protocols.interface import Protocol
from party.protocols.registry import ProtocolName, protocol_of

__all__ = ["Protocol", "ProtocolName", "protocol_of"]
