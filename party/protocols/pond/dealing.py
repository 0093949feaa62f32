"""Pond's products: the server deals what masks cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from party.protocols.dealing import SERVER, Dealing, Product, SharedTable, Sum, Uniform, times


class AdditiveDealing(Dealing):
    """A vector is the share of Alice plus the share of Bob."""

    def __init__(self, device: Callable[[int], str], uniform: Uniform) -> None:
        super().__init__(device, uniform)
        self._sent: dict[tuple[str, int], tuple[Any, Any]] = {}

    def spread(self, value: Sum) -> list[list[Any]]:
        return [[value[0]], [value[1]], []]

    def summed(self, vector: list[list[Any]]) -> Sum:
        return vector[0][0], vector[1][0], None

    def product(self, table: SharedTable, vector: list[list[Any]], by: Product = times) -> Sum:
        """``X v`` for ``X = E + U`` and ``v = v0 + v1``, of which the holder has v0:
        ``X (v0 + v1 - z)`` at the holder, ``E z`` at the other, and ``U z`` is dealt."""
        holder, other = table.holder, table.other
        mask, sent = self._masked_vector(vector[other][0], holder, other)
        with self.at(SERVER):
            correction = by(table.mask, mask)
        fresh, rest, _ = self.dealt(correction)
        shares: list[Any] = [None, None, None]
        with self.at(holder):
            shares[holder] = by(table.matrix, vector[holder][0] + sent) + fresh
        with self.at(other):
            shares[other] = by(table.masked, mask) + rest
        return shares[0], shares[1], None

    def _masked_vector(self, share: Any, holder: int, other: int) -> tuple[Any, Any]:
        """The mask of a share, and the share less it: sent once, however many products follow."""
        key = (share.name, holder)
        if key not in self._sent:
            mask = self.uniform(share.shape.as_list())
            with self.at(other):
                self._sent[key] = mask, share - mask
        return self._sent[key]
