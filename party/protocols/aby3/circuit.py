"""Circuits over replicated shares: a value is s0 + s1 + s2; seat i holds s_i and s_(i+1)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tf_encrypted.protocol.aby3.aby3_tensors import ABY3PrivateTensor, ShareType

from party.protocols.interface import Circuit


class ReplicatedCircuit(Circuit):
    """ABY3's."""

    def shared(self, shape: tuple[int, int]) -> tuple[Any, list[list[Any]]]:
        placeholders, wrapped = [], []
        for party in range(3):
            with tf.device(self.device(party)):
                row = [tf.compat.v1.placeholder(tf.int64, shape) for _ in range(2)]
            placeholders.append(row)
            wrapped.append([self.engine.default_factory.tensor(share) for share in row])
        return ABY3PrivateTensor(self.engine, wrapped, True, ShareType.ARITHMETIC), placeholders

    def shares(self, value: Any) -> list[list[Any]]:
        return [[share.value for share in row] for row in value.unwrapped]

    def sigmoid(self, product: Any) -> Any:
        """tf-encrypted's own: five straight pieces."""
        return self.tfe.sigmoid(self.truncate(product, self.fraction_bits))

    def truncate(self, value: Any, bits: int) -> Any:
        return self.engine.truncate(value, amount=bits)
