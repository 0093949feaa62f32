"""Three parties that join again come to the same end, whatever each of them has."""

from __future__ import annotations

import random

from party.agreement.job import PARTIES
from party.runtime.meeting import Holding, common

RUNS = ("", "aa" * 32, "bb" * 32)


def test_what_is_said_is_understood() -> None:
    for own in (Holding(), Holding("aa" * 32, "bb" * 32, (1, 2, 2**40), 50)):
        assert Holding.unpacked(own.packed()) == own


def test_the_newest_point_that_all_hold_is_where_they_go_on() -> None:
    """Whoever has another run, or none, makes all begin; no point that one lacks is taken."""
    chance = random.Random(5)
    for _ in range(2000):
        held = {
            party: Holding(
                chance.choice(RUNS[1:] if chance.random() < 0.9 else RUNS),
                chance.choice(RUNS),
                tuple(sorted(chance.sample(range(8), chance.randint(0, 4)))),
            )
            for party in PARTIES
        }
        found = common(held)
        if {one.lineage for one in held.values()} != {found.lineage}:
            assert (found.lineage, found.number, found.shared) == ("", None, False)
            continue
        everywhere = [n for n in range(8) if all(n in one.points for one in held.values())]
        assert found.number == (everywhere[-1] if everywhere else None)
        if found.shared:
            assert len({one.shared for one in held.values()}) == 1
            assert held["alice"].shared


def test_who_has_lost_everything_is_named() -> None:
    whole = Holding("aa" * 32, "", (3,))
    found = common({"alice": whole, "bob": Holding(), "server": whole})
    assert found.without == ("bob",) and found.number is None
    assert common(dict.fromkeys(PARTIES, Holding())).without == ()


def test_parties_that_are_one_point_apart_have_one_in_common() -> None:
    """Nobody keeps a point before all have kept the one before it."""
    for ahead in range(3):
        held = {
            party: Holding("aa" * 32, "", (4, 5) if number <= ahead else (3, 4))
            for number, party in enumerate(PARTIES)
        }
        assert common(held).number == (5 if ahead == 2 else 4)
