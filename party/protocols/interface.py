"""What every protocol offers: facts that need no TensorFlow, and a circuit that does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from party.protocols.dealing import Dealing, Uniform

Vector = NDArray[np.float64]

Parts = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""For each seat, which parts of a shared value it holds; a value is the sum of all its parts."""

ADDITIVE: Parts = ((0,), (1,), ())
"""Two parts, at Alice and at Bob."""

REPLICATED: Parts = ((0, 1), (1, 2), (2, 0))
"""Three parts, of which each seat holds two (Araki, Furukawa, Lindell, Nof and Ohara, CCS 2016)."""


@dataclass(frozen=True)
class Sigmoid:
    """A protocol's approximation of ``1 / (1 + exp(-t))``, in clear.

    Attributes:
        value: the approximation, element by element.
        range: up to which ``|t|`` it was made to follow the sigmoid; None where it is bounded and
            stays near the sigmoid on the whole line.
        reach: how far one step may throw one row's own ``t`` while the training still holds
            together; None where the approximation is bounded.
    """

    value: Callable[[Vector], Vector]
    range: float | None
    reach: float | None


class Protocol(ABC):
    """A protocol, as the rest of the kit sees it.

    Attributes:
        name: as the job says it.
        parts: who holds which part of a shared value.
        sums: who holds which part of a sum of products.
        fraction_bits: bits after the point of a number in fixed point.
        sigmoid: its approximation of the sigmoid.
    """

    name: str
    parts: Parts
    sums: Parts
    fraction_bits: int
    sigmoid: Sigmoid

    @abstractmethod
    def circuit(self, tfe: Any, device: Callable[[int], str]) -> Circuit:
        """What builds with this protocol in the current TensorFlow graph.

        Args:
            tfe: the tf_encrypted module, with its config set.
            device: from a seat's index to its TensorFlow device.
        """

    @abstractmethod
    def dealing(self, device: Callable[[int], str], uniform: Uniform) -> Dealing:
        """What builds computations whose random values the server deals, in the same graph.

        Args:
            device: from a seat's index to its TensorFlow device.
            uniform: draws random numbers; see ``party.protocols.dealing``.
        """


class Circuit(ABC):
    """Builds operations on shared values in a TensorFlow graph.

    Shared values are tf-encrypted's private tensors, matrices in fixed point. A product has twice
    the bits after the point until ``truncate``; sums, differences and ``scaled`` keep them.
    """

    def __init__(self, protocol: Protocol, engine: Any, tfe: Any, device: Callable[[int], str]):
        self.protocol = protocol
        self.engine = engine
        self.tfe = tfe
        self.device = device
        tfe.set_protocol(engine)

    @property
    def fraction_bits(self) -> int:
        """Bits after the point."""
        return self.protocol.fraction_bits

    def private(self, party: int, shape: tuple[int, int]) -> tuple[Any, Any]:
        """A private input of a party: the shared value, and the placeholder (float32) it is fed
        to, at its owner."""
        import tensorflow as tf

        fed: list[Any] = []

        def batch() -> Any:
            fed.append(tf.compat.v1.placeholder(tf.float32, shape))
            return fed[0]

        return self.tfe.define_private_input(f"server{party}", batch), fed[0]

    @abstractmethod
    def shared(self, shape: tuple[int, int]) -> tuple[Any, list[list[Any]]]:
        """An input that is shared already: the value, and for each seat the placeholders (int64)
        of the parts that it holds, in the order of ``Protocol.parts``."""

    @abstractmethod
    def shares(self, value: Any) -> list[list[Any]]:
        """A value's shares by seat, in the order of ``Protocol.parts``."""

    def transposed(self, value: Any) -> Any:
        """The matrix transposed."""
        return self.tfe.transpose(value)

    def product(self, x: Any, y: Any) -> Any:
        """The matrix product, not truncated: what follows may scale and truncate in one."""
        # tf-encrypted truncates where both factors are scaled, so one is said not to be.
        y.is_scaled = False
        product = self.tfe.matmul(x, y)
        y.is_scaled = True
        return product

    def scaled(self, value: Any, factor: int) -> Any:
        """The value times a public integer."""
        if factor == 1:
            return value
        return value * self.engine.define_constant(np.array([[factor]]), apply_scaling=False)

    @abstractmethod
    def truncate(self, value: Any, bits: int) -> Any:
        """The value divided by ``2**bits``, off by one unit at most (but see the protocol)."""

    @abstractmethod
    def sigmoid(self, product: Any) -> Any:
        """The protocol's approximation of the sigmoid of a product that is not truncated yet."""

    def opened(self, shares: list[list[Any]], parts: Parts, party: int) -> Any:
        """The sum of a value's parts, at a party, which is sent those that it lacks.

        A part that two others hold is sent by the one of lower index.
        """
        import tensorflow as tf

        places = {part: (seat, i) for seat in (2, 1, 0) for i, part in enumerate(parts[seat])}
        own = {part: (party, i) for i, part in enumerate(parts[party])}
        lacking = [place for part, place in sorted(places.items()) if part not in own]
        with tf.device(self.device(party)):
            terms = [shares[seat][i] for seat, i in (*own.values(), *lacking)]
            total = terms[0]
            for term in terms[1:]:
                total = tf.add(total, term)
            return total
