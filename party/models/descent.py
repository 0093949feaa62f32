"""Descent over all rows to the optimum of a penalised loss, without a rate to choose.

The loss of a model whose prediction is a function of one weighted sum curves nowhere more than
``B = curvature X'X + penalty`` (Böhning and Lindsay 1988). Each holder puts the inverse root of its
block of B into its columns, at home, so that the loss of what is shared curves by at most n times
the curvature in any direction: gradient steps of one over that cannot diverge, and Nesterov's
momentum, whose weight is public, makes them fast. Where both have columns, B is at most twice its
two blocks.

Where the table is large, the descent warms up on a sample of it, every n-th row, until that
has settled: it comes near the optimum at a small part of the cost, and nothing rests on the sample,
since what follows descends from wherever it begins.

A pass is a run of ``gradient`` for each block of rows and one of ``update.i``, where i says which
of ``MOMENTA`` weighs the step before. ``prepare`` shares what ``finish`` and the penalty need: of
each holder the matrix back to standardised columns, and the penalty on what is shared. Every eighth
pass ``compare`` finds whether the last step was small, and ``ask`` tells all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.limits import LIMIT
from party.models.interface import (
    HOLDERS,
    Array,
    Block,
    DescentLayout,
    Layout,
    ProgramBuilder,
    Stretch,
    Value,
    blocks_of,
)
from party.process.errors import InputError
from party.protocols.interface import ADDITIVE, REPLICATED, Parts

if TYPE_CHECKING:
    from party.agreement.job import Descent, Job, Party
    from party.protocols.dealing import Dealing, SharedTable, Sum
    from party.protocols.interface import Protocol

Matrix = NDArray[np.float32]

FEATURE_BITS = 13
"""Bits after the point of what a holder's table becomes."""

HOME_BITS = 26
"""Of the holders' small matrices."""

WEIGHT_BITS = 20
"""Of the weights."""

MOMENTUM_BITS = 8
MOMENTA = (0, 64, 128, 160, 192, 208, 224, 232)
"""The weights of the step before, in ``2**-MOMENTUM_BITS``: they grow as (k - 1) / (k + 2)."""

_POINT_BITS = WEIGHT_BITS + MOMENTUM_BITS
_STEP_BITS = 54
"""Of a step before it is rescaled. With 62 bits of headroom a weight may be as large as 2**8."""

_LARGEST_ERROR_BITS = 24
_LEAST_FACTOR = 8
"""Of the factor of the gradient, so that a step is at most an eighth shorter than it may be."""

_FLATTEST = 2.0**-18
"""Directions that are flatter than this, beside the average one, take shorter steps."""


def layout_of(job: Job, blocks: tuple[Block, ...], curvature: float) -> DescentLayout:
    """The sizes of a descent; see ``DescentLayout``."""
    assert job.descent is not None
    rows, passes = job.training_rows, job.descent.passes
    bits = _LARGEST_ERROR_BITS
    while bits > 2 and _factor(rows, curvature, bits) < _LEAST_FACTOR:
        bits -= 2
    return DescentLayout(
        blocks=job.blocks,
        warm_blocks=job.warm_blocks,
        block_rows=-(-rows // job.blocks),
        home_rows=2 * max(block.columns for block in blocks),
        error_bits=bits,
        gradient_factor=_factor(rows, curvature, bits),
        momenta=tuple(dict.fromkeys(momentum(done) for done in range(passes))),
        small=int((job.descent.tolerance * 2**WEIGHT_BITS) ** 2) if passes > ASK_EVERY else 0,
    )


def _factor(rows: int, curvature: float, bits: int) -> int:
    return int(2 ** (_STEP_BITS - FEATURE_BITS - bits) / (rows * curvature))


def step_of(descent: DescentLayout) -> float:
    """By which a step multiplies the gradient."""
    return descent.gradient_factor * 2.0 ** (FEATURE_BITS + descent.error_bits - _STEP_BITS)


def momentum(done: int) -> int:
    """Which of ``MOMENTA`` weighs the step before in the step that follows so many."""
    wanted = done / (done + 3) * 2**MOMENTUM_BITS
    return max(i for i, weight in enumerate(MOMENTA) if weight <= wanted)


# -- the programs

SHARE, PREPARE, GRADIENT, UPDATE, FINISH = "share", "prepare", "gradient", "update.", "finish"
WARM = "warm."
COMPARE, ASK, SETTLED = "compare", "ask", "settled"

ASK_EVERY = 8
"""Passes from one question whether to go on to the next."""
ASK_OFTEN = 2
"""The same where a pass is long, and the descent has warmed up on a sample."""

_WINDOW_BITS = 11
"""Bits of a number that are looked up at once: see ``_compare``."""
_SQUARE_BITS = 56
"""A squared length of a step is smaller than two to this."""


def programs(descent: DescentLayout) -> tuple[str, ...]:
    """All but the one that opens, in the order in which they first run."""
    asking = (COMPARE, ASK) if descent.small else ()
    kinds = (WARM, UPDATE) if descent.warm_blocks else (UPDATE,)
    updates = (f"{kind}{i}" for kind in kinds for i in descent.momenta)
    return (SHARE, PREPARE, GRADIENT, *updates, *asking, FINISH)


def asked(descent: DescentLayout) -> list[tuple[str, int]]:
    """What is opened on the way: all must know whether to go on."""
    return [(SETTLED, party) for party in range(3)] if descent.small else []


def rows_of(program: str, descent: DescentLayout) -> int:
    """The rows that one run of a program takes."""
    return descent.block_rows if program in (SHARE, GRADIENT) else descent.home_rows


def course(job: Job, descent: DescentLayout) -> Iterator[Stretch]:
    """All runs but the one that opens."""

    def rows(some: int) -> NDArray[np.int32]:
        # Every n-th row is of one block, so that the first blocks are a sample of all rows.
        return np.arange(descent.rows, dtype=np.int32).reshape(-1, descent.blocks).T[:some]

    def home() -> NDArray[np.int32]:
        return np.arange(descent.rows, descent.rows + descent.home_rows, dtype=np.int32)[None]

    def phase(name: str, update: str, some: int, ask_every: int) -> Iterator[Stretch]:
        for done in range(job.epochs):
            if descent.small and done and done % ask_every == 0:
                yield Stretch(COMPARE, 1, counted=False, phase=name)
                yield Stretch(ASK, 1, counted=False, phase=name, asks=True)
            yield Stretch(GRADIENT, some, phase=name, rows=partial(rows, some))
            yield Stretch(f"{update}{momentum(done)}", 1, phase=name, rows=home)

    everything = partial(rows, descent.blocks)
    yield Stretch(SHARE, descent.blocks, counted=False, phase=None, rows=everything)
    yield Stretch(PREPARE, 1, counted=False, phase=None, rows=home)
    if descent.warm_blocks:
        yield from phase("warming up", WARM, descent.warm_blocks, ASK_EVERY)
    every = ASK_OFTEN if descent.warm_blocks else ASK_EVERY
    yield from phase("training", UPDATE, descent.blocks, every)
    yield Stretch(FINISH, 1, counted=False, phase=None, rows=home)


def state(layout: Layout, protocol: Protocol, weights_of: Callable[[int], str]) -> list[Value]:
    """What stays shared between the programs."""
    descent = _descent(layout)
    found = []
    for block in layout.blocks:
        d, party = block.columns, block.party
        table = _of_table(party)
        found += [
            Value(_name("table", party), (descent.rows, d), by_rows=True, parts=table),
            Value(_name("home", party), (descent.home_rows, d), parts=table),
            Value(_name("point", party), (d, 1)),
            Value(_name("iterate", party), (d, 1), parts=ADDITIVE),
            Value(_name("gradient", party), (d, 1), parts=protocol.sums),
            Value(weights_of(party), (d, 1)),
        ]
        if descent.small:
            found.append(Value(_name("change", party), (d, 1), parts=ADDITIVE))
    if descent.small:
        found.append(Value(SETTLED, (1, 1), parts=REPLICATED))
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
            own = builder.own(block.party, 0, block.columns, FEATURE_BITS)
            _keep_table(builder, _name("table", block.party), own, block.party)
    elif program == PREPARE:
        for block in layout.blocks:
            own = builder.own(block.party, 0, block.columns, HOME_BITS)
            _keep_table(builder, _name("home", block.party), own, block.party)
    elif program == GRADIENT:
        _gradient(layout, builder, predicted)
    elif program == COMPARE:
        _compare(layout, builder)
    elif program == FINISH:
        _finish(layout, builder, weights_of)
    else:
        index = int(program.partition(".")[2])
        _update(layout, builder, MOMENTA[index], warm=program.startswith(WARM))


def _gradient(
    layout: Layout,
    builder: ProgramBuilder,
    predicted: Callable[[Dealing, Sum, int, int], Sum],
) -> None:
    from party.protocols.dealing import transposed_times

    dealing, bits = builder.dealing, _descent(layout).error_bits
    tables = [_table(builder, "table", block, FEATURE_BITS) for block in layout.blocks]
    sums = [
        (1, dealing.product(table, builder.held(_name("point", block.party))))
        for table, block in zip(tables, layout.blocks, strict=True)
    ]
    t = dealing.combined(*sums)
    label = builder.own(layout.label, layout.label_column(), 1, bits)
    error = predicted(dealing, t, FEATURE_BITS + _POINT_BITS, bits)
    spread = dealing.spread(dealing.minus(error, label, layout.label))
    for table, block in zip(tables, layout.blocks, strict=True):
        name = _name("gradient", block.party)
        gradient = dealing.product(table, spread, transposed_times)
        before = _sum(builder.held(name))
        _keep_sum(builder, name, dealing.combined((1, before), (1, gradient)))


def _update(layout: Layout, builder: ProgramBuilder, weight: int, warm: bool) -> None:
    """``w' = y - step (gradient + penalty y)`` and ``y' = w' + momentum (w' - w)``.

    While warming up the gradient is that of a sample, times what makes it one of all rows.
    """
    dealing, descent = builder.dealing, _descent(layout)
    factor = descent.gradient_factor
    if warm:
        factor *= descent.blocks // descent.warm_blocks
    for block in layout.blocks:
        d, party = block.columns, block.party
        held = builder.held(_name("point", party))
        penalty = _table(builder, "home", block, HOME_BITS).rows(0, d, dealing.at)
        gradient = _sum(builder.held(_name("gradient", party)))
        step = dealing.combined(
            (1 << (_STEP_BITS - _POINT_BITS), dealing.summed(held)),
            (-factor, gradient),
            (-1, dealing.product(penalty, held)),
        )
        iterate = dealing.rescaled(step, _STEP_BITS - WEIGHT_BITS)
        before = _sum(builder.held(_name("iterate", party)))
        point = dealing.combined(((1 << MOMENTUM_BITS) + weight, iterate), (-weight, before))
        _keep_sum(builder, _name("iterate", party), iterate)
        builder.keep(_name("point", party), dealing.spread(point))
        if _descent(layout).small:
            change = dealing.combined((1, iterate), (-1, before))
            _keep_sum(builder, _name("change", party), change)
        _keep_sum(builder, _name("gradient", party), dealing.nothing(gradient))


def _compare(layout: Layout, builder: ProgramBuilder) -> None:
    """Whether the squared length of the last step is small.

    A window of its bits is looked up together with the windows above it, which overlap by one bit,
    so that what is too large for one is seen in the next. One more question makes one answer of
    theirs.
    """
    dealing, small = builder.dealing, _descent(layout).small
    changes = [_sum(builder.held(_name("change", block.party))) for block in layout.blocks]
    square = dealing.combined(*((1, dealing.square_sum(change)) for change in changes))
    drop = max(small.bit_length() - _WINDOW_BITS + 3, 0)
    answers = [dealing.within(square, drop, _WINDOW_BITS, -1, (small >> drop) + 1)]
    while drop + _WINDOW_BITS < _SQUARE_BITS:
        drop += _WINDOW_BITS - 1
        answers.append(dealing.within(square, drop, _WINDOW_BITS, -1, 2))
    together = dealing.combined(*((1, answer) for answer in answers))
    settled = dealing.within(together, 0, 3, len(answers), 1)
    builder.keep(SETTLED, dealing.replicated(settled))


def _finish(layout: Layout, builder: ProgramBuilder, weights_of: Callable[[int], str]) -> None:
    dealing = builder.dealing
    for block in layout.blocks:
        d, party = block.columns, block.party
        back = _table(builder, "home", block, HOME_BITS).rows(d, d, dealing.at)
        iterate = dealing.spread(_sum(builder.held(_name("iterate", party))))
        weights = dealing.rescaled(dealing.product(back, iterate), HOME_BITS)
        builder.keep(weights_of(party), dealing.spread(weights))


def weighted(layout: Layout, builder: ProgramBuilder) -> tuple[Sum, int]:
    """The weighted sums of rows that are shared for this alone, and their bits after the point."""
    dealing = builder.dealing
    sums = []
    for block in layout.blocks:
        own = builder.own(block.party, 0, block.columns, FEATURE_BITS)
        iterate = dealing.spread(_sum(builder.held(_name("iterate", block.party))))
        sums.append((1, dealing.product(dealing.share(own, block.party), iterate)))
    return dealing.combined(*sums), FEATURE_BITS + WEIGHT_BITS


def _descent(layout: Layout) -> DescentLayout:
    assert layout.descent is not None
    return layout.descent


def _name(what: str, party: int) -> str:
    return f"{what}.{HOLDERS[party]}"


def _of_table(party: int) -> Parts:
    """A table's masked rows are the other holder's, its masks are the server's."""
    return ((), (0,), (1,)) if party == 0 else ((0,), (), (1,))


def _keep_table(builder: ProgramBuilder, name: str, own: Any, party: int) -> None:
    shared = builder.dealing.share(own, party)
    shares: list[list[Any]] = [[], [], [shared.mask]]
    shares[shared.other] = [shared.masked]
    builder.keep(name, shares)


def _table(builder: ProgramBuilder, what: str, block: Block, bits: int) -> SharedTable:
    """A holder's matrix as it was shared."""
    from party.protocols.dealing import SharedTable

    held = builder.held(_name(what, block.party))
    own = builder.own(block.party, 0, block.columns, bits)
    other = 1 - block.party
    return SharedTable(block.party, own, held[other][0], held[2][0])


def _sum(held: list[list[Any]]) -> Sum:
    alice, bob, server = (shares[0] if shares else None for shares in held)
    return alice, bob, server


def _keep_sum(builder: ProgramBuilder, name: str, value: Sum) -> None:
    builder.keep(name, [[] if share is None else [share] for share in value])


# -- at home


def transform(x: Matrix, penalty: Array, curvature: float, holders: int) -> Array:
    """``T`` such that ``T' (curvature x'x + penalty) T`` is at most ``rows * curvature`` over the
    number of holders, [columns, columns].

    Args:
        x: standardised columns, [rows, columns].
        penalty: on each column's squared weight.
    """
    wide = len(x) * curvature
    gram = np.zeros((x.shape[1], x.shape[1]))
    for begin in range(0, len(x), 1 << 14):
        part = x[begin : begin + (1 << 14)].astype(np.float64)
        gram += part.T @ part
    values, vectors = np.linalg.eigh(curvature * gram + np.diag(penalty))
    values = np.maximum(values, wide * _FLATTEST)
    return np.asarray(vectors * np.sqrt(wide / holders / values))


def penalties(descent: Descent, columns: int, intercept: bool) -> Array:
    """The penalty on each column's squared weight; none on the intercept."""
    found = np.full(columns, 1.0 / descent.C)
    if intercept:
        found[-1] = 0.0
    return found


def at_home(
    job: Job, party: Party, matrix: Matrix, curvature: float, after: Matrix | None = None
) -> Matrix:
    """The rows that a party's programs read: its table's, transformed; zeros up to a whole block;
    the penalty on transformed weights, and the way back from these; rows that follow, transformed
    as the table's are, which nothing is taken from.

    Raises:
        InputError: a row stands out so far that it does not fit into fixed point.
    """
    assert job.descent is not None
    blocks, rows = blocks_of(job), len(matrix)
    descent = layout_of(job, blocks, curvature)
    last = descent.rows + descent.home_rows
    more = 0 if after is None else len(after)
    found = np.zeros((last + more, matrix.shape[1]), np.float32)
    block = next((b for b in blocks if HOLDERS[b.party] == party), None)
    columns = 0 if block is None else block.columns
    found[:rows, columns:] = matrix[:, columns:]
    if after is not None:
        found[last:, columns:] = after[:, columns:]
    if block is not None:
        x = matrix[:, :columns]
        penalty = penalties(job.descent, columns, block.intercept)
        way = transform(x, penalty, curvature, len(blocks))
        for begin in range(0, rows, 1 << 14):
            part = slice(begin, min(begin + (1 << 14), rows))
            found[part, :columns] = x[part].astype(np.float64) @ way
        if after is not None:
            found[last:, :columns] = after[:, :columns].astype(np.float64) @ way
        own = found[descent.rows : last, :columns]
        own[:columns] = step_of(descent) * (way.T @ (penalty[:, None] * way))
        own[columns : 2 * columns] = way
    if max(found.max(), -found.min()) > LIMIT:
        raise InputError(
            "the table has a row that stands out too far from all others",
            f"{party}'s table",
            "clip columns with single large values, or take their logarithm",
        )
    return found


def fit(
    job: Job, x: Matrix, y: Matrix, curvature: float, activated: Callable[[Array], Array]
) -> Array:
    """The plaintext reference: the same passes in clear."""
    assert job.descent is not None
    features, labels = x.astype(np.float64), y.astype(np.float64)[:, 0]
    columns = features.shape[1]
    way, penalty = np.zeros((columns, columns)), np.zeros(columns)
    first = 0
    blocks = blocks_of(job)
    for block in blocks:
        own = slice(first, first + block.columns)
        penalty[own] = penalties(job.descent, block.columns, block.intercept)
        way[own, own] = transform(x[:, own], penalty[own], curvature, len(blocks))
        first = own.stop
    rows = features @ way
    on_shared = way.T @ (penalty[:, None] * way)
    step = step_of(layout_of(job, blocks, curvature))
    iterate = point = change = np.zeros(columns)
    for done in range(job.descent.passes):
        if done and done % ASK_EVERY == 0 and np.linalg.norm(change) < job.descent.tolerance:
            break
        error = activated(rows @ point) - labels
        before, iterate = iterate, point - step * (rows.T @ error + on_shared @ point)
        change = iterate - before
        point = iterate + MOMENTA[momentum(done)] / 2**MOMENTUM_BITS * change
    return np.asarray(way @ iterate)
