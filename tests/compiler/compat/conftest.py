"""The native library's functions, called directly."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from party.native.instructions import Type
from party.native.library import library


@dataclass(frozen=True)
class Native:
    """random.h and bits.h for NumPy."""

    library: ctypes.CDLL

    def seed(self) -> bytes:
        out = ctypes.create_string_buffer(32)
        assert self.library.kit_seed(out) == 0
        return out.raw

    def uniform(self, seed: bytes, kind: Type, low: int, width: int, n: int) -> Any:
        """The integers, or None where the function refuses."""
        self.library.kit_random_new.restype = ctypes.c_void_p
        generator = ctypes.c_void_p(self.library.kit_random_new())
        assert generator
        out = np.empty(n, kind.numpy)
        refused = self.library.kit_uniform(
            generator,
            seed,
            int(kind),
            ctypes.c_int64(low),
            ctypes.c_uint64(width),
            ctypes.c_int64(n),
            ctypes.c_void_p(out.ctypes.data),
        )
        self.library.kit_random_free(generator)
        return None if refused else out

    def bits(self, function: str, x: Any, *parameters: int, copies: int | None = None) -> Any:
        """A function of bits.h on x, or None where it refuses; ``copies`` results of x's size."""
        out = np.empty(x.shape if copies is None else (copies, *x.shape), x.dtype)
        refused = getattr(self.library, function)(
            x.itemsize,
            *map(ctypes.c_int64, parameters),
            ctypes.c_int64(x.size),
            ctypes.c_void_p(x.ctypes.data),
            ctypes.c_void_p(out.ctypes.data),
        )
        return None if refused else out


@pytest.fixture(scope="session")
def native() -> Native:
    """The functions as the executor has them."""
    return Native(library())
