"""Mutual TLS 1.3 over non-blocking sockets (``channel.c``)."""

from __future__ import annotations

import ctypes
from enum import Enum, auto

from party.agreement.pins import PREFIX
from party.native.library import TEXT_BYTES, Keys, Pem, library
from party.process.errors import JobError, printable

REKEY_RECORDS = 1 << 21
"""Records sent under one key; AES-GCM's own limit is some 2**24.5 (RFC 8446, 5.5)."""

UNANSWERED_S = 15.0
"""``KIT_UNANSWERED_MS``: after so long without a sign of life a machine that owes one is gone."""

_IDENTITY_BYTES = 2048
_DIGEST_BYTES = 32  # of SHA-256


class ChannelError(JobError):
    """A connection that cannot be made, or broke."""


class AuthorityError(ChannelError):
    """The certificates of the two ends are of different authorities.

    Attributes:
        ours_is_refused: whether it is the peer that says so.
        claim: whom the peer's certificate names, if any. Only for words: nobody vouches for it.
    """

    def __init__(self, what: str, ours_is_refused: bool, claim: str) -> None:
        super().__init__(what)
        self.ours_is_refused = ours_is_refused
        self.claim = claim


class Want(Enum):
    """What a call on a connection waits for before it can go on."""

    DONE = auto()
    READ = auto()
    WRITE = auto()


_DONE, _WANT_READ, _WANT_WRITE, _CLOSED = 0, -1, -2, -3
_SAME_AUTHORITY, _OURS_UNKNOWN = 0, 2
_WANTS = {_DONE: Want.DONE, _WANT_READ: Want.READ, _WANT_WRITE: Want.WRITE}


class Context:
    """Our own certificate and key, and the authorities whose certificates we accept.

    Parameters are PEM texts, not files: what was checked is what is used. Raises ChannelError where
    one cannot be used; with ``fips`` that is any key that is not on P-256.
    """

    def __init__(
        self,
        authority: bytes,
        certificate: bytes,
        key: bytes,
        rekey_records: int = REKEY_RECORDS,
        fips: bool = False,
    ) -> None:
        self._handle: int | None = None
        self._library = library()
        text = ctypes.create_string_buffer(TEXT_BYTES)
        keys = Keys(*(Pem(one, len(one)) for one in (authority, certificate, key)), fips)
        self._handle = self._library.kit_context_new(ctypes.byref(keys), rekey_records, text)
        if not self._handle:
            raise ChannelError(text.value.decode(errors="replace"))

    def __del__(self) -> None:
        if self._handle:
            self._library.kit_context_free(self._handle)
            self._handle = None

    @property
    def handle(self) -> int:
        """For the native library."""
        assert self._handle
        return self._handle


class Connection:
    """One TLS connection over a connected, non-blocking socket, which stays the caller's to close.

    Calls never block: where they cannot go on they say what to poll for.
    """

    def __init__(self, context: Context, fd: int, server: bool) -> None:
        self._handle: int | None = None
        self._library = library()
        self._fd = fd
        text = ctypes.create_string_buffer(TEXT_BYTES)
        self._handle = self._library.kit_connection_new(context.handle, fd, int(server), text)
        if not self._handle:
            raise ChannelError(text.value.decode(errors="replace"))

    def __del__(self) -> None:
        self.close()

    def handshake(self) -> Want:
        """One more part of the handshake; to be called again until it is done."""
        want = _WANTS.get(self._library.kit_connection_handshake(self.handle))
        if want is None:
            raise self._error()
        return want

    def peer_identity(self) -> str:
        """The one URI among the alternative names of the peer's verified certificate."""
        out = ctypes.create_string_buffer(_IDENTITY_BYTES)
        length = self._library.kit_connection_peer(self.handle, out, _IDENTITY_BYTES)
        if length < 0:
            raise self._error()
        try:
            return out.raw[:length].decode("ascii")
        except UnicodeDecodeError:
            raise ChannelError("the identity in the peer's certificate is malformed") from None

    def peer_digests(self) -> tuple[str, str]:
        """SHA-256 of the public key in the peer's verified certificate, and of the certificate of
        the authority that vouches for it, as a job pins them."""
        key, authority = (ctypes.create_string_buffer(_DIGEST_BYTES) for _ in range(2))
        if self._library.kit_connection_peer_digests(self.handle, key, authority) != _DONE:
            raise self._error()
        return f"{PREFIX}{key.raw.hex()}", f"{PREFIX}{authority.raw.hex()}"

    def read(self, max_bytes: int) -> bytes | Want:
        """Up to so many bytes, at least one; none when the peer sends no more."""
        out = ctypes.create_string_buffer(max_bytes)
        got: int = self._library.kit_connection_read(self.handle, out, max_bytes)
        if got == _CLOSED:
            return b""
        if got > 0:
            return out.raw[:got]
        return self._want(got)

    def write(self, data: bytes) -> int | Want:
        """The number of bytes taken, at least one. After ``Want.WRITE`` the next call must bring
        the same bytes again. What was taken is on its way once ``flush`` says that it is done;
        every call gives that a try."""
        taken: int = self._library.kit_connection_write(self.handle, data, len(data))
        if taken <= 0:
            return self._want(taken)
        self.flush()
        return taken

    def flush(self) -> Want:
        """Sends what the socket takes of what was written."""
        return self._want(self._library.kit_connection_flush(self.handle))

    def see_to_answers(self, within_s: float = UNANSWERED_S) -> None:
        """Raises ChannelError where the peer's machine has left what was sent unanswered for so
        long. One whose process stands still answers; one that is owed nothing is not asked, but by
        TCP's own keepalive."""
        if self._library.kit_connection_unanswered(self.handle, int(within_s * 1000)):
            raise self._error()

    def fileno(self) -> int:
        """The socket."""
        return self._fd

    def close(self) -> None:
        """Forgets the connection and its keys. The socket is left as it is."""
        if self._handle:
            self._library.kit_connection_free(self._handle)
            self._handle = None

    @property
    def handle(self) -> int:
        """For the native library. ChannelError where the connection is closed."""
        if not self._handle:
            raise ChannelError("the connection is closed")
        return self._handle

    def _want(self, result: int) -> Want:
        want = _WANTS.get(result)
        if want is None:
            raise self._error()
        return want

    def _error(self) -> ChannelError:
        text: bytes = self._library.kit_connection_error(self.handle)
        what = text.decode(errors="replace")
        authority: int = self._library.kit_connection_authority(self.handle)
        if authority == _SAME_AUTHORITY:
            return ChannelError(what)
        claim: bytes = self._library.kit_connection_claim(self.handle)
        return AuthorityError(
            what, authority == _OURS_UNKNOWN, printable(claim.decode(errors="replace"))
        )
