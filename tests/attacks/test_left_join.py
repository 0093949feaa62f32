"""Who has a partner shows in nothing that a party of a left join receives, nor how many have one.

A game as in ``test_alignment``: two worlds differ in who is in common, and, for the holders, in how
many. Each rule of the protocol is taken out once, and the game finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare, fisher_exact, kstest

from party.agreement.job import HOLDERS, Holder
from party.alignment import Identifiers, left_join
from tests.attacks.conftest import Tried
from tests.attacks.test_alignment import row_of
from tests.harness.alignments import RUN, identifiers, without
from tests.harness.left_joins import LeftJoin, play

ROWS, OTHERS, GAMES = 6, 5, 150
PLACES = ROWS + OTHERS
FALSE_ALARM = 1e-12
"""Of one comparison; there are some thousands. Of few games a chi-squared is as far out some fifty
times as often as that. What a missing rule shows is rarer by far: 1e-27 and less."""

LEFT: Holder = "alice"
RIGHT: Holder = "bob"
LEFTS = [f"left's {i}" for i in range(ROWS)]
RIGHTS = [f"right's {i}" for i in range(OTHERS)]
VALUE, ABSENT = 5, 11
"""Of every number of a row, and of one that is absent: whoever sees it, knows it."""
COLUMNS, NO_COLUMNS = np.full((OTHERS, 2), VALUE, np.int64), np.full(2, ABSENT, np.int64)


def tables(world: int, me: Holder | None) -> dict[Holder, list[str]]:
    """The own rows are the same in both worlds. In one world the first three are in common, in the
    other the last alone; before the server as many in both, since it may know how many."""
    own, other = (LEFTS, RIGHTS) if me != RIGHT else (RIGHTS, LEFTS)
    common = own[:3] if world == 0 else own[-1:] if me is not None else own[-3:]
    others = [*common, *other[len(common) :]]
    return {LEFT: own, RIGHT: others} if me != RIGHT else {LEFT: others, RIGHT: own}


@dataclass
class Played:
    """A join, and in which order each holder sent its tags."""

    join: LeftJoin
    orders: dict[Holder, NDArray[np.intp]]

    def told(self, party: Holder) -> list[bytes]:
        """What the server said to a holder."""
        return [data for sender, data in self.join.wire.seen[party] if sender == "server"]

    def sent(self, party: Holder) -> list[bytes]:
        """What a holder said to the server."""
        return [data for sender, data in self.join.wire.seen["server"] if sender == party]


def played(world: int, me: Holder | None, roles: ModuleType, shift: int = 0) -> Played:
    orders: dict[bytes, NDArray[np.intp]] = {}
    tags, names = Identifiers.tags, tables(world, me)

    def noting(self: Identifiers, key: bytes, which: NDArray[np.intp]) -> bytes:
        orders[self.text.tobytes()] = which.copy()
        return tags(self, key, which)

    with patch.object(Identifiers, "tags", noting):
        found = play(names, COLUMNS + shift, NO_COLUMNS + shift, LEFT, roles=roles)
    assert not any(found.failures.values()), found.failures
    return Played(
        found, {who: orders[identifiers(names[who]).text.tobytes()] for who in (LEFT, RIGHT)}
    )


# -- the holders


def left_view(one: Played) -> dict[str, list[int]]:
    """What the left holder may count of all that it has in the end."""
    verdict, rest = one.told(LEFT)
    places, order = np.frombuffer(rest, "<u4", ROWS).astype(int), one.orders[LEFT]
    assert one.join.left is not None
    of_row = np.empty(ROWS, int)
    of_row[order] = places
    sent_at = np.argsort(order)
    pairs = [(a, b) for a in range(ROWS) for b in range(a)]
    return {
        "the verdict": list(verdict),
        "the place given to an own row": of_row.tolist(),
        "the rank of its place": np.argsort(np.argsort(of_row)).tolist(),
        "places that rise as rows were sent": [
            int((of_row[a] > of_row[b]) == (sent_at[a] > sent_at[b])) for a, b in pairs
        ],
        "a place that is given twice": [int(of_row[a] == of_row[b]) for a, b in pairs],
        "a number that is known": [
            int(np.isin(one.join.left.share, [v, -v]).any()) for v in (VALUE, ABSENT)
        ],
        "the lowest bits": [int(number) & 3 for number in one.join.left.share.reshape(-1)],
    }


def right_view(one: Played) -> dict[str, list[int]]:
    """What the right holder may count of all that it has in the end."""
    assert one.join.right is not None
    verdict, *_ = one.told(RIGHT)
    share, (_, bits, _, masked) = one.join.right[1], one.sent(RIGHT)
    stands = np.unpackbits(np.frombuffer(bits, np.uint8), count=PLACES).astype(bool)
    at_place = np.full(PLACES, -1)
    at_place[stands] = one.orders[RIGHT]
    sent = np.frombuffer(masked, "<i8").reshape(PLACES, 2)
    back = [at_place[place] for row in share if (place := row_of(row, sent)) >= 0]
    return {
        "the verdict": list(verdict),
        "a number that is known": [int((share == value).any()) for value in (VALUE, ABSENT)],
        "an own row that comes back": [int(row in back) for row in range(OTHERS)],
        "dummies that come back": [back.count(-1)],
        "the lowest bits": [int(number) & 3 for number in share.reshape(-1)],
    }


VIEWS = {LEFT: left_view, RIGHT: right_view}


def different(first: NDArray[np.int64], second: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """At which position which value is more frequent in one world, by more than chance."""
    for k in range(first.shape[1]):
        for value in np.union1d(first[:, k], second[:, k]):
            hits = [int((one[:, k] == value).sum()) for one in (first, second)]
            chance = fisher_exact([[h, GAMES - h] for h in hits]).pvalue
            if chance < FALSE_ALARM:
                yield k, int(value)


def holder_suspicions(me: Holder, roles: ModuleType = left_join) -> list[str]:
    """What differs between the worlds."""
    views = [[VIEWS[me](played(world, me, roles)) for _ in range(GAMES)] for world in (0, 1)]
    return [
        f"{name}: {value} at {k}"
        for name in views[0][0]
        for k, value in different(*(np.array([view[name] for view in world]) for world in views))
    ]


@pytest.mark.parametrize("me", HOLDERS)
def test_a_holders_view_is_the_same_whoever_and_however_many_are_in_common(
    me: Holder, tried: Tried
) -> None:
    assert holder_suspicions(me) == []
    tried(2 * GAMES, f"left joins of which {me} looks for who has a partner, and how many")


def test_all_that_a_holder_is_told_has_the_same_size_however_many_are_in_common() -> None:
    for me in HOLDERS:
        sizes = {tuple(map(len, played(world, me, left_join).told(me))) for world in (0, 1)}
        assert len(sizes) == 1


def test_places_and_shares_are_uniform() -> None:
    views = [played(0, LEFT, left_join) for _ in range(GAMES)]
    places = np.array([np.frombuffer(view.told(LEFT)[1], "<u4", ROWS) for view in views])
    for k in range(ROWS):
        assert chisquare(np.bincount(places[:, k], minlength=PLACES)).pvalue > FALSE_ALARM
    assert views[0].join.left is not None and views[0].join.right is not None
    for shares in (
        [view.join.left.share for view in views if view.join.left],
        [view.join.right[1] for view in views if view.join.right],
    ):
        spread = np.array(shares).reshape(-1) / 2.0**64 + 0.5
        assert kstest(spread, "uniform").pvalue > FALSE_ALARM


# -- the server


def server_view(one: Played) -> dict[str, list[int]]:
    """What the server may count: where equal tags and rows stand, and bits of what is masked."""
    _, lefts, (_, bits, rights, masked) = None, one.sent(LEFT)[1], one.sent(RIGHT)
    tags = [[text[i : i + 16] for i in range(0, len(text), 16)] for text in (lefts, rights)]
    columns = np.frombuffer(masked, "<i8").reshape(PLACES, 2)
    high = np.frombuffer(masked + (columns[1:] - columns[:-1]).tobytes(), np.uint8) > 127
    return {
        "a tag of the left that the right has": [int(tag in tags[1]) for tag in tags[0]],
        "a tag of the right that the left has": [int(tag in tags[0]) for tag in tags[1]],
        "a place with a row": np.unpackbits(np.frombuffer(bits, np.uint8), count=PLACES).tolist(),
        "bits of masked columns": high.astype(int).tolist(),
        "numbers that are equal": [int(len(np.unique(columns)) < columns.size)],
    }


def server_suspicions(roles: ModuleType = left_join) -> list[str]:
    """What differs between worlds of other rows in common, and of other numbers."""
    views = [
        [server_view(played(world, None, roles, shift=-(2**62) * world)) for _ in range(GAMES)]
        for world in (0, 1)
    ]
    return [
        f"{name}: {value} at {k}"
        for name in views[0][0]
        for k, value in different(*(np.array([view[name] for view in world]) for world in views))
    ]


def test_the_server_sees_as_many_pairs_anywhere_and_randomness(tried: Tried) -> None:
    assert server_suspicions() == []
    tried(2 * GAMES, "left joins of which the server looks for who has a partner, and for values")


def tried_identifiers(roles: ModuleType = left_join) -> list[int]:
    """How many identifiers a server finds that tries them all, with what it may take for keys."""
    names: dict[Holder, list[str]] = {
        holder: [f"{i:03d}" for i in range(300)] for holder in HOLDERS
    }
    found = play(names, np.ones((300, 1), np.int64), np.zeros(1, np.int64), roles=roles)
    seen = found.wire.seen["server"]
    sent = b"".join(data for _, data in seen if len(data) % 16 == 0)
    tags = {sent[i : i + 16] for i in range(0, len(sent), 16)}
    every = identifiers([f"{i:03d}" for i in range(600)])
    hits = 0
    for key in (b"", bytes(32), RUN.encode()):
        guessed = every.tags(key, np.arange(600))
        hits += sum(guessed[i : i + 16] in tags for i in range(0, len(guessed), 16))
    return [hits] if hits else []


def test_a_server_that_tries_all_identifiers_without_the_key_finds_none(tried: Tried) -> None:
    assert tried_identifiers() == []
    tried(1800, "identifiers that a server tries without the key of a left join")


def test_no_identifier_and_no_number_of_a_holder_is_sent_to_anybody(tried: Tried) -> None:
    canaries = [f"canary-{i:05d}-identifier" for i in range(50)]
    secret = np.arange(100, dtype=np.int64).reshape(50, 2) + 0x5EC2E70DD5000
    absent = np.array([0x0ABE57000001, 0x0ABE57000002], np.int64)
    names: dict[Holder, list[str]] = {LEFT: [*canaries[::2], "a", "b"], RIGHT: canaries}
    found = play(names, secret, absent)
    said = b"|".join(data for party in found.wire.seen.values() for _, data in party)
    assert b"canary" not in said and b"identifier" not in said
    for number in [*secret.reshape(-1), *absent]:
        assert int(number).to_bytes(8, "little") not in said
    tried(len(canaries) + secret.size, "identifiers and numbers of a left join, looked for")


def test_two_runs_have_no_tag_no_mask_and_no_share_in_common() -> None:
    names: dict[Holder, list[str]] = {
        holder: [f"{i:04d}" for i in range(400)] for holder in HOLDERS
    }
    words = []
    for _ in range(2):
        found = play(names, np.ones((400, 2), np.int64), np.ones(2, np.int64))
        said = [data for party in found.wire.seen.values() for _, data in party if len(data) > 200]
        words.append({data[i : i + 16] for data in said for i in range(0, len(data) - 15, 16)})
        assert len(words[-1]) == sum(len(data) // 16 for data in said) - 400, "the tags of pairs"
    assert not words[0] & words[1]


# -- with one rule less, the game finds out

RULES: dict[str, tuple[tuple[tuple[str, str], ...], Callable[[ModuleType], list[object]]]] = {
    "the right's order is random": (
        (("random_order(rows + others)", "np.arange(rows + others)"),),
        lambda roles: [*holder_suspicions(LEFT, roles)],
    ),
    "dummies stand among the rows": (
        (
            (
                "random_order(rows + others)",
                "np.concatenate([random_order(rows), rows + random_order(others)])",
            ),
        ),
        lambda roles: [*holder_suspicions(LEFT, roles)],
    ),
    "dummies are drawn at random": (
        (("random_order(len(dummies))", "np.arange(len(dummies))"),),
        lambda roles: [*holder_suspicions(LEFT, roles)],
    ),
    "no dummy is taken twice": (
        (("dummies[drawn]", "dummies[0 * drawn]"),),
        lambda roles: [*holder_suspicions(LEFT, roles)],
    ),
    "how many are in common is told to no holder": (
        (
            ("_ENOUGH if enough else _TOO_FEW", "bytes([len(pairs[left])])"),
            ('receive("server", 1) != _ENOUGH', 'receive("server", 1) == _TOO_FEW'),
        ),
        lambda roles: [*holder_suspicions(RIGHT, roles)],
    ),
    "what is handed to the right has a fresh mask": (
        (
            ("masked[part] -= fresh.take(*masked[part].shape)", "pass"),
            ("add_of(fresh, share)", "pass"),
        ),
        lambda roles: [*holder_suspicions(RIGHT, roles)],
    ),
    "the left's order is random": (
        (("order = random_order(rows)\n", "order = np.arange(rows)\n"),),
        lambda roles: [*server_suspicions(roles)],
    ),
    "columns are masked": (
        (("masked += stream.take(*masked.shape)", "pass"),),
        lambda roles: [*server_suspicions(roles)],
    ),
    "tags have a key": (
        (
            ("identifiers.tags(tag_key, order[part])", 'identifiers.tags(b"", order[part])'),
            ("identifiers.tags(tag_key, own[part])", 'identifiers.tags(b"", own[part])'),
        ),
        lambda roles: [*tried_identifiers(roles)],
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_without_this_rule_the_attack_succeeds(rule: str, tried: Tried) -> None:
    changes, found_by = RULES[rule]
    assert found_by(without(left_join, changes))
    tried(1, "left join with a rule less, which these attacks find")
