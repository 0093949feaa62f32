"""Whether every row's weighted sum lies where the sigmoid is one, found on shares.

A wave that follows the sigmoid falls half a period from 0 as it rose. A row that lies there was
pushed the wrong way, and a model of such rows is none. Whoever receives all weights and has all
columns sees that at home (``health``). Where a receiver lacks columns, or nobody receives anything,
the parties ask on shares, once, when the training is over and before anything of the model is
opened: ``reach`` counts, in blocks of rows, those that lie outside; ``judge`` finds whether there
are none; ``vouch`` opens that one bit to all three. If it is 0, the job ends there.

A sum t is looked up in windows of ``t + period / 2``, of small random numbers that the server
deals: one says whether it lies between 0 and the period, modulo two periods, and each of the others
whether it is whole numbers of its own unit further. Shares are rounded each for itself, so that at
the edges the answer may be either: a row of ``|t|`` below ``15/32`` of the period is always inside,
and one from half of it on never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from party.agreement.parties import PARTIES
from party.models.interface import Layout, ProgramBuilder, Stretch, Value
from party.models.kept import keep_sum, sum_of
from party.protocols.interface import ADDITIVE, REPLICATED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from party.protocols.dealing import Sum

REACH, JUDGE, VOUCH = "reach", "judge", "vouch"
PROGRAMS = (REACH, JUDGE, VOUCH)

BEYOND, INSIDE = "beyond", "inside"
"""How often a row lay outside of a window, in the upper bits of a share; 1 if none ever did."""

NEAR = (-5, 6, 0, 31)
"""The first window: the unit, as a power of two of a period, bits, the first number that is inside,
and how many are. The 32nd is half a period, or one less than it."""

FAR = (3, -1, 2)
"""Bits, first and count of the other windows: 0, or one less."""

_RING_BITS = 64
_LIFT_BITS = 33
"""Of a count in a share; twice the count is looked at, so that one less than 0 is no other one."""
_COUNT_WINDOWS = ((32, 11), (42, 11), (52, 12))
"""The bits of twice the count that are looked up, which overlap: see ``Dealing.within``."""


def state(layout: Layout) -> list[Value]:
    """What stays shared between the programs."""
    if layout.reach is None:
        return []
    return [Value(BEYOND, (1, 1), parts=ADDITIVE), Value(INSIDE, (1, 1), parts=REPLICATED)]


def vouched(layout: Layout) -> list[tuple[str, int]]:
    """What is opened of it, and to whom: all must know whether there is a model."""
    return [] if layout.reach is None else [(INSIDE, party) for party in range(len(PARTIES))]


def course(layout: Layout, blocks: int, rows: Callable[[], NDArray[np.int32]]) -> Iterator[Stretch]:
    """The runs of the programs, over all rows in so many blocks."""
    if layout.reach is not None:
        quiet = partial(Stretch, counted=False, phase=None)
        yield quiet(REACH, blocks, rows=rows)
        yield quiet(JUDGE, 1)
        yield quiet(VOUCH, 1, vouches=True)


def windows(period_bits: int, bits: int) -> list[tuple[int, int, int, int]]:
    """What ``t + period / 2`` must fulfil, as ``Dealing.outside`` takes it, with ``bits`` after the
    point of t: up to the highest bit that a share has."""
    unit, near, low, count = NEAR
    found = [(bits + period_bits + unit, near, low, count)]
    drop = bits + period_bits
    while found[-1][0] + found[-1][1] < _RING_BITS:
        # The window below has seen one bit above a period, or above this one's unit.
        found.append((drop, *FAR))
        drop += FAR[0] - 1
    return found


def reach(layout: Layout, builder: ProgramBuilder, t: Sum, bits: int) -> None:
    """Counts the rows of a run that lie outside, once for each window."""
    import tensorflow as tf

    dealing, period = builder.dealing, layout.reach
    assert period is not None
    half = 1 << (bits + period - 1)
    shifted = dealing.minus(dealing.gathered(t), -half, 0)
    outside = dealing.combined(
        *((1, dealing.outside(shifted, *window)) for window in windows(period, bits))
    )
    lifted = []
    for party in range(2):
        with dealing.at(party):
            lifted.append(tf.cast(outside[party], tf.int64) * (1 << _LIFT_BITS))
    before = sum_of(builder.held(BEYOND))
    keep_sum(builder, BEYOND, dealing.combined((1, before), (1, (lifted[0], lifted[1], None))))


def judge(builder: ProgramBuilder) -> None:
    """Whether the count is 0."""
    dealing = builder.dealing
    beyond = sum_of(builder.held(BEYOND))
    answers = [dealing.within(beyond, *window, -1, 2) for window in _COUNT_WINDOWS]
    together = dealing.combined(*((1, answer) for answer in answers))
    none = dealing.within(together, 0, 3, len(answers), 1)
    builder.keep(INSIDE, dealing.replicated(none))
