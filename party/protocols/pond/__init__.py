"""Pond: additive shares at Alice and Bob, random triples dealt by the third server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from party.protocols.interface import ADDITIVE, Circuit, Protocol
from party.protocols.pond.sigmoid import SIGMOID

if TYPE_CHECKING:
    from party.protocols.dealing import Dealing, Uniform


class Pond(Protocol):
    """tf-encrypted's Pond over the ring of 64 bits, truncated without interaction."""

    name = "pond"
    parts = ADDITIVE
    sums = ADDITIVE
    fraction_bits = 13
    sigmoid = SIGMOID

    def circuit(self, tfe: Any, device: Callable[[int], str]) -> Circuit:
        from tf_encrypted.tensor import fixed64_ni

        from party.protocols.pond.circuit import AdditiveCircuit

        # Truncation without interaction: 8 rounds a step where the default has 15.
        engine = tfe.protocol.Pond(fixedpoint_config=fixed64_ni)
        return AdditiveCircuit(self, engine, tfe, device)

    def dealing(self, device: Callable[[int], str], uniform: Uniform) -> Dealing:
        from party.protocols.pond.dealing import AdditiveDealing

        return AdditiveDealing(device, uniform)
