"""Logistic regression as one step of mini-batch stochastic gradient descent on shares.

The step is ``w <- w - rate/batch * X^T (sigmoid(X w) - y)`` with the protocol's approximation of
the sigmoid. The last column of X is one: its weight is the intercept.

State goes in and out as tensors (there are no variables), so that a run can stop and go on at any
step, and every seed is drawn inside the graph, so that every step has fresh masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from party.plan.parameters import PlanParameters
from party.protocols.sigmoid import POLYNOMIAL, SHRINK_BITS


@dataclass(frozen=True)
class BuiltGraph:
    """What a model's builder leaves in the TensorFlow graph.

    Attributes:
        inputs: for each party with a private batch, its placeholder.
        state: for each party, pairs of tensors: a share before and after the step.
        result: the opened model in fixed point, at the party that receives it.
        scale: what one unit of the model is encoded as.
    """

    inputs: dict[int, Any]
    state: tuple[tuple[tuple[Any, Any], ...], ...]
    result: Any
    scale: int


def build(parameters: PlanParameters, tfe: Any, device: Any) -> BuiltGraph:
    """Builds the step and the opening of the model in the current graph.

    Args:
        parameters: of the plan.
        tfe: the tf_encrypted module, with its config set.
        device: from a party's index to its device name.
    """
    sharing = _Replicated if parameters.protocol == "aby3" else _Additive
    protocol = _protocol(parameters.protocol, tfe)
    tfe.set_protocol(protocol)
    columns = parameters.features + 1  # the intercept's column of ones is the last

    weights, before = sharing.state(protocol, [columns, 1], device)
    x, x_batch = _private_input(tfe, "server0", [parameters.batch_size, columns])
    y, y_batch = _private_input(tfe, "server1", [parameters.batch_size, 1])

    error = sharing.sigmoid(tfe, protocol, x, weights, device) - y
    gradient = _untruncated_matmul(tfe, tfe.transpose(x), error)
    if parameters.factor != 1:
        gradient = gradient * _integer(protocol, parameters.factor)
    fraction = protocol.fixedpoint_config.precision_fractional
    update = sharing.truncate(protocol, gradient, fraction + parameters.shift, device)
    after = sharing.shares(weights - update)

    opened = sharing.open(before, device)
    return BuiltGraph(
        inputs={0: x_batch, 1: y_batch},
        state=tuple(tuple(zip(b, a, strict=True)) for b, a in zip(before, after, strict=True)),
        result=opened,
        scale=protocol.fixedpoint_config.scaling_factor,
    )


def _protocol(name: str, tfe: Any) -> Any:
    if name == "aby3":
        return tfe.protocol.ABY3()
    from tf_encrypted.tensor import fixed64_ni

    # Truncation without interaction: 8 rounds a step where the default has 15.
    if name == "pond":
        return tfe.protocol.Pond(fixedpoint_config=fixed64_ni)
    return tfe.protocol.SecureNN(fixedpoint_config=fixed64_ni)


def _private_input(tfe: Any, player: str, shape: list[int]) -> tuple[Any, Any]:
    import tensorflow as tf

    fed: list[Any] = []

    def batch() -> Any:
        fed.append(tf.compat.v1.placeholder(tf.float32, shape))
        return fed[0]

    return tfe.define_private_input(player, batch), fed[0]


def _untruncated_matmul(tfe: Any, x: Any, y: Any) -> Any:
    """The product with twice the bits after the point: what follows scales and truncates in one.

    tf-encrypted truncates where both factors are scaled, so one is said not to be.
    """
    y.is_scaled = False
    product = tfe.matmul(x, y)
    y.is_scaled = True
    return product


def _integer(protocol: Any, value: int) -> Any:
    return protocol.define_constant(np.array([[value]]), apply_scaling=False)


class _Additive:
    """Pond and SecureNN: w = share of Alice + share of Bob; the third server holds nothing."""

    @staticmethod
    def state(protocol: Any, shape: list[int], device: Any) -> tuple[Any, list[list[Any]]]:
        import tensorflow as tf
        from tf_encrypted.protocol.pond.pond import PondPrivateTensor

        shares = []
        for party in (0, 1):
            with tf.device(device(party)):
                shares.append(tf.compat.v1.placeholder(tf.int64, shape))
        wrapped = [protocol.tensor_factory.tensor(share) for share in shares]
        return PondPrivateTensor(protocol, *wrapped, True), [[shares[0]], [shares[1]], []]

    @staticmethod
    def shares(tensor: Any) -> list[list[Any]]:
        return [[tensor.share0.value], [tensor.share1.value], []]

    @classmethod
    def sigmoid(cls, tfe: Any, protocol: Any, x: Any, weights: Any, device: Any) -> Any:
        """The polynomial of ``sigmoid.POLYNOMIAL``; its terms are summed before one truncation."""
        bits = protocol.fixedpoint_config.precision_fractional
        product = _untruncated_matmul(tfe, x, weights)
        u = cls.truncate(protocol, product, bits + SHRINK_BITS, device)
        square = u * u
        cube = square * u
        fifth = square * cube
        scale = protocol.fixedpoint_config.scaling_factor
        terms = [
            power * _integer(protocol, round(coefficient * scale))
            for power, coefficient in zip((u, cube, fifth), POLYNOMIAL, strict=True)
        ]
        return cls.truncate(protocol, terms[0] + terms[1] + terms[2], bits, device) + 0.5

    @staticmethod
    def truncate(protocol: Any, tensor: Any, bits: int, device: Any) -> Any:
        """Each of the two shifts its own share (SecureML, Mohassel and Zhang 2017, section 4.1)."""
        import tensorflow as tf
        from tf_encrypted.protocol.pond.pond import PondPrivateTensor

        with tf.device(device(0)):
            share0 = tensor.share0.truncate(bits, 2)
        with tf.device(device(1)):
            share1 = 0 - (0 - tensor.share1).truncate(bits, 2)
        return PondPrivateTensor(protocol, share0, share1, True)

    @staticmethod
    def open(shares: list[list[Any]], device: Any) -> Any:
        import tensorflow as tf

        with tf.device(device(0)):
            return tf.add(shares[0][0], shares[1][0])


class _Replicated:
    """ABY3: w = s0 + s1 + s2; party i holds s_i and s_(i+1)."""

    @staticmethod
    def state(protocol: Any, shape: list[int], device: Any) -> tuple[Any, list[list[Any]]]:
        import tensorflow as tf
        from tf_encrypted.protocol.aby3.aby3_tensors import ABY3PrivateTensor, ShareType

        shares, wrapped = [], []
        for party in range(3):
            with tf.device(device(party)):
                row = [tf.compat.v1.placeholder(tf.int64, shape) for _ in range(2)]
            shares.append(row)
            wrapped.append([protocol.default_factory.tensor(share) for share in row])
        return ABY3PrivateTensor(protocol, wrapped, True, ShareType.ARITHMETIC), shares

    @staticmethod
    def shares(tensor: Any) -> list[list[Any]]:
        return [[share.value for share in row] for row in tensor.unwrapped]

    @staticmethod
    def sigmoid(tfe: Any, protocol: Any, x: Any, weights: Any, device: Any) -> Any:
        """tf-encrypted's own: five straight pieces."""
        return tfe.sigmoid(tfe.matmul(x, weights))

    @staticmethod
    def truncate(protocol: Any, tensor: Any, bits: int, device: Any) -> Any:
        return protocol.truncate(tensor, amount=bits)

    @staticmethod
    def open(shares: list[list[Any]], device: Any) -> Any:
        import tensorflow as tf

        with tf.device(device(0)):
            return tf.add(tf.add(shares[0][0], shares[0][1]), shares[1][1])
