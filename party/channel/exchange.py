"""Messages of known sizes between parties that have joined, before the executor takes over.

    8 bytes of a number, 4 of a kind, 4 of a length, little-endian, then what they announce

A message is of the kind DATA, of as many bytes as the number says. Its size is checked against what
is due before memory is taken for it. Not one byte more than a message is read: what follows may be
the executor's.

Or it says that its sender gives up, because of the party with that number, and in words of that
length. Such a message begins as the executor's own of that kind do, since the other end may be with
its executor already, or its sender.
"""

from __future__ import annotations

import contextlib
import select
import struct
import time
from collections.abc import Iterator, Sequence

from party.agreement.job import PARTIES, Party
from party.channel.codec import begins_message
from party.native import ChannelError, Connection, Want
from party.process.errors import JobError, KitError, printable

SILENCE_S = 120.0
"""So long a peer that is awaited may say nothing, unless told otherwise."""

_HEADER = struct.Struct("<QII")
_DATA = 0xFFFFFFFB
_GIVES_UP, _LEAVES = 0xFFFFFFFF, 0xFFFFFFFD
"""``KEY_ABORT`` and ``KEY_LEAVE`` of the executor."""
_WORDS_BYTES = 1200
_RECORD = 1 << 14  # of TLS, at most
_PIECE = 1 << 16
_LAST_WORDS_S = 2.0
_ASK_EVERY_S = 1.0


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
        self._write(to, _HEADER.pack(len(data), _DATA, 0) + data, SILENCE_S)

    def receive(self, sender: Party, size: int, patience_s: float = SILENCE_S) -> bytes:
        """The next message of a party.

        Raises:
            PeerError: it is gone, silent for too long, gives up, or the message has another size.
        """
        header = self._read(sender, _HEADER.size, patience_s)
        number, kind, length = _HEADER.unpack(header)
        if kind in (_GIVES_UP, _LEAVES) and length <= _WORDS_BYTES:
            words = printable(self._read(sender, length, patience_s).decode(errors="replace"), 1200)
            why = f": {words}" if words else ""
            raise PeerError(f"{sender} gave up{why}", None, kind == _GIVES_UP, sender)
        if begins_message(header):
            # It had not heard of all three when this party had, and is at the join of another run.
            raise PeerError(f"{sender} waits for another to come back", None, False, sender)
        if (number, kind, length) != (size, _DATA, 0):
            raise PeerError(f"{sender} sent {number} bytes, where {size} were due")
        return self._read(sender, size, patience_s)

    def give_up(self, error: KitError, final: bool = True) -> None:
        """Tell the others why, as far as they still listen, and whether it is for good."""
        kind = _GIVES_UP if final else _LEAVES
        words = error.what.encode()[:_WORDS_BYTES].decode(errors="ignore").encode()
        lost = error.party if isinstance(error, PeerError) else None
        culprit = self._connections.index(None) if lost is None else PARTIES.index(lost)
        for party, connection in zip(PARTIES, self._connections, strict=True):
            if connection is not None:
                with contextlib.suppress(JobError, OSError):
                    header = _HEADER.pack(culprit, kind, len(words))
                    self._write(party, header + words, _LAST_WORDS_S)

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
    while not poll.poll(max(0.0, min(end - time.monotonic(), _ASK_EVERY_S)) * 1000):
        if time.monotonic() >= end:
            what = f"nothing has been heard of {party} for {patience_s:g} s"
            raise PeerError(what, None, False, party)
        connection.see_to_answers()
