"""A leak is found, and what comes and goes with jobs is none."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.growth import LEAST, MEASURES, WARM_UP, Growth

Held = Callable[[random.Random, int], list[int]]


def grown(held: Held, processes: int = 9) -> list[str]:
    """What is found of processes that live through a queue of jobs each."""
    found, chance = Growth(), random.Random(2)
    for process in range(processes):
        for look in range(chance.randint(60, 120)):
            found.take("bob", str(process), held(chance, look))
    return found.grown(["bob"])


def usual(chance: random.Random, look: int) -> list[int]:
    """At work, and now and then at a job's very end; a process that has just begun has less."""
    at_work, warm = chance.random() < 0.97, min(look, WARM_UP)
    memory = 60_000 + 6_000 * warm + at_work * chance.randint(5_000, 9_000)
    return [memory, 12 + 3 * at_work, 4 + 2 * at_work + (chance.random() < 0.1)]


def test_what_comes_and_goes_is_not_growth() -> None:
    assert grown(usual) == []


def test_nor_is_it_where_a_machine_becomes_busy() -> None:
    """Whoever asks a process how it is waits for longer, and the connection is open meanwhile."""

    def asked(chance: random.Random, look: int) -> list[int]:
        memory, descriptors, threads = usual(chance, look)
        more = chance.randint(0, 4) if look > 20 else 0
        return [memory + 40 * more, descriptors + more, threads + more]

    assert grown(asked) == []


@pytest.mark.parametrize(
    ("name", "a_look"), [("memory_kib", 1_200), ("descriptors", 1 / 12), ("threads", 1 / 12)]
)
def test_what_is_never_given_back_is(name: str, a_look: float) -> None:
    """A descriptor or a thread a minute, and some megabytes."""

    def leaking(chance: random.Random, look: int) -> list[int]:
        held = zip(MEASURES, usual(chance, look), strict=True)
        return [has + int(a_look * look) * (what == name) for what, has in held]

    (told,) = grown(leaking)
    assert told.startswith(f"bob's {name} grew by ")


def test_lives_that_are_too_short_are_told() -> None:
    found = Growth()
    for _ in range(WARM_UP + LEAST - 1):
        found.take("bob", "1", [1, 1, 1])
    assert found.grown(["bob"]) == ["no process of bob's was looked at for long enough"]
