"""ABY3: three replicated shares, an honest majority (Mohassel and Rindal, CCS 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from party.protocols.interface import REPLICATED, Parts, Protocol

if TYPE_CHECKING:
    from party.protocols.dealing import Dealing, Uniform


class Aby3(Protocol):
    """tf-encrypted's ABY3 over the ring of 64 bits."""

    name = "aby3"
    parts = REPLICATED
    sums: Parts = ((0,), (1,), (2,))

    def vector_parts(self, holder: int) -> Parts:
        return REPLICATED

    def dealing(self, device: Callable[[int], str], uniform: Uniform) -> Dealing:
        from party.protocols.aby3.dealing import ReplicatedDealing

        return ReplicatedDealing(device, uniform)
