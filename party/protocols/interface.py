"""What every protocol offers: facts that need no TensorFlow, and a dealing that does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from party.protocols.dealing import Dealing, Uniform

Parts = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""For each seat, which parts of a shared value it holds; a value is the sum of all its parts."""

ADDITIVE: Parts = ((0,), (1,), ())
"""Two parts, at Alice and at Bob."""

REPLICATED: Parts = ((0, 1), (1, 2), (2, 0))
"""Three parts, of which each seat holds two (Araki, Furukawa, Lindell, Nof and Ohara, CCS 2016)."""


class Protocol(ABC):
    """A protocol, as the rest of the kit sees it.

    Attributes:
        name: as the job says it.
        parts: who holds which part of a shared value.
        sums: who holds which part of a sum of products.
    """

    name: str
    parts: Parts
    sums: Parts

    @abstractmethod
    def vector_parts(self, holder: int) -> Parts:
        """Who holds which part of a vector that programs which follow multiply by tables of a
        holder: see ``Dealing.for_tables_of``."""

    @abstractmethod
    def dealing(self, device: Callable[[int], str], uniform: Uniform) -> Dealing:
        """What builds computations whose random values the server deals, in the current
        TensorFlow graph.

        Args:
            device: from a seat's index to its TensorFlow device.
            uniform: draws random numbers; see ``party.protocols.dealing``.
        """
