"""tf-encrypted's own tests, those that its wheel carries, on the TensorFlow and the native
operations of this package: the protocols, the types of tensors, random numbers and bits.

Which of them cannot pass, and why, stands in ``conftest.py``.
"""

from __future__ import annotations

import importlib
import unittest

from party import compat

MODULES = (
    "operations.aux.aux_test",
    "operations.secure_random.secure_random_test",
    "protocol.aby3.aby3_test",
    "protocol.ops_test",
    "protocol.pond.pond_test",
    "protocol.pond.queues_test",
    "protocol.securenn.odd_tensor_test",
    "protocol.securenn.securenn_test",
    "tensor.int100_test",
    "tensor.native_int32_test",
    "tensor.native_int64_test",
    "tensor.native_prime_test",
)


def own_tests() -> dict[str, type[unittest.TestCase]]:
    """The wheel's test cases by module and name; several modules have a ``TestConv2D``."""
    compat.load()
    return {
        f"{name.rpartition('.')[2]}.{case.__name__}": case
        for name in MODULES
        for case in vars(importlib.import_module(f"tf_encrypted.{name}")).values()
        if isinstance(case, type) and issubclass(case, unittest.TestCase)
    }


globals().update(own_tests())
