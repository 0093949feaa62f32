"""What the three say to each other in an alignment: sizes, and rows some at a time.

Messages have sizes that both ends know beforehand. Nothing here touches a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import Holder, Party
from party.alignment.identifiers import TAG_BYTES
from party.alignment.masks import Stream
from party.process.errors import JobError

Ring = NDArray[np.int64]
Places = NDArray[np.uint32]

COUNT, PLACE, WORD = 8, 4, 8
"""Bytes of a number of rows, of a place and of a number of the ring."""

_MESSAGE_BYTES = 1 << 20
"""Of rows that are sent one message after the other, so that memory does not grow with them."""


class Exchange(Protocol):
    """Messages between the parties, in order."""

    def send(self, to: Party, data: bytes) -> None:
        """Send a message."""

    def receive(self, sender: Party, size: int) -> bytes:
        """The next message of a party, which has this size. Raises JobError for another one."""


class Columns(Protocol):
    """A holder's own columns, before they are joined."""

    def rows(self, which: NDArray[np.int64]) -> Ring:
        """Some of the table's rows, [rows, columns]."""


def count_bytes(count: int) -> bytes:
    """A number of rows, as it is sent."""
    return count.to_bytes(COUNT, "little")


def counted(text: bytes, sender: Party, most: int, least: int = 1) -> int:
    count = int.from_bytes(text, "little")
    if not least <= count <= most:
        raise JobError(f"{sender} spoke of {count} rows, where {least} to {most} may be")
    return count


def parts_of(rows: int, row_bytes: int) -> Iterator[slice]:
    """Some rows at a time."""
    size = max(1, _MESSAGE_BYTES // row_bytes) if row_bytes else rows
    for begin in range(0, rows if row_bytes else 0, size):
        yield slice(begin, min(begin + size, rows))


def received_tags(exchange: Exchange, holder: Holder, rows: int) -> NDArray[np.uint64]:
    """The tags of a holder's rows, each two numbers."""
    found = np.empty((rows, TAG_BYTES // WORD), np.uint64)
    for part in parts_of(rows, TAG_BYTES):
        text = exchange.receive(holder, found[part].nbytes)
        found[part] = np.frombuffer(text, "<u8").reshape(-1, found.shape[1])
    return found


def rows_from(exchange: Exchange, sender: Party, shape: tuple[int, ...]) -> Ring:
    size = int(np.prod(shape)) * WORD
    return np.frombuffer(exchange.receive(sender, size), "<i8").reshape(shape)


def received(exchange: Exchange, sender: Party, rows: int, columns: int) -> Iterator[Ring]:
    for part in parts_of(rows, columns * WORD):
        yield rows_from(exchange, sender, (part.stop - part.start, columns))


def taken(stream: Stream, rows: int, columns: int) -> Iterator[Ring]:
    for part in parts_of(rows, columns * WORD):
        yield stream.take(part.stop - part.start, columns)


def add_of(stream: Stream, share: Ring) -> None:
    """Add the next numbers of a stream to a share, in its place."""
    for part in parts_of(len(share), share.shape[1] * WORD):
        share[part] += stream.take(*share[part].shape)


def picked(parts: Iterator[Ring], places: Places, columns: int) -> Ring:
    """Some rows of many, which come part by part, in the order of ``places``."""
    found = np.empty((len(places), columns), np.int64)
    by_place = np.argsort(places, kind="stable")
    ordered = places[by_place]
    begin = done = 0
    for part in parts:
        upto = done + int(np.searchsorted(ordered[done:], begin + len(part)))
        found[by_place[done:upto]] = part[ordered[done:upto] - begin]
        begin, done = begin + len(part), upto
    return found
