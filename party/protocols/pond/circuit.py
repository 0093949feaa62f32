"""Circuits over additive shares: a value is the share of Alice plus the share of Bob."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tf_encrypted.protocol.pond.pond import PondPrivateTensor

from party.protocols.interface import Circuit
from party.protocols.pond.sigmoid import POLYNOMIAL, SHRINK_BITS


class AdditiveCircuit(Circuit):
    """Pond's, and SecureNN's, which extends it."""

    def shared(self, shape: tuple[int, int]) -> tuple[Any, list[list[Any]]]:
        placeholders = []
        for party in (0, 1):
            with tf.device(self.device(party)):
                placeholders.append(tf.compat.v1.placeholder(tf.int64, shape))
        wrapped = [self.engine.tensor_factory.tensor(share) for share in placeholders]
        value = PondPrivateTensor(self.engine, *wrapped, True)
        return value, [[placeholders[0]], [placeholders[1]], []]

    def shares(self, value: Any) -> list[list[Any]]:
        return [[value.share0.value], [value.share1.value], []]

    def sigmoid(self, product: Any) -> Any:
        """``sigmoid.POLYNOMIAL``; its terms are summed before one truncation."""
        u = self.truncate(product, self.fraction_bits + SHRINK_BITS)
        square = u * u
        cube = square * u
        fifth = square * cube
        scale = self.engine.fixedpoint_config.scaling_factor
        terms = [
            power
            * self.engine.define_constant(
                np.array([[round(coefficient * scale)]]), apply_scaling=False
            )
            for power, coefficient in zip((u, cube, fifth), POLYNOMIAL, strict=True)
        ]
        return self.truncate(terms[0] + terms[1] + terms[2], self.fraction_bits) + 0.5

    def truncate(self, value: Any, bits: int) -> Any:
        """Each of the two shifts its own share (SecureML, Mohassel and Zhang 2017, section 4.1)."""
        with tf.device(self.device(0)):
            share0 = value.share0.truncate(bits, 2)
        with tf.device(self.device(1)):
            share1 = 0 - (0 - value.share1).truncate(bits, 2)
        return PondPrivateTensor(self.engine, share0, share1, True)
