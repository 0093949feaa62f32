"""Mini-batch stochastic gradient descent: ``w <- w - rate/batch * X'(activation(X w) - y)``.

``share`` masks each holder's table once, in blocks of rows. A run of ``step`` takes a batch of
arbitrary rows of it: their holder has them in the clear, the other one and the server take the same
rows of what they keep. Labels stay where they are. The columns of each holder are a block of their
own: ``X w`` is the sum of the blocks' products, and each block has its own weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.models.interface import Array, Layout, ProgramBuilder, Stretch, Value
from party.models.kept import keep_table, name_of, parts_of_table, table_of
from party.models.reach import REACH

if TYPE_CHECKING:
    from party.agreement.job import Job
    from party.protocols.dealing import Dealing, SharedTable, Sum

Matrix = NDArray[np.float32]

FEATURE_BITS = 13
"""Bits after the point of the table."""

WEIGHT_BITS = 20
"""Of the weights."""

_MOST_ERROR_BITS = 24
_BITS_OF_A_SUM = 36
"""Of a prediction less its label, and of the sum of a batch of them. With a feature's 13 bits and a
step's factor of 4, that leaves 9 of the 62 that may be rescaled to features and errors."""

SHARE, STEP = "share", "step"

PROGRAMS = (SHARE, STEP)
"""All but the one that opens."""


def error_bits(batch_size: int) -> int:
    """Bits after the point of a prediction less its label: fewer where many are summed."""
    return min(_MOST_ERROR_BITS, (_BITS_OF_A_SUM - (batch_size - 1).bit_length()) // 2 * 2)


def rows_of(program: str, layout: Layout) -> int:
    """The rows that one run of a program takes."""
    return layout.share_rows if program in (SHARE, REACH) else layout.batch_size


def course(job: Job, layout: Layout) -> Iterator[Stretch]:
    """All runs but the one that opens."""
    shared = job.in_blocks(job.rows, layout.share_rows)
    yield Stretch(SHARE, len(shared), counted=False, phase=None, rows=lambda: shared)
    for epoch in range(job.epochs):
        yield Stretch(STEP, job.steps_per_epoch, rows=partial(job.batches, epoch))


def state(layout: Layout, weights_of: Callable[[int], str]) -> list[Value]:
    """What stays shared between the programs."""
    found = []
    for block in layout.blocks:
        shape, parts = (layout.rows, block.columns), parts_of_table(block.party)
        found += [
            Value(name_of("table", block.party), shape, by_rows=True, parts=parts),
            Value(weights_of(block.party), (block.columns, 1)),
        ]
    return found


def build(
    program: str,
    layout: Layout,
    builder: ProgramBuilder,
    predicted: Callable[[Dealing, Sum, int, int], Sum],
    weights_of: Callable[[int], str],
) -> None:
    """Builds one of the programs.

    Args:
        predicted: the model's prediction of weighted sums: from the sums and their bits after the
            point to so many bits.
    """
    if program == SHARE:
        for block in layout.blocks:
            keep_table(builder, "table", block.party, 0, block.columns, FEATURE_BITS)
    else:
        _step(layout, builder, predicted, weights_of)


def _step(
    layout: Layout,
    builder: ProgramBuilder,
    predicted: Callable[[Dealing, Sum, int, int], Sum],
    weights_of: Callable[[int], str],
) -> None:
    from party.protocols.dealing import transposed_times

    dealing, bits = builder.dealing, error_bits(layout.batch_size)
    tables, weights = _operands(layout, builder, weights_of)
    products = [dealing.product(*each) for each in zip(tables, weights, strict=True)]
    t = dealing.combined(*((1, product) for product in products))
    label = builder.own(layout.label, layout.label_column(), 1, bits)
    error = predicted(dealing, t, FEATURE_BITS + WEIGHT_BITS, bits)
    spread = dealing.spread(dealing.minus(error, label, layout.label))
    drop = FEATURE_BITS + bits + layout.step_shift - WEIGHT_BITS
    for block, table, held in zip(layout.blocks, tables, weights, strict=True):
        gradient = dealing.product(table, spread, transposed_times)
        step = dealing.rescaled(dealing.combined((layout.step_factor, gradient)), drop)
        moved = dealing.combined((1, dealing.summed(held)), (-1, step))
        builder.keep(weights_of(block.party), dealing.spread(moved))


def sums(
    layout: Layout, builder: ProgramBuilder, weights_of: Callable[[int], str]
) -> tuple[Sum, int]:
    """The weighted sums of some rows, and their bits after the point."""
    pairs = zip(*_operands(layout, builder, weights_of), strict=True)
    products = ((1, builder.dealing.product(*each)) for each in pairs)
    return builder.dealing.combined(*products), FEATURE_BITS + WEIGHT_BITS


def _operands(
    layout: Layout, builder: ProgramBuilder, weights_of: Callable[[int], str]
) -> tuple[list[SharedTable], list[list[list[Any]]]]:
    tables = [
        table_of(builder, "table", block.party, 0, block.columns, FEATURE_BITS)
        for block in layout.blocks
    ]
    return tables, [builder.held(weights_of(block.party)) for block in layout.blocks]


def fit(job: Job, x: Matrix, y: Matrix, activated: Callable[[Array], Array]) -> Array:
    """The plaintext reference: the same steps in clear."""
    width = job.step_width.value
    features, labels = x.astype(np.float64), y.astype(np.float64)[:, 0]
    weights = np.zeros(features.shape[1])
    for epoch in range(job.epochs):
        for batch in job.batches(epoch):
            rows = features[batch]
            error = activated(rows @ weights) - labels[batch]
            weights -= width * (rows.T @ error)
    return weights
