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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import HOLDERS, Holder, Party, Sizes
from party.agreement.limits import MOST_ROWS
from party.alignment.identifiers import TAG_BYTES, Identifiers
from party.alignment.masks import KEY_BYTES, Stream, derived, random_order
from party.process.errors import JobError

Ring = NDArray[np.int64]
Places = NDArray[np.uint32]
Own = TypeVar("Own", bound="Columns")

_COUNT, _PLACE, _WORD, _DIGEST = 8, 4, 8, 32
_SAME, _DIFFERENT = b"\1", b"\0"
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
    other, rows = _other(me), len(identifiers)
    own_secret = secrets.token_bytes(KEY_BYTES)
    exchange.send(other, _count(rows) + own_secret)
    told = exchange.receive(other, _COUNT + KEY_BYTES)
    counts = {me: rows, other: _counted(told[:_COUNT], other, MOST_ROWS)}
    parts = {me: own_secret, other: told[_COUNT:]}
    secret = b"".join(parts[holder] for holder in HOLDERS)

    own = columns(counts["alice"], counts["bob"])  # which may find them unfit, before they leave
    order = random_order(rows)
    exchange.send("server", _count(rows))
    tag_key = derived(secret, run, "tags")
    for part in _parts(rows, TAG_BYTES):
        exchange.send("server", identifiers.tags(tag_key, order[part]))

    common = _counted(exchange.receive("server", _COUNT), "server", min(counts.values()), 0)
    if common < minimum:
        raise too_few(minimum)
    found = exchange.receive("server", common * _PLACE + KEY_BYTES)
    places, fresh = np.frombuffer(found, "<u4", common), Stream(found[common * _PLACE :])
    if common and int(places.max()) >= counts[other]:
        raise JobError(f"server named a row that {other} does not have")

    stream = Stream(derived(secret, run, f"columns of {me}"))
    for part in _parts(rows, widths[me] * _WORD):
        masked = own.rows(identifiers.rows[order[part]])
        masked += stream.take(*masked.shape)
        exchange.send("server", masked.tobytes())

    others = Stream(derived(secret, run, f"columns of {other}"))
    share = -_picked(_taken(others, counts[other], widths[other]), places, widths[other])
    share += fresh.take(*share.shape)
    mine = np.empty((common, widths[me]), np.int64)
    for part in _parts(common, widths[me] * _WORD):
        mine[part] = _rows(exchange, "server", mine[part].shape)
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
        counts[holder] = _counted(exchange.receive(holder, _COUNT), holder, MOST_ROWS)
        own = np.empty((counts[holder], TAG_BYTES // _WORD), np.uint64)
        for part in _parts(len(own), TAG_BYTES):
            text = exchange.receive(holder, own[part].nbytes)
            own[part] = np.frombuffer(text, "<u8").reshape(-1, own.shape[1])
        tags[holder] = own
    pairs = matched(tags)
    tags.clear()
    common = len(pairs["alice"])
    if common < minimum:
        for holder in HOLDERS:
            exchange.send(holder, _count(0))  # how many they are, nobody is told
        raise too_few(minimum)
    order = random_order(common)
    places = {holder: pairs[holder][order] for holder in HOLDERS}
    fresh: dict[Holder, Stream] = {}
    for holder in HOLDERS:
        key = secrets.token_bytes(KEY_BYTES)
        fresh[_other(holder)] = Stream(key)
        exchange.send(holder, _count(common))
        exchange.send(holder, places[_other(holder)].astype("<u4").tobytes() + key)
    for holder in HOLDERS:
        width = widths[holder]
        masked = _picked(_received(exchange, holder, counts[holder], width), places[holder], width)
        for part in _parts(common, width * _WORD):
            masked[part] -= fresh[holder].take(*masked[part].shape)
            exchange.send(holder, masked[part].tobytes())
    return Sizes(alice=counts["alice"], bob=counts["bob"], common=common)


def same_order_as_holder(exchange: Exchange, me: Holder, run: str, rows: Identifiers) -> None:
    """A holder's role where both tables have the same rows in the same order: the server compares
    digests under a key that it does not know, and tells both whether they are equal.

    Raises:
        JobError: they are not, or another party says what it may not.
    """
    other = _other(me)
    own_secret = secrets.token_bytes(KEY_BYTES)
    exchange.send(other, own_secret)
    parts = {me: own_secret, other: exchange.receive(other, KEY_BYTES)}
    key = derived(b"".join(parts[holder] for holder in HOLDERS), run, "order")
    digest = hmac.new(key, digestmod="sha256")
    for part in _parts(len(rows), TAG_BYTES):
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
    hint = "look whether both mean the same by align.key; or agree on a smaller align.minimum"
    return JobError(f"fewer than {minimum} rows are in common", "the job's align.minimum", hint)


def _other(holder: Holder) -> Holder:
    return "bob" if holder == "alice" else "alice"


def _count(count: int) -> bytes:
    return count.to_bytes(_COUNT, "little")


def _counted(text: bytes, sender: Party, most: int, least: int = 1) -> int:
    count = int.from_bytes(text, "little")
    if not least <= count <= most:
        raise JobError(f"{sender} spoke of {count} rows, where {least} to {most} may be")
    return count


def _parts(rows: int, row_bytes: int) -> Iterator[slice]:
    """Some rows at a time."""
    size = max(1, _MESSAGE_BYTES // row_bytes) if row_bytes else rows
    for begin in range(0, rows if row_bytes else 0, size):
        yield slice(begin, min(begin + size, rows))


def _rows(exchange: Exchange, sender: Party, shape: tuple[int, ...]) -> Ring:
    size = int(np.prod(shape)) * _WORD
    return np.frombuffer(exchange.receive(sender, size), "<i8").reshape(shape)


def _received(exchange: Exchange, sender: Party, rows: int, columns: int) -> Iterator[Ring]:
    for part in _parts(rows, columns * _WORD):
        yield _rows(exchange, sender, (part.stop - part.start, columns))


def _taken(stream: Stream, rows: int, columns: int) -> Iterator[Ring]:
    for part in _parts(rows, columns * _WORD):
        yield stream.take(part.stop - part.start, columns)


def _picked(parts: Iterator[Ring], places: Places, columns: int) -> Ring:
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
