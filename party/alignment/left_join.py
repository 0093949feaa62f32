"""The three roles of a left join: every row of one table, with its partner in the other, if any.

The *left* holder's rows are all kept; each gets the columns of its partner at the *right* holder,
or those of a dummy, on shares. Neither holder learns which, or how many have a partner
(semi-honest, without collusion).

The right holder puts as many dummies as the left has rows among its own rows, in one random order,
and tells the server at which places its rows stand, with their tags. The server gives each row of
the left, in the left's own random order, the place of its partner, or of a dummy that is drawn at
random. So the left is told as many different places as it has rows, which say nothing to who does
not know the right's order. Columns go the way of an alignment: the right holder sends them masked
by a stream that both holders can make, the server picks rows of what is masked, the left holder
those of the stream, and the server hands its own to the right holder under a mask that it shares
with the left.

    X[places] = (fresh - stream[places])   at the left holder
              + (masked[places] - fresh)   at the right holder

The left holder's columns are sent to nobody: the joined rows stand in its own order.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import HOLDERS, Holder, Sizes
from party.agreement.limits import MOST_ROWS
from party.agreement.parties import other_of
from party.alignment.identifiers import TAG_BYTES, Identifiers
from party.alignment.masks import KEY_BYTES, Stream, derived, random_order
from party.alignment.messages import (
    COUNT,
    PLACE,
    WORD,
    Columns,
    Exchange,
    Places,
    Ring,
    add_of,
    count_bytes,
    counted,
    parts_of,
    picked,
    received,
    received_tags,
    rows_from,
    taken,
)
from party.alignment.protocol import matched, too_few
from party.process.errors import JobError

_ENOUGH, _TOO_FEW = b"\1", b"\0"


class RightColumns(Columns, Protocol):
    """The right holder's own columns."""

    @property
    def absent(self) -> Ring:
        """What stands for a row that it lacks, [columns]."""


@dataclass(frozen=True, eq=False)
class LeftJoined:
    """What the left holder has in the end.

    Attributes:
        sizes: of both tables.
        order: the row of its table that stands at each place of the joined order.
        share: its share of the right's columns, in that order, [rows, columns].
    """

    sizes: Sizes
    order: NDArray[np.int64]
    share: Ring


def join_as_left(
    exchange: Exchange, me: Holder, run: str, identifiers: Identifiers, width: int, minimum: int
) -> LeftJoined:
    """The role of the holder whose rows are all kept.

    Args:
        exchange: with the other holder and the server.
        me: who this is.
        run: the name of the run, which all three share.
        identifiers: of the own rows.
        width: how many columns the right holder has.
        minimum: the job's: fewer rows in common end it.

    Raises:
        JobError: there are too few in common, or another party says what it may not.
    """
    other, rows = other_of(me), len(identifiers)
    secret, others = _meet(exchange, me, rows)
    order = random_order(rows)
    exchange.send("server", count_bytes(rows))
    tag_key = derived(secret, run, "tags")
    for part in parts_of(rows, TAG_BYTES):
        exchange.send("server", identifiers.tags(tag_key, order[part]))

    _see_to_enough(exchange, minimum)
    found = exchange.receive("server", rows * PLACE + KEY_BYTES)
    places, fresh = np.frombuffer(found, "<u4", rows), Stream(found[rows * PLACE :])
    if int(places.max()) >= others + rows:
        raise JobError(f"server named a row that {other} does not have")
    stream = Stream(derived(secret, run, f"columns of {other}"))
    share = picked(taken(stream, others + rows, width), places, width)
    np.negative(share, out=share)
    add_of(fresh, share)
    return LeftJoined(_sizes(me, rows, others), identifiers.rows[order], share)


def join_as_right(
    exchange: Exchange,
    me: Holder,
    run: str,
    identifiers: Identifiers,
    columns: RightColumns,
    minimum: int,
) -> tuple[Sizes, Ring]:
    """The role of the holder whose columns are joined to the left's rows.

    Args:
        exchange, me, run, minimum: as for the left.
        identifiers: of the own rows.
        columns: of the own rows, and of one that is absent.

    Returns:
        The sizes of both tables, and its share of its columns in the left's order, of which it
        knows nothing: [the left's rows, columns].

    Raises:
        JobError: as for the left.
    """
    rows, width = len(identifiers), len(columns.absent)
    secret, others = _meet(exchange, me, rows)
    # At each place a row, or from ``rows`` on a dummy.
    order = random_order(rows + others)
    stands = order < rows
    exchange.send("server", count_bytes(rows))
    for part in parts_of(len(order), 1):
        exchange.send("server", np.packbits(stands[part]).tobytes())
    own, tag_key = order[stands], derived(secret, run, "tags")
    for part in parts_of(rows, TAG_BYTES):
        exchange.send("server", identifiers.tags(tag_key, own[part]))

    _see_to_enough(exchange, minimum)
    stream = Stream(derived(secret, run, f"columns of {me}"))
    for part in parts_of(len(order), width * WORD):
        masked = np.tile(columns.absent, (part.stop - part.start, 1))
        here = order[part][stands[part]]
        masked[stands[part]] = columns.rows(identifiers.rows[here])
        masked += stream.take(*masked.shape)
        exchange.send("server", masked.tobytes())
    share = np.empty((others, width), np.int64)
    for part in parts_of(others, width * WORD):
        share[part] = rows_from(exchange, "server", share[part].shape)
    return _sizes(me, rows, others), share


def join_as_server(exchange: Exchange, left: Holder, width: int, minimum: int) -> Sizes:
    """The server's role. It learns how many rows are in common, and keeps nothing of it.

    Raises:
        JobError: there are too few, or a holder says what it may not.
    """
    right = other_of(left)
    counts: dict[Holder, int] = {}
    tags: dict[Holder, NDArray[np.uint64]] = {}
    for holder in (left, right):
        counts[holder] = counted(exchange.receive(holder, COUNT), holder, MOST_ROWS)
        if holder == right:
            stands = _received_bits(exchange, right, counts)
        tags[holder] = received_tags(exchange, holder, counts[holder])
    pairs = matched(tags)
    tags.clear()
    enough = len(pairs[left]) >= minimum
    for holder in HOLDERS:
        exchange.send(holder, _ENOUGH if enough else _TOO_FEW)
    if not enough:
        raise too_few(minimum)
    places = partners(pairs[left], pairs[right], stands, counts[left])
    key = secrets.token_bytes(KEY_BYTES)
    exchange.send(left, places.astype("<u4").tobytes() + key)
    fresh = Stream(key)
    masked = picked(received(exchange, right, len(stands), width), places, width)
    for part in parts_of(counts[left], width * WORD):
        masked[part] -= fresh.take(*masked[part].shape)
        exchange.send(right, masked[part].tobytes())
    return Sizes(alice=counts["alice"], bob=counts["bob"])


def partners(left: Places, right: Places, stands: NDArray[np.bool_], left_rows: int) -> Places:
    """The place in the right's order of what is joined to each row of the left.

    Args:
        left, right: places of equal tags in both holders' lists.
        stands: at which places of the right's order a row stands; at the others are dummies.
        left_rows: how many rows the left has.
    """
    rows, dummies = np.flatnonzero(stands), np.flatnonzero(~stands)
    places = np.empty(left_rows, np.uint32)
    alone = np.ones(left_rows, np.bool_)
    places[left], alone[left] = rows[right], False
    drawn = random_order(len(dummies))[: left_rows - len(left)]
    places[alone] = dummies[drawn]
    return places


def _meet(exchange: Exchange, me: Holder, rows: int) -> tuple[bytes, int]:
    """The holders' common secret, and how many rows the other one has."""
    other, own = other_of(me), secrets.token_bytes(KEY_BYTES)
    exchange.send(other, count_bytes(rows) + own)
    told = exchange.receive(other, COUNT + KEY_BYTES)
    others = counted(told[:COUNT], other, MOST_ROWS)
    parts = {me: own, other: told[COUNT:]}
    return b"".join(parts[holder] for holder in HOLDERS), others


def _see_to_enough(exchange: Exchange, minimum: int) -> None:
    if exchange.receive("server", 1) != _ENOUGH:
        raise too_few(minimum)


def _received_bits(
    exchange: Exchange, right: Holder, counts: dict[Holder, int]
) -> NDArray[np.bool_]:
    """At which of all places the right holder's rows stand."""
    stands = np.empty(sum(counts.values()), np.bool_)
    for part in parts_of(len(stands), 1):
        size = part.stop - part.start
        text = exchange.receive(right, -(-size // 8))
        stands[part] = np.unpackbits(np.frombuffer(text, np.uint8), count=size)
    if stands.sum() != counts[right]:
        raise JobError(f"{right} has other places for its rows than it has rows")
    return stands


def _sizes(me: Holder, rows: int, others: int) -> Sizes:
    return Sizes(alice=rows, bob=others) if me == "alice" else Sizes(alice=others, bob=rows)
