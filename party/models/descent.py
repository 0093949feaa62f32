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
    from party.agreement.job import AlignedJob, Descent, Job, Party
    from party.protocols.dealing import Dealing, SharedTable, Sum
    from party.protocols.interface import Protocol

Matrix = NDArray[np.float32]

FEATURE_BITS = 13
"""Bits after the point of what a holder's table becomes; more where it is scaled down for another
that is smaller."""

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

_LAST_BITS = 64
"""The squared length of a step that rounding may account for."""

_FLATTEST = 2.0**-18
"""Directions that are flatter than this, beside the average one, take shorter steps."""


def layout_of(job: Job, blocks: tuple[Block, ...], curvature: float) -> DescentLayout:
    """The sizes of a descent; see ``DescentLayout``."""
    assert job.descent is not None
    passes, feature_bits = job.descent.passes, FEATURE_BITS + job.feature_bits_more
    bits = _LARGEST_ERROR_BITS

    def factor() -> int:
        return int(2 ** (_STEP_BITS - feature_bits - bits) / (job.bound_rows * curvature))

    while bits > 2 and factor() < _LEAST_FACTOR:
        bits -= 2
    return DescentLayout(
        blocks=job.blocks,
        warm_blocks=job.warm_blocks,
        block_rows=-(-job.plan_rows // job.blocks),
        home_rows=2 * max(block.columns for block in blocks),
        feature_bits=feature_bits,
        error_bits=bits,
        gradient_factor=factor(),
        momenta=tuple(dict.fromkeys(momentum(done) for done in range(passes))),
        small=_small(job.descent, job.part_in_common) if passes > ASK_EVERY else 0,
    )


def _small(descent: Descent, part: float) -> int:
    """The squared length of a step, in fixed point, that is small enough. Where some of the rows
    that bound a step are not in the training, steps are shorter by as much, and say as much less;
    but none is shorter than the last bits of some weights."""
    small = int((descent.tolerance * part * 2**WEIGHT_BITS) ** 2)
    return max(small, _LAST_BITS) if descent.tolerance and part < 1 else small


def step_of(descent: DescentLayout) -> float:
    """By which a step multiplies the gradient."""
    return descent.gradient_factor * 2.0 ** (descent.feature_bits + descent.error_bits - _STEP_BITS)


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
    found = [
        Value(_name("table", holder), (descent.rows, d), by_rows=True, parts=_of_table(holder))
        for holder, d in _tables(layout)
    ]
    for block in layout.blocks:
        d, party = block.columns, block.party
        found += [
            Value(_name("home", party), (descent.home_rows, d), parts=_of_table(party)),
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
        for holder, columns in _tables(layout):
            own = builder.own(holder, 0, columns, _descent(layout).feature_bits)
            _keep_table(builder, _name("table", holder), own, holder)
    elif program == PREPARE:
        for block in layout.blocks:
            own = builder.own(block.party, layout.first_column(block), block.columns, HOME_BITS)
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
    feature_bits = _descent(layout).feature_bits
    tables = [
        _table(builder, "table", holder, 0, columns, feature_bits)
        for holder, columns in _tables(layout)
    ]
    points = [builder.held(_name("point", block.party)) for block in layout.blocks]
    if layout.aligned:  # each table has the columns of all blocks
        points = [dealing.stacked(points)] * len(tables)
    products = [dealing.product(table, one) for table, one in zip(tables, points, strict=True)]
    t = dealing.combined(*((1, product) for product in products))
    error = predicted(dealing, t, feature_bits + _POINT_BITS, bits)
    for holder in range(len(HOLDERS)) if layout.aligned else [layout.label]:
        label = builder.own(holder, layout.label_column(), 1, bits)
        error = dealing.minus(error, label, holder)
    spread = dealing.spread(error)
    gradients = [dealing.product(table, spread, transposed_times) for table in tables]
    if layout.aligned:
        whole = dealing.combined(*((1, gradient) for gradient in gradients))
        gradients = [
            dealing.rows(whole, layout.first_column(block), block.columns)
            for block in layout.blocks
        ]
    for gradient, block in zip(gradients, layout.blocks, strict=True):
        name = _name("gradient", block.party)
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
        penalty = _home(layout, builder, block).rows(0, d, dealing.at)
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
        back = _home(layout, builder, block).rows(d, d, dealing.at)
        iterate = dealing.spread(_sum(builder.held(_name("iterate", party))))
        weights = dealing.rescaled(dealing.product(back, iterate), HOME_BITS)
        builder.keep(weights_of(party), dealing.spread(weights))


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


def _tables(layout: Layout) -> list[tuple[int, int]]:
    """The holders of tables that are multiplied, and the columns of these.

    Tables that were aligned add up to the whole one: X v = A v + B v, and X' e = A' e + B' e."""
    if layout.aligned:
        return [(holder, layout.all_columns) for holder in range(len(HOLDERS))]
    return [(block.party, block.columns) for block in layout.blocks]


def _table(
    builder: ProgramBuilder, what: str, holder: int, first: int, columns: int, bits: int
) -> SharedTable:
    """A holder's matrix as it was shared."""
    from party.protocols.dealing import SharedTable

    held = builder.held(_name(what, holder))
    own = builder.own(holder, first, columns, bits)
    return SharedTable(holder, own, held[1 - holder][0], held[2][0])


def _home(layout: Layout, builder: ProgramBuilder, block: Block) -> SharedTable:
    """A holder's small matrices as they were shared."""
    first = layout.first_column(block)
    return _table(builder, "home", block.party, first, block.columns, HOME_BITS)


def _sum(held: list[list[Any]]) -> Sum:
    alice, bob, server = (shares[0] if shares else None for shares in held)
    return alice, bob, server


def _keep_sum(builder: ProgramBuilder, name: str, value: Sum) -> None:
    builder.keep(name, [[] if share is None else [share] for share in value])


# -- at home


def transform(
    x: Matrix, penalty: Array, curvature: float, holders: int, rows: int | None = None
) -> Array:
    """``T`` such that ``T' (curvature x'x + penalty) T`` is at most ``rows * curvature`` over the
    number of holders, [columns, columns].

    Args:
        x: standardised columns, [rows, columns].
        penalty: on each column's squared weight.
        rows: those of x unless told.
    """
    wide = len(x) * curvature
    gram = np.zeros((x.shape[1], x.shape[1]))
    for begin in range(0, len(x), 1 << 14):
        part = x[begin : begin + (1 << 14)].astype(np.float64)
        gram += part.T @ part
    values, vectors = np.linalg.eigh(curvature * gram + np.diag(penalty))
    values = np.maximum(values, wide * _FLATTEST)
    most = wide if rows is None else rows * curvature
    return np.asarray(vectors * np.sqrt(most / holders / values))


def penalties(descent: Descent, columns: int, intercept: bool) -> Array:
    """The penalty on each column's squared weight; none on the intercept."""
    found = np.full(columns, 1.0 / descent.C)
    if intercept:
        found[-1] = 0.0
    return found


def at_home(job: Job, party: Party, matrix: Matrix, curvature: float) -> Matrix:
    """The rows that a party's programs read: its table's, transformed; zeros up to a whole block;
    the penalty on transformed weights, and the way back from these.

    Raises:
        InputError: a row stands out so far that it does not fit into fixed point.
    """
    assert job.descent is not None
    blocks, rows = blocks_of(job), len(matrix)
    descent = layout_of(job, blocks, curvature)
    found = np.zeros((descent.rows + descent.home_rows, matrix.shape[1]), np.float32)
    block = next((b for b in blocks if HOLDERS[b.party] == party), None)
    columns = 0 if block is None else block.columns
    found[:rows, columns:] = matrix[:, columns:]
    if block is not None:
        x = matrix[:, :columns]
        penalty = penalties(job.descent, columns, block.intercept)
        way = transform(x, penalty, curvature, len(blocks))
        for begin in range(0, rows, 1 << 14):
            part = slice(begin, min(begin + (1 << 14), rows))
            found[part, :columns] = x[part].astype(np.float64) @ way
        own = found[descent.rows :, :columns]
        own[:columns] = step_of(descent) * (way.T @ (penalty[:, None] * way))
        own[columns : 2 * columns] = way
    if max(found.max(), -found.min()) > LIMIT:
        raise _stands_out(party)
    return found


def _stands_out(party: Party) -> InputError:
    return InputError(
        "the table has a row that stands out too far from all others",
        f"{party}'s table",
        "clip columns with single large values, or take their logarithm",
    )


_CHUNK = 1 << 14


class OwnColumns:
    """A holder's columns on their way into aligned tables, as numbers of the ring.

    They are scaled by what bounds the holder's own table. What its own rows add up to is at least
    what those in common do, so that the bound holds for these, whichever they are.

    """

    def __init__(self, job: AlignedJob, party: Party, matrix: Matrix, curvature: float) -> None:
        """Raises InputError for a row that does not fit into fixed point.

        Args:
            job: with the sizes of the tables; the number of common rows does not count here.
            party: whose columns they are.
            matrix: all rows of the holder's standardised table.
        """
        assert job.descent is not None
        blocks = blocks_of(job)
        self._matrix, self._party, self._curvature = matrix, party, curvature
        self._layout = layout_of(job, blocks, curvature)
        self._block = next((b for b in blocks if HOLDERS[b.party] == party), None)
        self._features = 0 if self._block is None else self._block.columns
        if self._block is not None:
            self._penalty = penalties(job.descent, self._features, self._block.intercept)
            own = matrix[:, : self._features]
            self._way = transform(own, self._penalty, curvature, len(blocks), job.bound_rows)
        if self._largest() > LIMIT:
            raise _stands_out(party)

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Some of the rows: features, ones and label as far as they are here, [rows, columns]."""
        own, features = self._matrix[which], self._features
        found = np.empty(own.shape, np.int64)
        if self._block is not None:
            scaled = own[:, :features].astype(np.float64) @ self._way
            found[:, :features] = _ring(scaled, self._layout.feature_bits)
        found[:, features:] = _ring(own[:, features:], self._layout.error_bits)
        return found

    def _largest(self) -> float:
        largest = 0.0
        for begin in range(0, len(self._matrix), _CHUNK):
            part = self._matrix[begin : begin + _CHUNK].astype(np.float64)
            if self._block is not None:
                scaled = part[:, : self._features] @ self._way
                largest = max(largest, float(np.abs(scaled).max(initial=0.0)))
        return largest

    def table(self, job: AlignedJob, joined: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the holder's programs read: its share of the common rows, zeros up to a whole block,
        and its small matrices in the clear.

        Args:
            job: with the number of common rows.
            joined: the holder's share of them, [rows, columns of all holders and the label].
        """
        blocks = blocks_of(job)
        layout = layout_of(job, blocks, self._curvature)
        found = np.zeros((layout.rows + layout.home_rows, joined.shape[1]), np.int64)
        found[: len(joined)] = joined
        if self._block is not None:
            first = sum(b.columns for b in blocks if b.party < self._block.party)
            own = found[layout.rows :, first : first + self._features]
            way = self._way
            penalty = step_of(layout) * (way.T @ (self._penalty[:, None] * way))
            if max(np.abs(penalty).max(), np.abs(way).max()) > LIMIT:
                raise _stands_out(self._party)
            own[: self._features] = _ring(penalty, HOME_BITS)
            own[self._features : 2 * self._features] = _ring(way, HOME_BITS)
        return found


def _ring(values: Array | Matrix, bits: int) -> NDArray[np.int64]:
    return np.rint(values.astype(np.float64) * 2.0**bits).astype(np.int64)


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
