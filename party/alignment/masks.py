"""Random streams: masks that two parties can make, and orders that one party keeps to itself.

All of it is AES-256 in counter mode, by OpenSSL. A key has one stream and one use.
"""

from __future__ import annotations

import secrets

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

KEY_BYTES = 32

_WORD = 8


def derived(secret: bytes, run: str, purpose: str) -> bytes:
    """A key for one purpose in one run, from a secret of two parties (HKDF, RFC 5869)."""
    info = f"tfe-kit alignment, {purpose}".encode()
    return HKDF(SHA256(), KEY_BYTES, salt=run.encode(), info=info).derive(secret)


class Stream:
    """Uniform numbers of the ring of 64 bits, one after the other."""

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def take(self, rows: int, columns: int) -> NDArray[np.int64]:
        """The next numbers, [rows, columns]."""
        size = rows * columns * _WORD
        # What is encrypted is the buffer's own zeros. Some of OpenSSL's ciphers want room to spare.
        buffer = bytearray(size + 16)
        self._encryptor.update_into(bytes(size), buffer)
        return np.frombuffer(buffer, "<i8", rows * columns).reshape(rows, columns)


def random_order(count: int) -> NDArray[np.intp]:
    """All numbers below ``count`` in an order that nobody else can know.

    They are sorted by random numbers of 64 bits; two of a million are equal once in 2**25 times,
    and keep their order then.
    """
    numbers = Stream(secrets.token_bytes(KEY_BYTES)).take(count, 1).view(np.uint64)
    return np.argsort(numbers.reshape(-1), kind="stable")
