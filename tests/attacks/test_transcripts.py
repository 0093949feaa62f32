"""No party can tell from what it receives what the others hold.

A game: a coin chooses between two worlds that differ in all that is private to the others (no
features or large ones, labels 0 or 1, other weights), a step is played by the native executors, and
the party, which knows the protocol and all that it received and drew itself, is to say which world
it was. It tries the statistics of every received tensor, a trained classifier, and linear algebra.

The chance that any of these tests fails where nothing is wrong is below one in a million.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.attacks import distinguishers
from tests.attacks.conftest import Tried
from tests.attacks.transcripts import (
    Array,
    Seen,
    Theatre,
    blocks,
    messages,
    together,
    tossed,
    worlds,
)
from tests.compiler import small_plan
from tests.schedule.referee import with_injected_seeds

STEPS = 2400
LEVEL = 1e-8
"""The chance of a false alarm that each of some twenty decisions is given."""

NAMES = ("alice", "bob", "server")
OBSERVERS = [
    *(("pond", party) for party in (0, 1)),
    *(("aby3", party) for party in (0, 1, 2)),
    *(("securenn", party) for party in (0, 1)),
]

Game = tuple[list[Seen], Array]
"""What each party saw, and the coins."""

Played = Callable[[str, int], Game]


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Theatre]:
    """A theatre for each protocol."""

    @cache
    def opened(protocol: str) -> Theatre:
        plan = small_plan(protocol, features=1, batch=2)
        return Theatre(plan, tmp_path_factory.mktemp(protocol))

    return opened


@pytest.fixture(scope="module")
def played(theatre: Callable[[str], Theatre]) -> Iterator[Played]:
    """The game with worlds that are the same for a party."""

    @cache
    def game(protocol: str, observer: int) -> Game:
        here, coins = theatre(protocol), tossed(STEPS)
        return here.play(worlds(here.plan, observer), coins), coins

    yield game
    game.cache_clear()


def named(value: object) -> str | None:
    return NAMES[value] if isinstance(value, int) else None


@pytest.mark.parametrize(("protocol", "observer"), OBSERVERS, ids=named)
def test_a_party_cannot_tell_one_world_from_another(
    played: Played, tried: Tried, protocol: str, observer: int
) -> None:
    views, coins = played(protocol, observer)
    received = messages(views[observer])
    assert received
    found = distinguishers.evidence(received, coins)
    assert distinguishers.rejected(found, LEVEL) == []
    right, of = distinguishers.guessed(views[observer], coins)
    assert distinguishers.by_chance(right, of) > LEVEL, f"{right} of {of} guessed"
    bits, _, telling = distinguishers.relations(views[observer], coins)
    assert telling == 0
    who = f"{NAMES[observer]}, {protocol}"
    tried(len(found), f"statistics of {len(received)} messages over {STEPS} steps ({who})")
    tried(of, f"worlds guessed by a trained classifier, {right} rightly ({who})")
    tried(bits, f"lowest bits, of which no sum tells one world from the other ({who})")


@pytest.mark.parametrize("protocol", ["pond", "securenn"])
def test_the_dealer_of_triples_receives_nothing(
    theatre: Callable[[str], Theatre], protocol: str
) -> None:
    assert theatre(protocol).received(2) == []


@pytest.mark.parametrize(("protocol", "observer"), OBSERVERS, ids=named)
def test_two_parties_that_collude_can_tell(played: Played, protocol: str, observer: int) -> None:
    """As the threat model says; and so the linear algebra finds what there is to be found."""
    views, coins = played(protocol, observer)
    other = 2 if observer != 2 else 0
    both = together([views[observer], views[other]])
    _, _, telling = distinguishers.relations(both, coins)
    assert telling > 0


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_masks_that_stay_the_same_are_told(protocol: str, tmp_path: Path) -> None:
    """The test of the tests: the same plan with seeds that are the same in every step."""
    plan = with_injected_seeds(small_plan(protocol, features=1, batch=2))
    draw = np.random.default_rng(1)
    fed = {
        operation.name: draw.integers(-(2**31), 2**31, operation.shape).astype(np.int32)
        for operation in plan.operations
        if operation.kind == "Placeholder" and operation.dtype == np.int32
    }
    here, coins = Theatre(plan, tmp_path, fed), tossed(1200)
    for observer in (0, 1):
        seen = messages(here.play(worlds(plan, observer), coins)[observer])
        assert distinguishers.rejected(distinguishers.evidence(seen, coins), LEVEL)
        assert distinguishers.by_chance(*distinguishers.guessed(seen, coins)) < LEVEL
        assert blocks([seen]).odd


def test_tf_encrypteds_own_aby3_repeats_its_masks_in_a_function() -> None:
    """Keys and nonces are frozen when the function is traced: each call resharing with the same
    zeros sends the very same bytes. Outside of a function it does not."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        shares, same_in_function, same_outside = process.submit(_square_twice).result()
    assert shares == 6
    assert same_in_function == shares
    assert same_outside == 0


def _square_twice() -> tuple[int, int, int]:
    """How many shares a square has, and how many are alike in two calls, in a function and not."""
    from party import compat

    tfe = compat.load()
    from tf_encrypted.protocol import protocol as memoized

    tfe.set_protocol(tfe.protocol.ABY3())
    x = tfe.define_private_variable(np.array([[1.5, -2.5, 3.25, 0.5]]))

    def square() -> list[object]:
        memoized.nodes.clear()  # or it would remember the product
        return [share.value for row in (x * x).unwrapped for share in row]

    def alike(call: Callable[[], list[object]]) -> list[bool]:
        first, second = ([share.numpy().tobytes() for share in call()] for _ in range(2))  # type: ignore[attr-defined]
        return [a == b for a, b in zip(first, second, strict=True)]

    inside, outside = alike(tfe.function(square)), alike(square)
    return len(inside), sum(inside), sum(outside)
