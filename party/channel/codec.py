"""Messages of the join on a connection: 4 bytes of length, little-endian, then that much JSON."""

from __future__ import annotations

import json
from typing import Any

from party.native import Connection, Want

MESSAGE_BYTES = 4096
"""The longest message."""


class LinkError(Exception):
    """A connection is of no more use, and why."""


def begins_message(header: bytes) -> bool:
    """Whether some bytes, five at least, are the beginning of a message of the join."""
    return 2 <= int.from_bytes(header[:4], "little") <= MESSAGE_BYTES and header[4:5] == b"{"


class Messages:
    """What is said on a connection that never blocks.

    Attributes:
        flushed: whether all that was said is on its way.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.flushed = True
        self._out = self._got = b""

    def say(self, message: dict[str, Any]) -> None:
        """Send a message, as far as the socket takes it; ``send`` goes on with the rest."""
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(text) <= MESSAGE_BYTES, "a message of the join is short by construction"
        self.flushed = False
        self._out += len(text).to_bytes(4, "little") + text
        self.send()

    def send(self) -> None:
        """Send what is left."""
        while self._out:
            taken = self.connection.write(self._out)
            if isinstance(taken, Want):
                return
            self._out = self._out[taken:]
        self.flushed = self.connection.flush() is Want.DONE

    def read(self) -> dict[str, Any] | None:
        """The next whole message, or None while there is none. Not one byte more is taken.

        Raises LinkError for what is no message, and when the peer has closed the connection.
        """
        while True:
            size = int.from_bytes(self._got[:4], "little") if len(self._got) >= 4 else None
            if size is not None and not 2 <= size <= MESSAGE_BYTES:
                raise LinkError("it sent what is no message of the join")
            missing = 4 - len(self._got) if size is None else 4 + size - len(self._got)
            if missing == 0:
                text, self._got = self._got[4:], b""
                return _decoded(text)
            piece = self.connection.read(missing)
            if isinstance(piece, Want):
                return None
            if not piece:
                raise LinkError("went away")
            self._got += piece


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise LinkError("it sent what is no message of the join")
    return message
