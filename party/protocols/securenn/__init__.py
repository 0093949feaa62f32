"""SecureNN: Pond with comparisons (Wagh, Gupta and Chandran, PoPETs 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from party.protocols.interface import Circuit
from party.protocols.pond import Pond


class SecureNN(Pond):
    """tf-encrypted's SecureNN: what a model does not compare, it does as Pond does."""

    name = "securenn"

    def circuit(self, tfe: Any, device: Callable[[int], str]) -> Circuit:
        from tf_encrypted.tensor import fixed64_ni

        from party.protocols.pond.circuit import AdditiveCircuit

        engine = tfe.protocol.SecureNN(fixedpoint_config=fixed64_ni)
        return AdditiveCircuit(self, engine, tfe, device)
