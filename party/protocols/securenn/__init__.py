"""SecureNN: Pond with comparisons (Wagh, Gupta and Chandran, PoPETs 2019)."""

from __future__ import annotations

from party.protocols.pond import Pond


class SecureNN(Pond):
    """What a model does not compare, SecureNN does as Pond does."""

    name = "securenn"
