"""Who is in common shows in nothing that a party of an alignment receives.

A game: a coin chooses between two worlds that differ only in who is in common, as many in the one
as in the other. A holder has its whole view: what it received and sent, its own order of rows, and
its shares in the end. Each rule of the protocol is taken out once, and the game finds out.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare, fisher_exact, kstest

from party.agreement.job import HOLDERS, PARTIES, Holder
from party.alignment import Identifiers, protocol
from tests.attacks.conftest import Tried
from tests.harness import alignments
from tests.harness.alignments import (
    Alignment,
    Ring,
    identifiers,
    order_seen_to,
    play,
    without,
)

ROWS, COMMON, GAMES = 6, 3, 300
FALSE_ALARM = 1e-12
"""Of one comparison; there are some thousands. Of few games a chi-squared is as far out some fifty
times as often as that. What a missing rule shows is rarer by far: 1e-27 and less."""

OWN = [f"own {i}" for i in range(ROWS)]
OTHERS = [f"other's {i}" for i in range(ROWS - COMMON)]
VALUE = 5
"""Of every number in the tables: whoever sees it, knows it."""


@dataclass
class View:
    """All that a holder has in the end.

    Attributes:
        order: its own rows in the order in which it sent them.
        places: the pairs' places in the other's order.
        sent: its masked rows, in that order.
        own, others: its shares of its own and of the other's columns.
    """

    order: NDArray[np.intp]
    places: NDArray[np.int64]
    sent: Ring
    own: Ring
    others: Ring


def columns(value: int = VALUE) -> Ring:
    return np.full((ROWS, 2), value, np.int64)


def tables(world: int, me: Holder) -> dict[Holder, list[str]]:
    """Of the own rows the first or the last are in common, and of the other's too."""
    other: Holder = "bob" if me == "alice" else "alice"
    if world == 0:
        return {me: OWN, other: [*OWN[:COMMON], *OTHERS]}
    return {me: OWN, other: [*OTHERS, *OWN[COMMON:]]}


def played(
    names: dict[Holder, list[str]], own: Ring, me: Holder
) -> tuple[NDArray[np.intp], Alignment]:
    """An alignment of tables with the same numbers, and the order in which a holder sent its."""
    orders: dict[bytes, NDArray[np.intp]] = {}
    tags = Identifiers.tags

    def noting(self: Identifiers, key: bytes, which: NDArray[np.intp]) -> bytes:
        orders[self.text.tobytes()] = which.copy()
        return tags(self, key, which)

    with patch.object(Identifiers, "tags", noting):
        found = play(names, dict.fromkeys(HOLDERS, own))
    assert not any(found.failures.values()), found.failures
    return orders[identifiers(names[me]).text.tobytes()], found


def view_of(world: int, me: Holder) -> View:
    order, found = played(tables(world, me), columns(), me)
    told = [data for sender, data in found.wire.seen[me] if sender == "server"]
    sent = [data for sender, data in found.wire.seen["server"] if sender == me]
    shares = found.joined[me].shares
    return View(
        order,
        np.frombuffer(told[1], "<u4", COMMON).astype(np.int64),
        np.frombuffer(sent[-1], "<i8").reshape(ROWS, 2),
        shares[me],
        shares["bob" if me == "alice" else "alice"],
    )


def views_of(me: Holder) -> dict[int, list[View]]:
    return {world: [view_of(world, me) for _ in range(GAMES)] for world in (0, 1)}


def row_of(row: Ring, among: Ring) -> int:
    """Which of some rows it is; -1 for none."""
    return next((i for i, one in enumerate(among) if (one == row).all()), -1)


STATISTICS: dict[str, Callable[[View], list[int]]] = {
    "a place": lambda view: view.places.tolist(),
    "the rank of a place": lambda view: np.argsort(view.places).tolist(),
    "the own row at a place": lambda view: view.order[view.places].tolist(),
    "an own row that stands at any place": lambda view: np.bincount(
        view.order[view.places], minlength=ROWS
    ).tolist(),
    "a number that is known": lambda view: [
        int((view.own == VALUE).any()),
        int((view.others == VALUE).any()),
    ],
    "a masked row that comes back": lambda view: [
        view.order[place] if (place := row_of(row, view.sent)) >= 0 else -1 for row in view.own
    ],
    "the lowest bits": lambda view: [
        int(number) & 3 for share in (view.own, view.others) for number in share.reshape(-1)
    ],
}
"""What a holder may count."""


def suspicions(me: Holder) -> dict[str, float]:
    """What differs between the worlds by more than chance, and how likely that were."""
    views = views_of(me)
    found = {}
    for name, of in STATISTICS.items():
        first, second = (np.array([of(view) for view in views[world]]) for world in (0, 1))
        for k in range(first.shape[1]):
            for value in np.union1d(first[:, k], second[:, k]):
                hits = [int((one[:, k] == value).sum()) for one in (first, second)]
                chance = fisher_exact([[h, GAMES - h] for h in hits]).pvalue
                if chance < FALSE_ALARM:
                    found[f"{name}: {value} at {k}"] = float(chance)
    return found


@pytest.mark.parametrize("me", HOLDERS)
def test_a_holders_view_is_the_same_whoever_is_in_common(me: Holder, tried: Tried) -> None:
    assert suspicions(me) == {}
    tried(2 * GAMES, f"alignments of which {me} looks for who is in common")


@pytest.mark.parametrize("me", HOLDERS)
def test_places_and_shares_are_uniform(me: Holder, tried: Tried) -> None:
    assert not_uniform(me) == []
    tried(GAMES, f"alignments of which {me} looks for places and shares that are more frequent")


def not_uniform(me: Holder) -> list[str]:
    """What of a holder's view is not spread evenly, although each of it alone should be."""
    views = [view_of(0, me) for _ in range(GAMES)]
    found = []
    for k in range(COMMON):
        counts = np.bincount([view.places[k] for view in views], minlength=ROWS)
        if chisquare(counts).pvalue < FALSE_ALARM:
            found.append(f"place {k}")
    for name in ("own", "others"):
        numbers = np.array([getattr(view, name) for view in views]).reshape(-1)
        if kstest(numbers / 2.0**64 + 0.5, "uniform").pvalue < FALSE_ALARM:
            found.append(f"the share of {name}")
    return found


def kept_order(me: Holder) -> float:
    """How likely it were by chance that common rows stand in an order that a holder knows.

    Whoever sees both shares knows which row is which: here each has a number of its own."""
    numbered = np.arange(2 * ROWS, dtype=np.int64).reshape(ROWS, 2)
    rising = 0
    for _ in range(GAMES):
        order, found = played(tables(0, me), numbered, me)
        rows = found.table(me)[:, 0] // 2
        rising += bool((np.diff(np.argsort(order)[rows]) > 0).all())
    return float(binomtest(rising, GAMES, 1 / 6).pvalue)  # three rows have six orders


@pytest.mark.parametrize("me", HOLDERS)
def test_common_rows_stand_in_no_order_that_a_holder_knows(me: Holder, tried: Tried) -> None:
    assert kept_order(me) > FALSE_ALARM
    tried(GAMES, f"alignments of which {me} looks for its own order in the joined rows")


# -- the server


@dataclass
class ServerView:
    """What the server is sent: the sizes of its messages, and all bytes of those that are not
    numbers of rows. ``difference`` is that of the two holders' masked columns."""

    sizes: list[tuple[str, int]]
    bytes: NDArray[np.uint8]
    difference: NDArray[np.uint8]


def server_view(world: int) -> ServerView:
    value = VALUE if world == 0 else -(2**62)
    found = play(tables(world, "alice"), dict.fromkeys(HOLDERS, columns(value)))
    # Each holder's in its order; who comes first is chance.
    seen = sorted(found.wire.seen["server"], key=lambda one: one[0])
    masked = [
        np.frombuffer([data for sender, data in seen if sender == holder][-1], "<i8")
        for holder in HOLDERS
    ]
    return ServerView(
        [(sender, len(data)) for sender, data in seen],
        np.frombuffer(b"".join(data for _, data in seen if len(data) > 8), np.uint8),
        np.frombuffer((masked[0] - masked[1]).tobytes(), np.uint8),
    )


def server_suspicions() -> list[str]:
    """What of the server's view differs between worlds, or is no randomness."""
    views = {world: [server_view(world) for _ in range(GAMES)] for world in (0, 1)}
    sizes = views[0][0].sizes
    found = ["sizes" for world in views for view in views[world] if view.sizes != sizes]
    for name in ("bytes", "difference"):
        first, second = (np.array([getattr(view, name) for view in views[w]]) for w in (0, 1))
        for place in range(first.shape[1]):
            high = [int((one[:, place] > 127).sum()) for one in (first, second)]
            chance = fisher_exact([[count, GAMES - count] for count in high]).pvalue
            if chance < FALSE_ALARM or len(np.unique(first[:, place])) < 64:
                found.append(f"{name}, {place}")
    return found


def test_the_server_sees_sizes_and_randomness(tried: Tried) -> None:
    assert server_suspicions() == []
    tried(2 * GAMES, "alignments of which the server looks for who is in common, and for values")


def tried_identifiers() -> int:
    """How many identifiers a server finds that tries them all, with what it may take for keys."""
    names = {holder: [f"{i:03d}" for i in range(500)] for holder in HOLDERS}
    found = play(names, {h: np.ones((500, 1), np.int64) for h in HOLDERS})
    seen = found.wire.seen["server"]
    sent = b"".join(data for _, data in seen)
    tags = {sent[i : i + 16] for i in range(0, len(sent) - 15, 8)}
    every = identifiers([f"{i:03d}" for i in range(1000)])
    hits = 0
    for key in (b"", bytes(32), alignments.RUN.encode(), seen[0][1]):
        guessed = every.tags(key, np.arange(1000))
        hits += sum(guessed[i : i + 16] in tags for i in range(0, len(guessed), 16))
    return hits


def test_a_server_that_tries_all_identifiers_without_the_key_finds_none(tried: Tried) -> None:
    assert tried_identifiers() == 0
    tried(4000, "identifiers that a server tries without the key of an alignment")


# -- what is sent


def test_two_runs_have_no_tag_no_mask_and_no_share_in_common() -> None:
    names = {holder: [f"{i:04d}" for i in range(500)] for holder in HOLDERS}
    own = {holder: np.ones((500, 2), np.int64) for holder in HOLDERS}
    words = []
    for _ in range(2):
        found = play(names, own)
        said = [data for party in found.wire.seen.values() for _, data in party if len(data) > 40]
        words.append({data[i : i + 16] for data in said for i in range(0, len(data) - 15, 16)})
        assert len(words[-1]) == sum(len(data) // 16 for data in said) - 500, "the tags of pairs"
    assert not words[0] & words[1]


@pytest.mark.parametrize("victim", HOLDERS)
def test_no_identifier_and_no_number_of_a_holder_is_sent_to_anybody(
    victim: Holder, tried: Tried
) -> None:
    canaries = [f"canary-{i:05d}-identifier" for i in range(50)]
    secret = np.arange(100, dtype=np.int64).reshape(50, 2) + 0x5EC2E70DD5000
    own = {h: secret if h == victim else np.ones((50, 2), np.int64) for h in HOLDERS}
    found = play(dict.fromkeys(HOLDERS, canaries), own)
    said = b"|".join(data for party in found.wire.seen.values() for _, data in party)
    assert b"canary" not in said and b"identifier" not in said
    assert not any(int(number).to_bytes(8, "little") in said for number in secret.reshape(-1))
    tried(len(canaries) + secret.size, f"identifiers and numbers of {victim}'s, looked for")


# -- tables in the same order: a digest says whether they are

LISTED = [f"canary {i}" for i in range(8)]
OTHERWISE = {"two rows": [*LISTED[:6], LISTED[7], LISTED[6]], "all rows": [*LISTED[::-1]]}
"""Two worlds of a list that is another one."""


def order_suspicions(roles: ModuleType = protocol) -> list[str]:
    """What a party sees of lists that differ here or there, beside that they do."""
    views = [
        [order_seen_to(LISTED, other, roles)[1].seen for _ in range(GAMES)]
        for other in OTHERWISE.values()
    ]
    found = []
    for party, sender in permutations(PARTIES, 2):
        said = [
            [b"".join(data for who, data in view[party] if who == sender) for view in world]
            for world in views
        ]
        if what := _told_by(*said):
            found.append(f"{party}, by {sender}: {what}")
    every = b"|".join(m for world in views for v in world for told in v.values() for _, m in told)
    return found + ["an identifier"] * (b"canary" in every)


def _told_by(first: list[bytes], second: list[bytes]) -> str | None:
    """What tells two worlds apart, if anything, or is no fresh randomness."""
    sizes, different = {len(one) for one in (*first, *second)}, len({*first, *second})
    if len(sizes) > 1:
        return "sizes"
    if max(sizes) <= 1:  # a word, or nothing
        return "words" if different > 1 else None
    if different < 2 * GAMES:
        return "the same twice"
    high = [np.array([[*one] for one in world]) > 127 for world in (first, second)]
    for place in range(max(sizes)):
        hits = [int(world[:, place].sum()) for world in high]
        if fisher_exact([[h, GAMES - h] for h in hits]).pvalue < FALSE_ALARM:
            return f"byte {place}"
    return None


def test_a_comparison_of_orders_tells_one_bit_and_no_more(tried: Tried) -> None:
    assert order_suspicions() == []
    tried(2 * GAMES, "comparisons of two lists of which a party looks for where they differ")


def tried_lists(roles: ModuleType = protocol) -> int:
    """How many of some lists a server knows again that tries them without the key."""
    names = [str(i) for i in range(50)]
    hits = 0
    for name in names:
        _, wire = order_seen_to([name], [name], roles)
        digests = {data for _, data in wire.seen["server"]}
        for key in (b"", bytes(32), alignments.RUN.encode()):
            tags = identifiers([name]).tags(key, np.arange(1))
            hits += hmac.digest(key, tags, "sha256") in digests
    return hits


def test_a_server_that_tries_lists_without_the_key_finds_none(tried: Tried) -> None:
    assert tried_lists() == 0
    tried(150, "lists of identifiers that a server tries without the key of their digest")


@pytest.mark.parametrize(
    "old, new, found_by",
    [
        ("own_secret = secrets.token_bytes(KEY_BYTES)\n    exchange.send(other, own_secret)",
         "own_secret = bytes(KEY_BYTES)\n    exchange.send(other, own_secret)", order_suspicions),
        ('key = derived(b"".join(parts[holder] for holder in HOLDERS), run, "order")',
         'key = b""', tried_lists),
        ("_SAME if same else _DIFFERENT", "bytes([sum(map(int.__eq__, alice, bob))])",
         order_suspicions),
    ],
)  # fmt: skip
def test_without_this_rule_an_order_shows(old: str, new: str, found_by: Callable[..., Any]) -> None:
    assert found_by(without(protocol, ((old, new),)))


# -- with one rule less, the game finds out

RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "a holder's order is random": (("order = random_order(rows)", "order = np.arange(rows)"),),
    "the pairs' order is random": (
        ("order = random_order(common)", "order = np.argsort(pairs['alice'])"),
    ),
    "each is told places in the other's order": (
        ("places[other_of(holder)].astype", "places[holder].astype"),
    ),
    "what is handed back has a fresh mask": (
        ("masked[part] -= fresh[holder].take(*masked[part].shape)", "pass"),
        ("add_of(fresh, share)", "pass"),
    ),
    "each holder's columns have a stream of their own": (
        ('f"columns of {me}"', '"columns"'),
        ('f"columns of {other}"', '"columns"'),
    ),
    "columns are masked": (("masked += stream.take(*masked.shape)", "pass"),),
    "tags have a key": (("identifiers.tags(tag_key,", 'identifiers.tags(b"",'),),
}

FOUND_BY: dict[str, Callable[[], Any]] = {
    "a holder's order is random": lambda: suspicions("bob"),
    "the pairs' order is random": lambda: kept_order("alice") < FALSE_ALARM,
    "each is told places in the other's order": lambda: suspicions("alice"),
    "what is handed back has a fresh mask": lambda: suspicions("alice"),
    "each holder's columns have a stream of their own": server_suspicions,
    "columns are masked": server_suspicions,
    "tags have a key": tried_identifiers,
}


@pytest.mark.parametrize("rule", RULES)
def test_without_this_rule_the_attack_succeeds(rule: str, tried: Tried) -> None:
    mutant = without(protocol, RULES[rule])
    with (
        patch.object(alignments, "join_as_holder", mutant.join_as_holder),
        patch.object(alignments, "join_as_server", mutant.join_as_server),
    ):
        assert FOUND_BY[rule]()
    tried(1, "alignment with a rule less, which these attacks find")
