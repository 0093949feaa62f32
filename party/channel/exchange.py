"""Messages of known sizes between parties that have joined, before the executor takes over.

    1 byte of kind, 8 bytes of size, little-endian, then that many bytes

A message is of the kind DATA, or says why its sender gives up. Its size is checked against what is
due before memory is taken for it. Not one byte more than a message is read: what follows may be the
executor's.
"""

from __future__ import annotations

import contextlib
import select
import struct
import time
from collections.abc import Iterator, Sequence

from party.agreement.job import PARTIES, Party
from party.native import ChannelError, Connection, Want
from party.process.errors import JobError, KitError, printable

SILENCE_S = 120.0
"""So long a peer that is awaited may say nothing, unless told otherwise."""

_HEADER = struct.Struct("<BQ")
_DATA, _GIVES_UP, _LEAVES = 1, 2, 3
_WORDS_BYTES = 1200
_RECORD = 1 << 14  # of TLS, at most
_PIECE = 1 << 16
_LAST_WORDS_S = 2.0


class PeerError(JobError):
    """Another party is gone, has given up, or said what was not due.

    ``final``: whether a new connection to it cannot help.
    """

    def __init__(
        self,
        what: str,
        where: str | None = None,
        final: bool = True,
        party: Party | None = None,
    ) -> None:
        super().__init__(what, where, cause="peer-failed" if final else "peer-unreachable")
        self.final = final
        self.party = party


class Messages:
    """What three parties say to each other, one message after the other.

    Attributes:
        sent, received: bytes before TLS, with headers.
    """

    def __init__(self, connections: Sequence[Connection | None]) -> None:
        self._connections = connections
        self.sent = self.received = 0

    def send(self, to: Party, data: bytes) -> None:
        """Send a message, and return when it is on its way."""
        self._write(to, _HEADER.pack(_DATA, len(data)) + data, SILENCE_S)

    def receive(self, sender: Party, size: int, patience_s: float = SILENCE_S) -> bytes:
        """The next message of a party.

        Raises:
            PeerError: it is gone, silent for too long, gives up, or the message has another size.
        """
        kind, said = _HEADER.unpack(self._read(sender, _HEADER.size, patience_s))
        if kind in (_GIVES_UP, _LEAVES) and said <= _WORDS_BYTES:
            words = printable(self._read(sender, said, patience_s).decode(errors="replace"), 1200)
            raise PeerError(f"{sender} gave up: {words}", None, kind == _GIVES_UP, sender)
        if kind != _DATA or said != size:
            raise PeerError(f"{sender} sent {said} bytes, where {size} were due")
        return self._read(sender, size, patience_s)

    def give_up(self, error: KitError, final: bool = True) -> None:
        """Tell the others why, as far as they still listen, and whether it is for good."""
        kind = _GIVES_UP if final else _LEAVES
        words = error.what.encode()[:_WORDS_BYTES].decode(errors="ignore").encode()
        for party, connection in zip(PARTIES, self._connections, strict=True):
            if connection is not None:
                with contextlib.suppress(JobError, OSError):
                    self._write(party, _HEADER.pack(kind, len(words)) + words, _LAST_WORDS_S)

    def _of(self, party: Party) -> Connection:
        connection = self._connections[PARTIES.index(party)]
        assert connection is not None, "nobody sends itself a message"
        return connection

    def _write(self, to: Party, data: bytes, patience_s: float) -> None:
        connection, done = self._of(to), 0
        with _named(to):
            piece = data[:_PIECE]
            while piece:
                taken = connection.write(piece)
                if isinstance(taken, Want):
                    _await(connection, taken, to, patience_s)
                    continue  # with the same bytes, as TLS asks for
                done += taken
                piece = data[done : done + _PIECE]
            while (want := connection.flush()) is not Want.DONE:
                _await(connection, want, to, patience_s)
        self.sent += done

    def _read(self, sender: Party, size: int, patience_s: float) -> bytes:
        connection, parts, missing = self._of(sender), [], size
        with _named(sender):
            while missing:
                piece = connection.read(min(missing, _RECORD))
                if isinstance(piece, Want):
                    _await(connection, piece, sender, patience_s)
                    continue
                if not piece:
                    raise PeerError(f"{sender} went away", None, False, sender)
                parts.append(piece)
                missing -= len(piece)
        self.received += size
        return b"".join(parts)


@contextlib.contextmanager
def _named(party: Party) -> Iterator[None]:
    try:
        yield
    except ChannelError as error:
        raise PeerError(f"{party} went away", error.what, False, party) from None


def _await(connection: Connection, want: Want, party: Party, patience_s: float) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLOUT if want is Want.WRITE else select.POLLIN)
    end = time.monotonic() + patience_s
    while not poll.poll(max(0.0, end - time.monotonic()) * 1000):
        if time.monotonic() >= end:
            what = f"nothing has been heard of {party} for {patience_s:g} s"
            raise PeerError(what, None, False, party)
