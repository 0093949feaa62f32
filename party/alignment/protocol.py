"""The three roles of an alignment: two holders and a server (semi-honest, without collusion).

Each holder sends the server the tags of its identifiers, in a random order of its own; a tag is a
keyed hash, and the key is the holders'. The server finds equal tags and puts the pairs into a
random order. It tells each holder the pairs' places in the *other* one's order, which say nothing
to who does not know that order. Each holder sends the server its columns, masked by a stream that
both holders can make: the server picks the pairs' rows of what is masked, the other holder those of
the stream. So both have shares of the joined rows; the server hands its own to the columns' owner,
under a mask that it shares with the other holder alone (server-aided: Kamara, Mohassel, Raykova and
Sadeghian, FC 2014; joins on shares: Mohassel, Rindal and Rosulek, CCS 2020).

    X[pairs] = (masked[pairs] - fresh)   at the owner
             + (fresh - stream[pairs])   at the other holder

Messages have sizes that both ends know beforehand. Nothing here touches a connection.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

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
from party.process.errors import JobError

Own = TypeVar("Own", bound=Columns)

_DIGEST = 32
_SAME, _DIFFERENT = b"\1", b"\0"


@dataclass(frozen=True, eq=False)
class Joined(Generic[Own]):
    """What a holder has in the end.

    Attributes:
        sizes: of the tables, and of what they have in common.
        own: its own columns.
        shares: its share of the common rows, by whose columns they are, [rows, columns].
    """

    sizes: Sizes
    own: Own
    shares: dict[Holder, Ring]


def join_as_holder(
    exchange: Exchange,
    me: Holder,
    run: str,
    identifiers: Identifiers,
    columns: Callable[[int, int], Own],
    widths: dict[Holder, int],
    minimum: int,
) -> Joined[Own]:
    """A holder's role.

    Args:
        exchange: with the other holder and the server.
        me: who this is.
        run: the name of the run, which all three share.
        identifiers: of the own rows.
        columns: makes the own columns, when the numbers of Alice's and Bob's rows are known.
        widths: how many columns each holder has.
        minimum: the job's.

    Raises:
        JobError: there are too few common rows, or another party says what it may not.
    """
    other, rows = other_of(me), len(identifiers)
    own_secret = secrets.token_bytes(KEY_BYTES)
    exchange.send(other, count_bytes(rows) + own_secret)
    told = exchange.receive(other, COUNT + KEY_BYTES)
    counts = {me: rows, other: counted(told[:COUNT], other, MOST_ROWS)}
    parts = {me: own_secret, other: told[COUNT:]}
    secret = b"".join(parts[holder] for holder in HOLDERS)

    own = columns(counts["alice"], counts["bob"])  # which may find them unfit, before they leave
    order = random_order(rows)
    exchange.send("server", count_bytes(rows))
    tag_key = derived(secret, run, "tags")
    for part in parts_of(rows, TAG_BYTES):
        exchange.send("server", identifiers.tags(tag_key, order[part]))

    common = counted(exchange.receive("server", COUNT), "server", min(counts.values()), 0)
    if common < minimum:
        raise too_few(minimum)
    found = exchange.receive("server", common * PLACE + KEY_BYTES)
    places, fresh = np.frombuffer(found, "<u4", common), Stream(found[common * PLACE :])
    if common and int(places.max()) >= counts[other]:
        raise JobError(f"server named a row that {other} does not have")

    stream = Stream(derived(secret, run, f"columns of {me}"))
    for part in parts_of(rows, widths[me] * WORD):
        masked = own.rows(identifiers.rows[order[part]])
        masked += stream.take(*masked.shape)
        exchange.send("server", masked.tobytes())

    others = Stream(derived(secret, run, f"columns of {other}"))
    share = picked(taken(others, counts[other], widths[other]), places, widths[other])
    np.negative(share, out=share)
    add_of(fresh, share)
    mine = np.empty((common, widths[me]), np.int64)
    for part in parts_of(common, widths[me] * WORD):
        mine[part] = rows_from(exchange, "server", mine[part].shape)
    sizes = Sizes(alice=counts["alice"], bob=counts["bob"], common=common)
    return Joined(sizes, own, {me: mine, other: share})


def join_as_server(exchange: Exchange, widths: dict[Holder, int], minimum: int) -> Sizes:
    """The server's role. It keeps nothing but the sizes.

    Raises:
        JobError: there are too few common rows, or a holder says what it may not.
    """
    counts: dict[Holder, int] = {}
    tags: dict[Holder, NDArray[np.uint64]] = {}
    for holder in HOLDERS:
        counts[holder] = counted(exchange.receive(holder, COUNT), holder, MOST_ROWS)
        tags[holder] = received_tags(exchange, holder, counts[holder])
    pairs = matched(tags)
    tags.clear()
    common = len(pairs["alice"])
    if common < minimum:
        for holder in HOLDERS:
            exchange.send(holder, count_bytes(0))  # how many they are, nobody is told
        raise too_few(minimum)
    order = random_order(common)
    places = {holder: pairs[holder][order] for holder in HOLDERS}
    fresh: dict[Holder, Stream] = {}
    for holder in HOLDERS:
        key = secrets.token_bytes(KEY_BYTES)
        fresh[other_of(holder)] = Stream(key)
        exchange.send(holder, count_bytes(common))
        exchange.send(holder, places[other_of(holder)].astype("<u4").tobytes() + key)
    for holder in HOLDERS:
        width = widths[holder]
        masked = picked(received(exchange, holder, counts[holder], width), places[holder], width)
        for part in parts_of(common, width * WORD):
            masked[part] -= fresh[holder].take(*masked[part].shape)
            exchange.send(holder, masked[part].tobytes())
    return Sizes(alice=counts["alice"], bob=counts["bob"], common=common)


def same_order_as_holder(exchange: Exchange, me: Holder, run: str, rows: Identifiers) -> None:
    """A holder's role where both tables have the same rows in the same order: the server compares
    digests under a key that it does not know, and tells both whether they are equal.

    Raises:
        JobError: they are not, or another party says what it may not.
    """
    other = other_of(me)
    own_secret = secrets.token_bytes(KEY_BYTES)
    exchange.send(other, own_secret)
    parts = {me: own_secret, other: exchange.receive(other, KEY_BYTES)}
    key = derived(b"".join(parts[holder] for holder in HOLDERS), run, "order")
    digest = hmac.new(key, digestmod="sha256")
    for part in parts_of(len(rows), TAG_BYTES):
        digest.update(rows.tags(key, np.arange(part.start, part.stop)))
    exchange.send("server", digest.digest())
    if exchange.receive("server", 1) != _SAME:
        raise _other_order()


def same_order_as_server(exchange: Exchange) -> None:
    """The server's role. It learns whether they are equal, and nothing else.

    Raises:
        JobError: they are not, or a holder says what it may not.
    """
    alice, bob = (exchange.receive(holder, _DIGEST) for holder in HOLDERS)
    same = hmac.compare_digest(alice, bob)
    for holder in HOLDERS:
        exchange.send(holder, _SAME if same else _DIFFERENT)
    if not same:
        raise _other_order()


def _other_order() -> JobError:
    what = "alice's and bob's tables have other rows, or the same in another order"
    hint = "put both into one order; or leave out align.order and rows, and they are matched"
    return JobError(what, "the job's align.order", hint)


def matched(tags: dict[Holder, NDArray[np.uint64]]) -> dict[Holder, Places]:
    """The places of equal tags in both holders' lists, in an order that follows from the tags.

    They are sorted by their first halves, and the other halves are compared.

    Raises:
        JobError: a list has a tag twice.
    """
    count = len(tags["alice"])
    both = np.concatenate([tags["alice"], tags["bob"]])
    pair, longer = _neighbours(both[:, :1], np.argsort(both[:, 0]))
    if longer or _of_one(pair, count).any():
        # Two halves are equal by chance, or a tag stands twice. Equal ones keep their order here.
        pair, _ = _neighbours(both, np.lexsort((both[:, 1], both[:, 0])))
        for place in pair[1][_of_one(pair, count)][:1]:
            raise JobError(f"{'alice' if place < count else 'bob'} sent a tag twice")
    equal = both[pair[0], 1] == both[pair[1], 1]
    found = pair[:, equal]
    return {"alice": found[0].astype(np.uint32), "bob": (found[1] - count).astype(np.uint32)}


def _neighbours(keys: NDArray[np.uint64], order: NDArray[np.intp]) -> tuple[NDArray[np.intp], bool]:
    """The places of equal keys that follow each other in an order, the lower ones first, and
    whether more than two do."""
    ordered = keys[order]
    first = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1))
    pair = np.sort(np.stack([order[first], order[first + 1]]), axis=0)
    return pair, bool((np.diff(first) == 1).any())


def _of_one(pair: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """Which pairs are of one holder's tags, of which Alice's are so many."""
    return np.asarray((pair[0] < count) == (pair[1] < count))


def too_few(minimum: int) -> JobError:
    """What all three say when there are not enough."""
    hint = (
        "look whether both mean the same by align.key, and whether dates in it are said to be of "
        "type date; or agree on a smaller align.minimum"
    )
    return JobError(f"fewer than {minimum} rows are in common", "the job's align.minimum", hint)
