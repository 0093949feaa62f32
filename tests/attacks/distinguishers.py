"""Ways to tell two worlds apart by what was seen in them, each with a bound on its false alarms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from tests.attacks.transcripts import Array, Seen, bits_of, messages, together

LEVEL = 1e-9
"""The chance of a false alarm that each of some two hundred decisions is given."""

_POOLED = 40
"""Cells of a table of counts that are rarer than this are taken as one."""


@dataclass(frozen=True)
class Evidence:
    """One test of one tensor; ``p`` bounds the chance of such a value where worlds are alike."""

    tensor: str
    test: str
    p: float


def evidence(seen: Seen, coins: Array) -> list[Evidence]:
    """Every test of every tensor. The unit is the step: elements of one step may depend on each
    other, steps cannot."""
    count = int(min(np.sum(coins == 0), np.sum(coins == 1)))
    found = []
    for tensor, values in seen.items():
        a, b = values[coins == 0][:count], values[coins == 1][:count]
        for test, tried in (
            ("Kolmogorov-Smirnov", kolmogorov_smirnov(a, b)),
            ("chi-squared", chi_squared(a, b)),
            ("counts of bits", counts_of_bits(a, b)),
        ):
            if tried.size:
                found.append(Evidence(tensor, test, float(min(1, tried.min() * tried.size))))
    return found


def rejected(found: list[Evidence], level: float) -> list[Evidence]:
    """Holm's procedure (1979): the chance of any false alarm is at most ``level``."""
    told = []
    for number, one in enumerate(sorted(found, key=lambda e: e.p)):
        if one.p * (len(found) - number) > level:
            break
        told.append(one)
    return told


def kolmogorov_smirnov(a: Array, b: Array) -> Array:
    """For each element, a bound on the p-value that holds for every n from 458 on (Wei and Dudley,
    Statistics and Probability Letters 2012): 2 exp(-n D^2). Ties only make D smaller."""
    n = len(a)
    assert n >= 458
    both = np.concatenate([a, b])
    order = np.argsort(both, axis=0, kind="stable")
    ordered = np.take_along_axis(both, order, axis=0)
    ahead = np.cumsum(np.where(order < n, 1, -1), axis=0)
    ends = np.ones(ordered.shape, bool)
    ends[:-1] = ordered[1:] != ordered[:-1]
    distance = np.abs(ahead * ends).max(axis=0) / n
    bound: Array = np.minimum(1, 2 * np.exp(-n * distance**2))
    return bound


def chi_squared(a: Array, b: Array) -> Array:
    """For each half byte, of its sixteen values' counts in both worlds."""
    ours, theirs = _half_bytes(a), _half_bytes(b)
    total = ours + theirs
    rare = total < _POOLED
    cells = np.where(rare, 0, (ours - theirs) ** 2 / np.maximum(total, 1))
    pooled = (np.where(rare, ours, 0).sum(1), np.where(rare, theirs, 0).sum(1))
    enough = pooled[0] + pooled[1] >= _POOLED
    rest = np.where(enough, (pooled[0] - pooled[1]) ** 2 / np.maximum(sum(pooled), 1), 0)
    freedom = (~rare).sum(1) + enough - 1
    p: Array = stats.chi2.sf(cells.sum(1) + rest, np.maximum(freedom, 1))
    return p[freedom > 0]


def _half_bytes(values: Array) -> Array:
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    halves = np.hstack([raw >> 4, raw & 15]).astype(np.int64)
    columns = halves.shape[1]
    counts = np.bincount((halves + 16 * np.arange(columns)).ravel(), minlength=16 * columns)
    table: Array = counts.reshape(columns, 16).astype(np.float64)
    return table


def counts_of_bits(a: Array, b: Array) -> Array:
    """For each bit of an element, how often it is set in a step, over all elements: Welch's z."""
    ours, theirs = (bits_of(values).sum(axis=1, dtype=np.float64) for values in (a, b))
    total = ours.sum(0) + theirs.sum(0)
    most = (len(a) + len(b)) * a.shape[1]
    spread = np.sqrt((ours.var(0) + theirs.var(0)) / len(a))
    some = (total > 100) & (total < most - 100) & (spread > 0)
    z = np.abs(ours.mean(0) - theirs.mean(0))[some] / spread[some]
    p: Array = 2 * stats.norm.sf(z)
    constant = (spread == 0) & (ours.mean(0) != theirs.mean(0))
    return np.concatenate([p, np.zeros(int(constant.sum()))])


def guessed(seen: Seen, coins: Array) -> tuple[int, int]:
    """A classifier is trained on the first half of the steps and guesses the coin of the others:
    how many it gets right, of how many."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = []
    for values in seen.values():
        bits = bits_of(values)
        columns += [values.astype(np.float64), bits[:, :, 0], bits[:, :, -1]]
    x = np.hstack(columns).astype(np.float32)
    half = len(coins) // 2
    trained = HistGradientBoostingClassifier(
        max_iter=20, max_depth=4, max_bins=64, max_features=0.2, early_stopping=False
    )
    trained.fit(x[:half], coins[:half])
    right = int((trained.predict(x[half:]) == coins[half:]).sum())
    return right, len(coins) - half


def by_chance(right: int, of: int) -> float:
    """The chance that coins alone give so many right guesses, or so few: exact."""
    return float(stats.binomtest(right, of, 0.5).pvalue)


def linked(some: Array, seen: Seen, coins: Array) -> tuple[float, int]:
    """How well a bit of one thing and a bit of another tell together what neither tells alone.

    Of each pair of bits: how often they are alike, in the one world and in the other. A bound on
    the chance of the largest difference between the two, where there is none (Hoeffding 1963, over
    all pairs); and how many pairs there are.
    """
    ours = _signs(some)
    counts = [int(np.sum(coins == world)) for world in (0, 1)]
    largest, pairs = 0.0, 0
    for values in seen.values():
        theirs = _signs(values)
        alike = [ours[coins == w].T @ theirs[coins == w] / counts[w] for w in (0, 1)]
        largest = max(largest, float(np.abs(alike[0] - alike[1]).max()))
        pairs += alike[0].size
    # A sum of independent terms, each within 2/n of its world.
    spread = 2 / counts[0] + 2 / counts[1]
    return float(min(1, 2 * pairs * np.exp(-(largest**2) / spread))), pairs


def _signs(values: Array) -> Array:
    """Each bit of each element, by steps: 1 or -1."""
    bits = bits_of(values).reshape(len(values), -1)
    return np.where(bits, np.float32(1), np.float32(-1))


def relations(seen: Seen, coins: Array) -> tuple[int, int]:
    """How many lowest bits were seen, and how many linear relations over GF(2) that hold among them
    and one in one world are broken in the other too often for chance.

    Sums of shares and of masks are sums of their lowest bits. So whatever adds and subtracts any
    number of the things that were seen, and so takes a mask off, shows as a relation that holds in
    one world and not in the other; and Gaussian elimination finds all of them. Products have bits
    that are seldom set, and may by chance be set in one world only: that a relation is broken k
    times, and always in the same world, counts where coins do so with a chance below the level.
    """
    bits = np.hstack([(values & 1).astype(np.uint8) for values in seen.values()])
    bits = np.hstack([bits, np.ones((len(bits), 1), np.uint8)])
    zero, one = (_columns(bits[coins == world]) for world in (0, 1))
    telling = 0
    for ours, theirs, count in ((zero, one, coins.sum()), (one, zero, (coins == 0).sum())):
        broken = np.array(list(_broken(ours, theirs)), int)
        chance = (count / len(coins)) ** broken  # of that all breaks are theirs, and a bound
        telling += int((chance * bits.shape[1] <= LEVEL).sum())
    return bits.shape[1] - 1, telling


def _columns(bits: Array) -> list[int]:
    """Each column as one number."""
    return [int.from_bytes(np.packbits(column).tobytes(), "big") for column in bits.T]


def _broken(ours: list[int], theirs: list[int]) -> Iterator[int]:
    """For each relation of a basis of those that hold among our columns, how many times it does not
    hold among theirs."""
    basis: dict[int, tuple[int, int]] = {}
    for here, there in zip(ours, theirs, strict=True):
        while here:
            high = here.bit_length()
            if high not in basis:
                basis[high] = here, there
                break
            here, there = here ^ basis[high][0], there ^ basis[high][1]
        else:
            yield there.bit_count()


class Told(NamedTuple):
    """How many statistics, guesses and lowest bits told nothing; and how many guesses were right,
    which are as many as chance makes."""

    statistics: int
    guesses: int
    right: int
    bits: int


def both_worlds_look_alike(views: Sequence[Seen], observer: int, coins: Array) -> Told:
    """What a party saw is alike in both worlds: by the statistics of its messages, to a trained
    classifier, and by sums of lowest bits. Together with the server the last tell one from the
    other, as the threat model says."""
    found = evidence(messages(views[observer]), coins)
    assert rejected(found, LEVEL) == []
    right, of = guessed(views[observer], coins)
    assert by_chance(right, of) > LEVEL, f"{right} of {of} guessed"
    bits, telling = relations(views[observer], coins)
    assert telling == 0
    _, telling = relations(together([views[observer], views[2]]), coins)
    assert telling > 0, "with the server it can"
    return Told(len(found), of, right, bits)
