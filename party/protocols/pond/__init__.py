"""Pond: additive shares at Alice and Bob, random triples dealt by the third server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from party.protocols.interface import ADDITIVE, Parts, Protocol

if TYPE_CHECKING:
    from party.protocols.dealing import Dealing, Uniform


class Pond(Protocol):
    """tf-encrypted's Pond over the ring of 64 bits, truncated without interaction."""

    name = "pond"
    parts = ADDITIVE
    sums = ADDITIVE

    def vector_parts(self, holder: int) -> Parts:
        return ((0,), (1,), (1,)) if holder == 0 else ((1,), (0,), (1,))

    def dealing(self, device: Callable[[int], str], uniform: Uniform) -> Dealing:
        from party.protocols.pond.dealing import AdditiveDealing

        return AdditiveDealing(device, uniform)
