"""Files that nobody reads or changes without the key: AES-256-GCM over chunks of a stream.

    8 bytes that name the form, 32 of salt, then chunks, each with its tag

The key of one file is derived from the party's and the salt (HKDF with SHA-256, RFC 5869), so that
nonces, which count the chunks, never meet twice under one key. The last chunk is marked in its
nonce: a file that was cut is found, as one is whose chunks were put in another order (the STREAM
construction: Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015). What the file is about is
authenticated with every chunk and not written.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import BinaryIO

MAGIC = b"TFEKPT1\n"
KEY_BYTES = 32
_SALT_BYTES, _TAG_BYTES = 32, 16
CHUNK = 1 << 20
"""Bytes of a chunk before it is encrypted."""


class DamagedError(Exception):
    """The file is not what this key sealed, about this."""


def seal(key: bytes, about: bytes, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The file of a stream, part by part."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt = secrets.token_bytes(_SALT_BYTES)
    cipher = AESGCM(_derived(key, salt))
    yield MAGIC + salt
    number, chunk = 0, b""
    for chunk in _chunks(pieces):
        if len(chunk) < CHUNK:
            break
        yield cipher.encrypt(_nonce(number, last=False), chunk, about)
        number, chunk = number + 1, b""
    yield cipher.encrypt(_nonce(number, last=True), chunk, about)


def unseal(key: bytes, about: bytes, stream: BinaryIO) -> bytearray:
    """What was sealed. Raises DamagedError where one bit of it is another."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head = stream.read(len(MAGIC) + _SALT_BYTES)
    if len(head) != len(MAGIC) + _SALT_BYTES or head[: len(MAGIC)] != MAGIC:
        raise DamagedError
    cipher = AESGCM(_derived(key, head[len(MAGIC) :]))
    found, number = bytearray(), 0
    while True:
        sealed = stream.read(CHUNK + _TAG_BYTES)
        last = len(sealed) < CHUNK + _TAG_BYTES
        try:
            found += cipher.decrypt(_nonce(number, last), sealed, about)
        except (InvalidTag, ValueError):
            raise DamagedError from None
        if last:
            return found
        number += 1


def _derived(key: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, salt, b"tfe-kit checkpoint").derive(key)


def _nonce(number: int, last: bool) -> bytes:
    return bytes(7) + number.to_bytes(4, "big") + bytes([last])


def _chunks(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The stream in chunks of one size, and whatever is left; the last is shorter than the rest."""
    waiting = bytearray()
    for piece in pieces:
        view = memoryview(piece).cast("B")
        while view:
            room = CHUNK - len(waiting)
            waiting += view[:room]
            view = view[room:]
            if len(waiting) == CHUNK:
                yield bytes(waiting)
                waiting.clear()
    yield bytes(waiting)
