"""Pond's products: the server deals what masks cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from party.protocols.dealing import (
    SEATS,
    SERVER,
    Dealing,
    Product,
    SharedTable,
    Sum,
    Uniform,
    times,
)


class AdditiveDealing(Dealing):
    """A vector is the share of Alice plus the share of Bob.

    For tables of a holder it becomes ``m + z``: the holder has m, and the other and the server have
    z, which hides it."""

    def __init__(self, device: Callable[[int], str], uniform: Uniform) -> None:
        super().__init__(device, uniform)
        self._sent: dict[tuple[str, int], tuple[Any, Any]] = {}

    def spread(self, value: Sum) -> list[list[Any]]:
        return [[value[0]], [value[1]], []]

    def summed(self, vector: list[list[Any]]) -> Sum:
        return vector[0][0], vector[1][0], None

    def product(self, table: SharedTable, vector: list[list[Any]], by: Product = times) -> Sum:
        """``X v`` for ``X = E + U`` and ``v = m + z``: ``X m`` at the holder, ``E z`` at the other,
        and ``U z`` is dealt."""
        holder, other = table.holder, table.other
        own, sent = vector[holder][0], None
        if vector[SERVER]:  # masked for this holder by an earlier program
            mask, mask_again = vector[SERVER][0], vector[other][0]
        else:
            mask, sent = self._masked_vector(vector[other][0], holder)
            mask_again = mask
        with self.at(SERVER):
            correction = by(table.mask, mask)
        fresh, rest, _ = self.dealt(correction)
        shares: list[Any] = [None, None, None]
        with self.at(holder):
            masked = own if sent is None else own + sent
            shares[holder] = by(table.matrix, masked) + fresh
        with self.at(other):
            shares[other] = by(table.masked, mask_again) + rest
        return shares[0], shares[1], None

    def for_tables_of(self, vector: list[list[Any]], holder: int) -> list[list[Any]]:
        mask, sent = self._masked_vector(vector[1 - holder][0], holder)
        found: list[list[Any]] = []
        for party in SEATS:
            with self.at(party):
                own = vector[holder][0] + sent if party == holder else tf.identity(mask)
            found.append([own])
        return found

    def _masked_vector(self, share: Any, holder: int) -> tuple[Any, Any]:
        """The mask of the share that the holder lacks, and the share less it: sent once, however
        many products follow."""
        key = (share.name, holder)
        if key not in self._sent:
            mask = self.uniform(share.shape.as_list())
            with self.at(1 - holder):
                self._sent[key] = mask, share - mask
        return self._sent[key]
