"""Descent over all rows to the optimum of a penalised loss, without a rate to choose.

The loss of a model whose prediction is a function of one weighted sum curves nowhere more than
``B = curvature X'X + penalty`` (Böhning and Lindsay 1988). Each holder puts the inverse root of its
block of B into its columns, at home, so that the loss of what is shared curves by at most n times
the curvature in any direction: gradient steps of one over that cannot diverge, and Nesterov's
momentum, whose weight is public, makes them fast. Where both have columns, B is at most twice its
two blocks.

Where the table is large, the descent warms up on a sample of it, every n-th row, until that
has settled: it comes near the optimum at a small part of the cost. It goes on with the gradients of
the sample, corrected by all rows' at an *anchor*: ``all(a) + sample(w) - sample(a)`` (SVRG, Johnson
and Zhang 2013; DANE, Shamir, Srebro and Zhang 2014). An anchor is one pass over all rows, and takes
the error down as far as the sample curves as all rows do. Where it does not, it is held back: each
holder adds ``D (w - a)``, with D what its sampled columns lack of the curvature of all. Its columns
are scaled so that what is added up still curves no more than a step bears. Nothing rests on the
sample, since the passes over all rows that follow descend from wherever they begin.

A pass is a run of ``gradient`` for each block of rows and one of ``update.i``, where i says which
of ``MOMENTA`` weighs the step before. ``prepare`` shares what ``finish`` and the penalty need: of
each holder the matrix back to standardised columns, and the penalty on what is shared. After every
eighth pass, the twelfth and the last one, ``compare`` finds whether the step was small, and ``ask``
tells all.

A holder of columns may begin from weights of its own, those of a former model. They lie behind its
small matrices, as weights of what is shared, and ``prepare`` takes them for its share of the first
point, to which the other one adds nothing. From a model that was kept on shares, each holder brings
a small matrix that takes its weights to those of what is shared now, and ``prepare`` multiplies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.limits import ANCHOR_PASSES, ANCHORS, BALANCED, LIMIT
from party.agreement.parties import HOLDERS, PARTIES
from party.models.interface import (
    FOLD,
    Array,
    Block,
    DescentLayout,
    Layout,
    ProgramBuilder,
    Stretch,
    Value,
    blocks_of,
)
from party.models.kept import (
    keep_sum,
    keep_table,
    name_of,
    parts_of_table,
    share_table,
    shared_table,
    sum_of,
    table_of,
)
from party.models.private_weights import columns as private_columns
from party.models.private_weights import way_of
from party.models.reach import REACH
from party.process.errors import InputError
from party.protocols.interface import ADDITIVE, REPLICATED

if TYPE_CHECKING:
    from party.agreement.job import AlignedJob, Descent, Job, Party
    from party.protocols.dealing import Dealing, SharedTable, Sum
    from party.protocols.interface import Protocol

Matrix = NDArray[np.float32]
Rows = Callable[[], NDArray[np.int32]]

FEATURE_BITS = 13
"""Bits after the point of what a holder's table becomes; more where it is scaled down for another
that is smaller."""

HOME_BITS = 26
"""Of the holders' small matrices."""

CLASS_BITS = 20
"""Of the weights of classes."""

WEIGHT_BITS = 20
"""Of the weights."""

MOMENTUM_BITS = 8
MOMENTA = (0, 64, 128, 160, 192, 208, 224, 232)
"""The weights of the step before, in ``2**-MOMENTUM_BITS``: they grow as (k - 1) / (k + 2)."""

_POINT_BITS = WEIGHT_BITS + MOMENTUM_BITS
NOISE_BITS = 24
"""Of a weight's noise, in its last bits: what a float32 holds exactly."""

LARGEST_WEIGHT = 2.0**8
"""Of a weight of what is shared, in magnitude."""
_STEP_BITS = 54
"""Of a step before it is rescaled. With 62 bits of headroom a weight may be as large as 2**8."""

_LARGEST_ERROR_BITS = 30
_LEAST_FACTOR = 8
"""Of the factor of the gradient, so that a step is at most an eighth shorter than it may be."""

_CHUNK = 1 << 14
"""Rows that are worked on at a time, at home."""
_LAST_BITS = 64
"""The squared length of a step that rounding may account for."""

_FLATTEST = 2.0**-18
"""Directions that are flatter than this, beside the average one, take shorter steps."""


def layout_of(job: Job, blocks: tuple[Block, ...], curvature: float) -> DescentLayout:
    """The sizes of a descent; see ``DescentLayout``."""
    assert job.descent is not None
    passes = job.descent.passes
    feature_bits = FEATURE_BITS + job.feature_bits_more
    curvature *= job.descent.largest_weight
    bits = _LARGEST_ERROR_BITS

    def factor() -> int:
        return int(2 ** (_STEP_BITS - feature_bits - bits) / (job.bound_rows * curvature))

    while bits > 2 and factor() < _LEAST_FACTOR:
        bits -= 2
    private = job.weight_privacy is not None
    return DescentLayout(
        blocks=job.blocks,
        warm_blocks=job.warm_blocks,
        block_rows=job.block_rows,
        home_rows=_small_matrices(job) * max(block.columns for block in blocks)
        + job.starts
        + (private_columns(job) if private else 0),
        feature_bits=feature_bits,
        error_bits=bits,
        gradient_factor=factor(),
        momenta=(0,) if private else tuple(dict.fromkeys(momentum(done) for done in range(passes))),
        small=_small(job.descent, job.part_in_common),
        classes=_classes_of(job.descent),
        informed=tuple(HOLDERS.index(party) for party in job.informed),
        starts=job.starts,
        starts_kept=job.starts_from is not None,
        told_residuals=tuple(HOLDERS.index(party) for party in job.told_residuals),
        private=private,
        debiased=_debiased_of(job, bits),
    )


def _debiased_of(job: Job, bits: int) -> tuple[int, int] | None:
    """See ``DescentLayout.debiased``."""
    if job.label_privacy is None or not job.labels_serve_both:
        return None
    zero, one = job.label_privacy.debiased
    return round(zero * 2**bits), round(one * 2**bits)


def _small_matrices(job: Job) -> int:
    """A holder's: its penalty, its way back, what holds a sample back, what takes a kept model to
    the first point, and the way there."""
    return _before_kept(job.warm_blocks) + (job.starts_from is not None) + bool(job.informed)


def _before_kept(warm_blocks: int) -> int:
    """How many small matrices lie before the one that takes a kept model to the first point."""
    return 2 + bool(warm_blocks)


def _classes_of(descent: Descent) -> tuple[int, ...] | None:
    """See ``DescentLayout.classes``."""
    if descent.class_weight == BALANCED:
        return ()
    if not isinstance(descent.class_weight, dict):
        return None
    return tuple(round(descent.class_weight[label] * 2**CLASS_BITS) for label in "01")


def _small(descent: Descent, part: float) -> int:
    """The squared length of a step, in fixed point, that is small enough. Where some of the rows
    that bound a step are not in the training, steps are shorter by as much, and say as much less;
    but none is shorter than the last bits of some weights."""
    small = int((descent.tolerance * part * 2**WEIGHT_BITS) ** 2)
    return max(small, _LAST_BITS) if descent.tolerance and part < 1 else small


def label_bits(descent: DescentLayout, evaluated: bool) -> int:
    """Bits after the point of the label in tables that were aligned: none where it is a class that
    is counted, or multiplied."""
    return 0 if evaluated or descent.classes else descent.error_bits


def step_of(descent: DescentLayout) -> float:
    """By which a step multiplies the gradient."""
    return descent.gradient_factor * 2.0 ** (descent.feature_bits + descent.error_bits - _STEP_BITS)


def momentum(done: int) -> int:
    """Which of ``MOMENTA`` weighs the step before in the step that follows so many."""
    wanted = done / (done + 3) * 2**MOMENTUM_BITS
    return max(i for i, weight in enumerate(MOMENTA) if weight <= wanted)


# -- the programs

SHARE, PREPARE, GRADIENT, UPDATE, FINISH = "share", "prepare", "gradient", "update.", "finish"
WARM, MARK, ANCHOR, INNER = "warm.", "mark", "anchor", "inner."
COMPARE, ASK, SETTLED, CLASSES = "compare", "ask", "settled", "classes"
RESET = "reset"

_ASK_EVERY, _ASK_ALSO = 8, 12
"""Passes from one question whether to go on to the next, and one more: columns that are not very
much alike settle in nine to twelve passes."""

_SLOPE_BITS = 2
"""A gradient's step counts so many times two. Where the momentum turns round the iterate stands
still for a moment, far from the optimum: it is the gradient that says so."""

_WINDOW_BITS = 11
"""Bits of a number that are looked up at once: see ``_compare``."""
_SQUARE_BITS = 56
"""A squared length, as it is compared, is smaller than two to this."""


def programs(descent: DescentLayout) -> tuple[str, ...]:
    """All but the one that opens, in the order in which they first run."""
    asking = (COMPARE, ASK) if descent.small else ()
    updates = [f"{UPDATE}{i}" for i in descent.momenta]
    if descent.warm_blocks:
        inner = dict.fromkeys(momentum(done) for done in range(1, ANCHOR_PASSES))
        warm = [f"{WARM}{i}" for i in descent.momenta]
        updates = [*warm, MARK, ANCHOR, *(f"{INNER}{i}" for i in inner), *updates]
    return (SHARE, PREPARE, GRADIENT, *updates, *asking, FINISH)


def asked(descent: DescentLayout) -> list[tuple[str, int]]:
    """What is opened on the way: all must know whether to go on."""
    return [(SETTLED, party) for party in range(len(PARTIES))] if descent.small else []


_OF_TABLES = (SHARE, GRADIENT, REACH)
"""The programs that take rows of the tables; the others take those behind them."""


def rows_of(program: str, descent: DescentLayout) -> int:
    """The rows that one run of a program takes."""
    return descent.block_rows if program in _OF_TABLES else descent.home_rows


def rows_in_blocks(
    descent: DescentLayout, first: int = 0, last: int | None = None
) -> NDArray[np.int32]:
    """The rows of some blocks, all unless told, [blocks, block_rows].

    Every n-th row is of one block, so that the first blocks are a sample of all rows."""
    return np.arange(descent.rows, dtype=np.int32).reshape(-1, descent.blocks).T[first:last]


@lru_cache(maxsize=1)
def rows_outside(job: Job, descent: DescentLayout, fold: int) -> NDArray[np.int32]:
    """The rows outside of a fold, as they were shared, [fold_blocks, block_rows]; one of zeros
    fills them up."""
    shared = rows_in_blocks(descent).reshape(-1)
    shared = shared[shared < job.rows]
    found = np.full(job.fold_blocks * descent.block_rows, job.rows, np.int32)
    outside = shared[_fold_of(job)[shared] != fold]
    found[: len(outside)] = outside
    return found.reshape(-1, descent.block_rows)


@lru_cache(maxsize=1)
def _fold_of(job: Job) -> NDArray[np.int32]:
    return job.fold_of  # sorted once, and not for each pass


def _asks(done: int, often: bool) -> bool:
    """Whether the parties ask after so many passes if they go on. They ask often where a pass is
    long, or the descent begins near the optimum, from a former model."""
    return often or done % _ASK_EVERY == 0 or done == _ASK_ALSO


def course(
    job: Job, descent: DescentLayout, evaluated: Callable[[int], Iterator[Stretch]]
) -> Iterator[Stretch]:
    """All runs but the one that opens.

    Args:
        evaluated: what follows the training that has held a fold out.
    """
    assert job.descent is not None
    passes = job.descent.passes
    rows = partial(rows_in_blocks, descent)

    def weighing(done: int) -> int:
        return 0 if descent.private else momentum(done)

    def home() -> NDArray[np.int32]:
        return np.arange(descent.rows, descent.rows + descent.home_rows, dtype=np.int32)[None]

    def phase(
        name: str, update: str, some: int, often: bool, taken: Rows | None = None
    ) -> Iterator[Stretch]:
        taken = taken or partial(rows, 0, some)
        for done in range(passes):
            yield Stretch(GRADIENT, some, phase=name, rows=taken)
            yield Stretch(f"{update}{weighing(done)}", 1, phase=name, rows=home)
            if descent.small and (_asks(done + 1, often) or done + 1 == passes):
                yield Stretch(COMPARE, 1, counted=False, phase=name)
                yield Stretch(ASK, 1, counted=False, phase=name, asks=True)

    def anchored(name: str) -> Iterator[Stretch]:
        sample = descent.warm_blocks
        others = partial(rows, sample, descent.blocks)
        sampled = partial(Stretch, GRADIENT, sample, phase=name, rows=partial(rows, 0, sample))
        yield sampled()
        yield Stretch(MARK, 1, counted=False, phase=name)
        yield Stretch(GRADIENT, descent.blocks - sample, phase=name, rows=others)
        yield Stretch(ANCHOR, 1, phase=name, rows=home)
        for done in range(1, ANCHOR_PASSES):
            yield sampled()
            yield Stretch(f"{INNER}{momentum(done)}", 1, phase=name, rows=home)

    often = bool(descent.starts or descent.starts_kept)
    everything = partial(rows, 0, descent.blocks)
    yield Stretch(SHARE, descent.blocks, counted=False, phase=None, rows=everything)
    yield Stretch(PREPARE, 1, counted=False, phase=None, rows=home)
    for fold in range(job.folds):
        name = f"{FOLD}{fold + 1}"
        outside = partial(rows_outside, job, descent, fold)
        yield from phase(name, UPDATE, job.fold_blocks, often, outside)
        yield from evaluated(fold)
        yield Stretch(RESET, 1, counted=False, phase=f"after {name}")
    if descent.warm_blocks:
        yield from phase("warming up", WARM, descent.warm_blocks, often)
        for _ in range(ANCHORS):
            yield from anchored("correcting")
    yield from phase("training", UPDATE, descent.blocks, often or descent.warm_blocks > 0)
    yield Stretch(FINISH, 1, counted=False, phase=None, rows=home)


def state(layout: Layout, protocol: Protocol, weights_of: Callable[[int], str]) -> list[Value]:
    """What stays shared between the programs."""
    descent = _descent(layout)
    found = [
        Value(
            name_of("table", holder), (descent.rows, d), by_rows=True, parts=parts_of_table(holder)
        )
        for holder, d in _tables(layout)
    ]
    for block in layout.blocks:
        d, party = block.columns, block.party
        found += [
            Value(name_of("home", party), (descent.home_rows, d), parts=parts_of_table(party)),
            *(
                Value(point, (d, 1), parts=protocol.vector_parts(holder))
                for holder, point in _points(layout, block)
            ),
            Value(name_of("iterate", party), (d, 1), parts=ADDITIVE),
            Value(name_of("gradient", party), (d, 1), parts=protocol.sums),
            Value(weights_of(party), (d, 1)),
        ]
        if descent.warm_blocks:
            found.append(Value(name_of("sample", party), (d, 1), parts=protocol.sums))
            found.append(Value(name_of("correction", party), (d, 1), parts=protocol.sums))
        if descent.small:
            found.append(Value(name_of("change", party), (d, 1), parts=ADDITIVE))
            found.append(Value(name_of("slope", party), (d, 1), parts=protocol.sums))
    if descent.classes is not None:
        found += [
            Value(name, (descent.rows, 1), by_rows=True, parts=parts_of_table(holder))
            for name, holder in _classes_by_holder(layout)
        ]
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
            keep_table(builder, "table", holder, 0, columns, _descent(layout).feature_bits)
        if _descent(layout).classes is not None:
            for name, holder in _classes_by_holder(layout):
                share_table(builder, name, _classes(layout, builder, holder), holder)
    elif program == PREPARE:
        for block in layout.blocks:
            first = layout.first_column(block)
            home = keep_table(builder, "home", block.party, first, block.columns, HOME_BITS)
            if _descent(layout).starts:
                _start(layout, builder, block)
            elif _descent(layout).starts_kept:
                _start_kept(layout, builder, block, home, weights_of)
    elif program == GRADIENT:
        _gradient(layout, builder, predicted)
    elif program == COMPARE:
        _compare(layout, builder)
    elif program == FINISH:
        _finish(layout, builder, weights_of)
    elif program == MARK:
        _mark(layout, builder)
    elif program == RESET:
        _reset(layout, builder)
    elif program == ANCHOR:
        _update(layout, builder, program, 0)
    else:
        kind, dot, index = program.partition(".")
        _update(layout, builder, kind + dot, MOMENTA[int(index)])


def _start(layout: Layout, builder: ProgramBuilder, block: Block) -> None:
    """What its holder gives as the first weights of a block: the other's share of them is zero."""
    import tensorflow as tf

    dealing, d, party = builder.dealing, block.columns, block.party
    own = builder.own(party, layout.first_column(block), d, WEIGHT_BITS)
    with dealing.at(party):
        given = tf.reshape(own[-1:], [d, 1])
    with dealing.at(1 - party):
        nothing = tf.zeros([d, 1], tf.int64)
    iterate = (given, nothing, None) if party == 0 else (nothing, given, None)
    _begin(layout, builder, block, iterate)


def _start_kept(
    layout: Layout,
    builder: ProgramBuilder,
    block: Block,
    home: SharedTable,
    weights_of: Callable[[int], str],
) -> None:
    """The weights of a block of a kept model, as those of what is shared now."""
    dealing, d = builder.dealing, block.columns
    first = _before_kept(_descent(layout).warm_blocks) * d
    way = home.rows(first, d, dealing.at)
    iterate = dealing.product(way, builder.held(weights_of(block.party)))
    _begin(layout, builder, block, dealing.rescaled(iterate, HOME_BITS))


def _begin(layout: Layout, builder: ProgramBuilder, block: Block, iterate: Sum) -> None:
    keep_sum(builder, name_of("iterate", block.party), iterate)
    point = builder.dealing.combined((1 << MOMENTUM_BITS, iterate))
    _keep_point(layout, builder, block, point)


def _points(layout: Layout, block: Block) -> list[tuple[int, str]]:
    """Under which names a block's point is kept, and for tables of which holder: its own, and of
    aligned tables the other's too."""
    own = name_of("point", block.party)
    others = [1 - block.party] if layout.aligned else []
    return [(block.party, own), *((other, name_of(own, other)) for other in others)]


def _point(layout: Layout, builder: ProgramBuilder, block: Block, holder: int) -> list[list[Any]]:
    return builder.held(dict(_points(layout, block))[holder])


def _keep_point(layout: Layout, builder: ProgramBuilder, block: Block, point: Sum) -> None:
    """Leaves a block's point as the products of the next pass take it: what they wait for is sent
    here, once for all of them."""
    vector = builder.dealing.spread(point)
    for holder, name in _points(layout, block):
        builder.keep(name, builder.dealing.for_tables_of(vector, holder))


def _gradient(
    layout: Layout,
    builder: ProgramBuilder,
    predicted: Callable[[Dealing, Sum, int, int], Sum],
) -> None:
    from party.protocols.dealing import transposed_times

    dealing, bits = builder.dealing, _descent(layout).error_bits
    feature_bits = _descent(layout).feature_bits
    tables = _shared_tables(layout, builder)
    t = _products(layout, dealing, tables, partial(_point, layout, builder))
    error = predicted(dealing, t, feature_bits + _POINT_BITS, bits)
    for holder in label_holders(layout):
        error = dealing.minus(error, _label(layout, builder, holder, bits), holder)
    spread = dealing.spread(error)
    if _descent(layout).classes is not None:
        weighted = [
            dealing.product(
                shared_table(builder, name, _classes(layout, builder, holder), holder),
                spread,
                lambda own, errors: own * errors,
            )
            for name, holder in _classes_by_holder(layout)
        ]
        whole = weighted[0]
        if layout.aligned:
            whole = dealing.combined(*((1, each) for each in weighted))
        spread = dealing.spread(dealing.rescaled(whole, CLASS_BITS))
    gradients = [dealing.product(table, spread, transposed_times) for table in tables]
    if layout.aligned:
        whole = dealing.combined(*((1, gradient) for gradient in gradients))
        gradients = [
            dealing.rows(whole, layout.first_column(block), block.columns)
            for block in layout.blocks
        ]
    for gradient, block in zip(gradients, layout.blocks, strict=True):
        name = name_of("gradient", block.party)
        before = sum_of(builder.held(name))
        keep_sum(builder, name, dealing.combined((1, before), (1, gradient)))


def label_holders(layout: Layout) -> list[int]:
    """Who has the label: its holder, or of aligned tables both a share of it."""
    return list(range(len(HOLDERS))) if layout.aligned else [layout.label]


def _classes_by_holder(layout: Layout) -> list[tuple[str, int]]:
    """Who has the weights of the rows' classes, or shares of them, and under which name they are
    shared."""
    holders = label_holders(layout)
    return [(name_of(CLASSES, p) if len(holders) > 1 else CLASSES, p) for p in holders]


def _shared_tables(layout: Layout, builder: ProgramBuilder) -> list[SharedTable]:
    return [
        table_of(builder, "table", holder, 0, columns, _descent(layout).feature_bits)
        for holder, columns in _tables(layout)
    ]


def _products(
    layout: Layout,
    dealing: Dealing,
    tables: list[SharedTable],
    vector_of: Callable[[Block, int], list[list[Any]]],
) -> Sum:
    """The weighted sums of rows.

    Args:
        vector_of: what a block's columns are multiplied by, as tables of a holder take it.
    """
    products = []
    for table in tables:
        vectors = [
            vector_of(block, table.holder)
            for block in layout.blocks
            if layout.aligned or block.party == table.holder
        ]
        # Each of two aligned tables has the columns of all blocks.
        vector = dealing.stacked(vectors) if layout.aligned else vectors[0]
        products.append(dealing.product(table, vector))
    return dealing.combined(*((1, product) for product in products))


def sums(layout: Layout, builder: ProgramBuilder, _: Callable[[int], str]) -> tuple[Sum, int]:
    """The weighted sums of a block's rows where the descent has ended, and their bits after the
    point."""
    dealing = builder.dealing
    ends = {
        block: dealing.spread(sum_of(builder.held(name_of("iterate", block.party))))
        for block in layout.blocks
    }
    t = _products(layout, dealing, _shared_tables(layout, builder), lambda block, _: ends[block])
    return t, _descent(layout).feature_bits + WEIGHT_BITS


def _label(layout: Layout, builder: ProgramBuilder, holder: int, bits: int) -> Any:
    """A holder's label, or its share of it."""
    if _descent(layout).classes == ():
        signed = builder.own(holder, layout.label_column(), 1, CLASS_BITS)
        with builder.dealing.at(holder):
            return (1 + _sign(signed)) * (1 << bits)
    if (debiased := _descent(layout).debiased) is not None:
        return _by_class(layout, builder, holder, *debiased)
    label = builder.own(holder, layout.label_column(), 1, bits)
    if layout.aligned:
        less = bits - label_bits(_descent(layout), layout.evaluation is not None)
        with builder.dealing.at(holder):
            label = label * (1 << less) if less else label
    return label


def _classes(layout: Layout, builder: ProgramBuilder, holder: int) -> Any:
    """The weight of each row's class, at the label's holder, or shares of it that add up to it."""
    classes = _descent(layout).classes
    if not classes:
        signed = builder.own(holder, layout.label_column(), 1, CLASS_BITS)
        with builder.dealing.at(holder):
            return signed * (1 + 2 * _sign(signed))
    return _by_class(layout, builder, holder, *classes)


def _by_class(layout: Layout, builder: ProgramBuilder, holder: int, zero: int, one: int) -> Any:
    """One number for each row of label 0 and another for label 1, at the label's holder, or shares
    of it that add up to it."""
    label = builder.own(holder, layout.label_column(), 1, 0)
    with builder.dealing.at(holder):
        number = label * (one - zero)
        return number + zero if holder == label_holders(layout)[0] else number


def _sign(value: Any) -> Any:
    """-1 for a negative number, else 0."""
    import tensorflow as tf

    return tf.bitwise.right_shift(value, tf.constant(63, tf.int64))


def _mark(layout: Layout, builder: ProgramBuilder) -> None:
    """Sets the sample's part of an anchor's gradient apart."""
    for block in layout.blocks:
        gradient = sum_of(builder.held(name_of("gradient", block.party)))
        zeros = builder.dealing.nothing(gradient)
        keep_sum(
            builder,
            name_of("sample", block.party),
            builder.dealing.combined((1, gradient), (1, zeros)),
        )
        keep_sum(builder, name_of("gradient", block.party), zeros)


def _reset(layout: Layout, builder: ProgramBuilder) -> None:
    """Back to the start, where all shares of weights are zero: the next training follows from
    nothing that this one has found. An update leaves no gradient, and the rest is made anew."""
    import tensorflow as tf

    for block in layout.blocks:
        points = [name for _, name in _points(layout, block)]
        for name in (*points, name_of("iterate", block.party)):
            zeros: list[list[Any]] = []
            for party, held in enumerate(builder.held(name)):
                with builder.dealing.at(party):
                    zeros.append([tf.zeros([block.columns, 1], tf.int64) for _ in held])
            builder.keep(name, zeros)


def _update(layout: Layout, builder: ProgramBuilder, kind: str, weight: int) -> None:
    """``w' = y - step (gradient + penalty y)`` and ``y' = w' + momentum (w' - w)``.

    While warming up the gradient is that of a sample, times what makes it one of all rows. After an
    anchor it is that, corrected.
    """
    dealing, descent = builder.dealing, _descent(layout)
    factor = descent.gradient_factor
    if kind in (WARM, INNER):
        factor *= descent.blocks // descent.warm_blocks
    for block in layout.blocks:
        d, party = block.columns, block.party
        held = _point(layout, builder, block, party)
        home = _home(layout, builder, block)
        penalty = home.rows(0, d, dealing.at)
        gradient = sum_of(builder.held(name_of("gradient", party)))
        parts = [(factor, gradient), (1, dealing.product(penalty, held))]
        if kind in (ANCHOR, INNER):
            damping = dealing.product(home.rows(2 * d, d, dealing.at), held)
        if kind == ANCHOR:
            sample = sum_of(builder.held(name_of("sample", party)))
            parts.append((factor, sample))
            others = factor * (descent.blocks // descent.warm_blocks - 1)
            correction = dealing.combined((factor, gradient), (-others, sample), (-1, damping))
            keep_sum(builder, name_of("correction", party), correction)
        if kind == INNER:
            parts += [(1, damping), (1, sum_of(builder.held(name_of("correction", party))))]
        slope = dealing.combined(*parts)
        step = dealing.combined(
            (1 << (_STEP_BITS - _POINT_BITS), dealing.summed(held)), (-1, slope)
        )
        iterate = dealing.rescaled(step, _STEP_BITS - WEIGHT_BITS)
        before = sum_of(builder.held(name_of("iterate", party)))
        point = dealing.combined(((1 << MOMENTUM_BITS) + weight, iterate), (-weight, before))
        keep_sum(builder, name_of("iterate", party), iterate)
        _keep_point(layout, builder, block, point)
        if descent.small and kind in (UPDATE, WARM):
            change = dealing.combined((1, iterate), (-1, before))
            keep_sum(builder, name_of("change", party), change)
            keep_sum(builder, name_of("slope", party), slope)
        keep_sum(builder, name_of("gradient", party), dealing.nothing(gradient))


def _compare(layout: Layout, builder: ProgramBuilder) -> None:
    """Whether the last step is small: its squared length, and that of the gradient's own step times
    ``2**_SLOPE_BITS``, together.

    A window of its bits is looked up together with the windows above it, which overlap by one bit,
    so that what is too large for one is seen in the next. One more question makes one answer of
    theirs.
    """
    dealing, small = builder.dealing, _descent(layout).small
    lengths = []
    for block in layout.blocks:
        change, slope = (sum_of(builder.held(name_of(v, block.party))) for v in ("change", "slope"))
        lengths += [change, dealing.rescaled(slope, _STEP_BITS - WEIGHT_BITS - _SLOPE_BITS)]
    square = dealing.combined(*((1, dealing.square_sum(length)) for length in lengths))
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
        iterate = dealing.spread(sum_of(builder.held(name_of("iterate", party))))
        weights = dealing.rescaled(dealing.product(back, iterate), HOME_BITS)
        if _descent(layout).private:
            weights = _noised(layout, builder, weights, block)
        builder.keep(weights_of(party), dealing.spread(weights))


def _noised(layout: Layout, builder: ProgramBuilder, weights: Sum, block: Block) -> Sum:
    """A block's weights, with the noise of both holders in their shares: each is sure of its own
    alone."""
    first = sum(one.columns for one in layout.blocks[: layout.blocks.index(block)])
    for holder in range(len(HOLDERS)):
        own = builder.own(holder, 0, 1, WEIGHT_BITS)
        with builder.dealing.at(holder):
            noise = own[-layout.all_columns :][first : first + block.columns]
        weights = builder.dealing.plus(weights, noise, holder)
    return weights


def noise(program: str, layout: Layout, weights_of: Callable[[int], str]) -> dict[str, range]:
    """Which of a holder's own rows, of those that a program reads, are noise, by the weights that
    it is on."""
    found: dict[str, range] = {}
    if not _descent(layout).private or program in _OF_TABLES:
        return found
    first = _descent(layout).home_rows - layout.all_columns
    for block in layout.blocks:
        found[weights_of(block.party)] = range(first, first + block.columns)
        first += block.columns
    return found


def weighted(layout: Layout, builder: ProgramBuilder) -> tuple[Sum, int]:
    """The weighted sums of rows that are shared for this alone, and their bits after the point."""
    dealing, bits = builder.dealing, _descent(layout).feature_bits

    def weights(party: int) -> list[list[Any]]:
        return dealing.spread(sum_of(builder.held(name_of("iterate", party))))

    if layout.aligned:  # each table has the columns of all blocks
        whole = dealing.stacked([weights(block.party) for block in layout.blocks])
    sums = []
    for holder, columns in _tables(layout):
        own = builder.own(holder, 0, columns, bits)
        iterate = whole if layout.aligned else weights(holder)
        sums.append((1, dealing.product(dealing.share(own, holder), iterate)))
    return dealing.combined(*sums), bits + WEIGHT_BITS


def _descent(layout: Layout) -> DescentLayout:
    assert layout.descent is not None
    return layout.descent


def _tables(layout: Layout) -> list[tuple[int, int]]:
    """The holders of tables that are multiplied, and the columns of these.

    Tables that were aligned add up to the whole one: X v = A v + B v, and X' e = A' e + B' e."""
    if layout.aligned:
        return [(holder, layout.all_columns) for holder in range(len(HOLDERS))]
    return [(block.party, block.columns) for block in layout.blocks]


def _home(layout: Layout, builder: ProgramBuilder, block: Block) -> SharedTable:
    """A holder's small matrices as they were shared."""
    first = layout.first_column(block)
    return table_of(builder, "home", block.party, first, block.columns, HOME_BITS)


# -- at home


def transform(
    x: Matrix,
    penalty: Array,
    curvature: float,
    holders: int,
    blocks: int = 1,
    sample: int = 0,
    rows: int | None = None,
) -> tuple[Array, Array]:
    """``T`` such that ``T' (curvature x'x + penalty) T`` is at most ``rows * curvature`` over the
    number of holders, [columns, columns]; and ``D`` with ``T' ... T + D`` in its place.

    With a sample, ``T' (curvature blocks/sample s's + penalty) T + D`` keeps to that bound as well,
    and is nowhere less than the former without D.

    Args:
        x: standardised columns, [rows, columns].
        penalty: on each column's squared weight.
        blocks, sample: the rows s of x whose number, modulo ``blocks``, is less than ``sample``.
        rows: those of x unless told.
    """
    wide = len(x) * curvature
    gram, sampled = np.zeros((2, x.shape[1], x.shape[1]))
    for begin in range(0, len(x), _CHUNK):
        part = x[begin : begin + _CHUNK].astype(np.float64)
        gram += part.T @ part
        if sample:
            some = part[np.arange(begin, begin + len(part)) % blocks < sample]
            sampled += some.T @ some
    way = _root(curvature * gram + np.diag(penalty), wide * _FLATTEST)
    lacking = np.zeros_like(way)
    if sample:
        sampled = way.T @ (blocks / sample * curvature * sampled) @ way
        values, vectors = np.linalg.eigh(way.T @ (curvature * gram) @ way - sampled)
        lacking = (vectors * np.maximum(values, 0.0)) @ vectors.T
        bound = sampled + lacking + way.T @ (penalty[:, None] * way)
        further = _root(bound, 1.0)
        way, lacking = way @ further, further.T @ lacking @ further
    most = wide if rows is None else rows * curvature
    return way * np.sqrt(most / holders), most / holders * lacking


def _root(bound: Array, least: float) -> Array:
    """``T`` with ``T' bound T = 1``, or less where the bound is less than ``least``."""
    values, vectors = np.linalg.eigh(bound)
    return np.asarray(vectors / np.sqrt(np.maximum(values, least)))


def penalties(descent: Descent, columns: int, intercept: bool) -> Array:
    """The penalty on each column's squared weight; none on the intercept."""
    found = np.full(columns, 1.0 / descent.C)
    if intercept:
        found[-1] = 0.0
    return found


def _penalties(job: Job, block: Block) -> Array:
    """The same of a block; on its intercept too, where what one row changes of it is bounded."""
    assert job.descent is not None
    free = block.intercept and job.weight_privacy is None
    return penalties(job.descent, block.columns, free)


def rows_at_home(job: Job, curvature: float) -> int:
    """The rows of what ``at_home`` gives."""
    descent = layout_of(job, blocks_of(job), curvature)
    return descent.rows + descent.home_rows


def at_home(
    job: Job,
    party: Party,
    matrix: Matrix,
    curvature: float,
    room: Matrix | None = None,
    after: Matrix | None = None,
    start: Array | None = None,
    noise: NDArray[np.int64] | None = None,
) -> Matrix:
    """The rows that a party's programs read: its table's, transformed; zeros up to a whole block;
    the penalty on transformed weights, the way back from these, and what holds a sample back.

    Args:
        room: for all of them, the matrix in the first; new memory if there is none.
        after: rows that follow, transformed as the table's are, which nothing is taken from; only
            in new memory.
        start: see ``Table``; zeros unless told.
        noise: on all weights, in their last bits, [all columns]; where they are private.

    Raises:
        InputError: a row stands out so far that it does not fit into fixed point.
        ValueError: there is no noise, and there must be some, or the other way round.
    """
    assert job.descent is not None
    _see_to_noise(job, noise)
    descent, rows = layout_of(job, blocks_of(job), curvature), len(matrix)
    last = descent.rows + descent.home_rows
    if room is None:
        more = 0 if after is None else len(after)
        room = np.zeros((last + more, matrix.shape[1]), np.float32)
        room[:rows] = matrix
        if after is not None:
            room[last:] = after
    if is_balanced(job, party):
        room[:rows, -1] = balanced(job.descent, room[:rows, -1], party)
    block = _block(job, party)
    if block is not None:
        columns = block.columns
        penalty = _penalties(job, block)
        way, lacking = _transform(job, party, room[:rows, :columns], curvature)
        for first, some in ((0, room[:rows]), (last, room[last:])):
            for part, transformed in _transformed(some[:, :columns], way, party):
                room[first + part.start : first + part.stop, :columns] = transformed
        own = room[descent.rows : last, :columns]
        own[:columns] = step_of(descent) * (way.T @ (penalty[:, None] * way))
        own[columns : 2 * columns] = way
        if job.warm_blocks:
            # What both lack is at most as many times what each of them does.
            own[2 * columns : 3 * columns] = step_of(descent) * len(blocks_of(job)) * lacking
        if job.informed:
            most = max(one.columns for one in blocks_of(job))
            first = descent.home_rows - descent.starts - most
            own[first : first + columns] = np.linalg.inv(way).T
        if start is not None:
            own[_place_of(start, descent, columns)] = _from_former(way, start, party)
    if noise is not None:
        room[last - len(noise) : last, 0] = noise * 2.0**-WEIGHT_BITS
    return room


def _see_to_noise(job: Job, noise: NDArray[np.int64] | None) -> None:
    """Without its noise nothing of private weights may go anywhere."""
    if (job.weight_privacy is None) != (noise is None):
        raise ValueError("there is noise where weights are private, and nowhere else")
    if noise is not None and (
        noise.shape != (private_columns(job),) or np.abs(noise).max() >= 1 << NOISE_BITS
    ):
        raise ValueError("the noise does not fit")


def _place_of(start: Array, descent: DescentLayout, columns: int) -> slice:
    """Where among a holder's own rows what its weights begin from lies: the last one, or a
    matrix."""
    first = _before_kept(descent.warm_blocks) * columns
    return slice(-1, None) if start.ndim == 1 else slice(first, first + columns)


def _from_former(way: Array, start: Array, party: Party) -> Array:
    """The weights of what is shared that are those of standardised columns; or the matrix that
    takes a kept model to them."""
    found = np.linalg.solve(way, start)
    if start.ndim == 2 and np.abs(found).max() > LIMIT:
        raise InputError(
            "the columns vary too much less in this table than in that of the kept model to begin "
            "from it",
            f"{party}'s table",
            "see that the table is in the units of the former one; or take training.start out",
        )
    if start.ndim == 1 and np.abs(found).max() >= LARGEST_WEIGHT:
        raise InputError(
            "the former model's weights are too large for this table to begin from",
            f"{party}'s model",
            "take training.start out of the job, and begin from zero",
        )
    return np.asarray(found)


def back_from_home(job: Job, party: Party, room: Matrix, curvature: float) -> None:
    """Puts the rows that ``at_home`` transformed back into their place, standardised."""
    descent, block = layout_of(job, blocks_of(job), curvature), _block(job, party)
    if is_balanced(job, party):
        room[: job.rows, -1] = room[: job.rows, -1] > 0
    if block is not None:
        columns = block.columns
        way = room[descent.rows :, :columns][columns : 2 * columns].astype(np.float64)
        back = np.linalg.inv(way)
        for begin in range(0, job.rows, _CHUNK):
            part = room[begin : min(begin + _CHUNK, job.rows), :columns]
            part[:] = part.astype(np.float64) @ back


def is_balanced(job: Job, party: Party) -> bool:
    """Whether a party has the label by which rows are weighed at home."""
    balanced = job.descent is not None and job.descent.class_weight == BALANCED
    return balanced and job.label_of(party) is not None


def balanced(descent: Descent, label: Matrix, party: Party) -> Matrix:
    """The weight of each row's class, by which scikit-learn calls classes balanced: the number of
    rows over twice the class's. Rows of label 0 have it below zero, [rows].

    Raises:
        InputError: the rarer class is rarer than the job says, so that no bound of the weights
            holds.
    """
    ones = label == 1.0
    share = float(ones.mean())
    if min(share, 1.0 - share) < descent.rarest:
        raise InputError(
            "training.rarest: the rarer class has a smaller share of the rows than the job says",
            f"the label in {party}'s table",
            "agree on a smaller training.rarest, or give both classes weights of their own",
        )
    return np.where(ones, 0.5 / share, -0.5 / (1.0 - share)).astype(np.float32)


def _block(job: Job, party: Party) -> Block | None:
    return next((b for b in blocks_of(job) if HOLDERS[b.party] == party), None)


def _transform(job: Job, party: Party, x: Matrix, curvature: float) -> tuple[Array, Array]:
    """See ``transform``, of a party's columns."""
    block, blocks = _block(job, party), blocks_of(job)
    assert block is not None and job.descent is not None
    if job.weight_privacy is not None:  # which nothing in the table may decide
        return way_of(job) * np.eye(block.columns), np.zeros((block.columns, block.columns))
    penalty = _penalties(job, block)
    curvature *= job.descent.largest_weight
    return transform(x, penalty, curvature, len(blocks), job.blocks, job.warm_blocks)


def check(job: Job, party: Party, x: Matrix, curvature: float) -> None:
    """Looks whether a party's standardised columns can be transformed; raises as ``at_home``."""
    if _block(job, party) is not None:
        way, _ = _transform(job, party, x, curvature)
        for _ in _transformed(x, way, party):
            pass


def _transformed(x: Matrix, way: Array, party: Party) -> Iterator[tuple[slice, Array]]:
    """The rows ``x @ way``, some at a time, and which they are."""
    for begin in range(0, len(x), _CHUNK):
        part = slice(begin, min(begin + _CHUNK, len(x)))
        transformed = x[part].astype(np.float64) @ way
        if not (np.abs(transformed) <= LIMIT).all():
            raise _stands_out(party)
        yield part, transformed


def _stands_out(party: Party) -> InputError:
    return InputError(
        "the table has a row that stands out too far from all others",
        f"{party}'s table",
        "clip columns with single large values, or take their logarithm",
    )


class OwnColumns:
    """A holder's columns on their way into aligned tables, as numbers of the ring.

    They are scaled by what bounds the holder's own table. What its own rows add up to is at least
    what those in common do, so that the bound holds for these, whichever they are.

    """

    def __init__(
        self,
        job: AlignedJob,
        party: Party,
        matrix: Matrix,
        curvature: float,
        reserved: int = 0,
        start: Array | None = None,
    ) -> None:
        """Raises InputError for a row that does not fit into fixed point.

        Args:
            job: with the sizes of the tables; the number of common rows does not count here.
            party: whose columns they are.
            matrix: all rows of the holder's standardised table.
            reserved: rows of zeros behind all others, for what is found out on the way.
            start: see ``Table``; zeros unless told.
        """
        assert job.descent is not None
        blocks = blocks_of(job)
        self._matrix, self._party, self._curvature = matrix, party, curvature
        self._layout, self._reserved = layout_of(job, blocks, curvature), reserved
        self._label_bits = label_bits(self._layout, job.evaluation is not None)
        self._block = next((b for b in blocks if HOLDERS[b.party] == party), None)
        self._features = 0 if self._block is None else self._block.columns
        self._start: Array | None = None
        if self._block is not None:
            self._penalty = _penalties(job, self._block)
            own = matrix[:, : self._features]
            steepest = curvature * job.descent.largest_weight
            self._way, _ = transform(own, self._penalty, steepest, len(blocks), rows=job.bound_rows)
            if start is not None:
                self._start = _from_former(self._way, start, party)
        if self._largest() > LIMIT:
            raise _stands_out(party)

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Some of the rows: features, ones and label as far as they are here, [rows, columns]."""
        own, features = self._matrix[which], self._features
        found = np.empty(own.shape, np.int64)
        if self._block is not None:
            scaled = own[:, :features].astype(np.float64) @ self._way
            found[:, :features] = _ring(scaled, self._layout.feature_bits)
        found[:, features:] = _ring(own[:, features:], self._label_bits)
        return found

    def _largest(self) -> float:
        largest = 0.0
        for begin in range(0, len(self._matrix), _CHUNK):
            part = self._matrix[begin : begin + _CHUNK].astype(np.float64)
            if self._block is not None:
                scaled = part[:, : self._features] @ self._way
                largest = max(largest, float(np.abs(scaled).max(initial=0.0)))
        return largest

    def table(self, job: AlignedJob, joined: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """What the holder's programs read: its share of the common rows, zeros up to a whole block,
        its small matrices in the clear, the rows that are held out, and those that are reserved.

        Args:
            job: with the number of common rows.
            joined: the holder's share of them: the columns of all holders and the label, some
                beside each other, each [rows, columns].
        """
        blocks = blocks_of(job)
        layout = layout_of(job, blocks, self._curvature)
        first, out = layout.rows + layout.home_rows, job.held_out
        last = first + job.held_out_rows
        columns = np.cumsum([0, *(part.shape[1] for part in joined)])
        found = np.zeros((last + self._reserved, columns[-1]), np.int64)
        places = np.empty(job.rows, np.int64)
        places[~out], places[out] = np.arange(job.training_rows), np.arange(first, last)
        for part, begin, end in zip(joined, columns[:-1], columns[1:], strict=True):
            for row in range(0, len(part), _CHUNK):  # rather than a copy of all
                found[places[row : row + _CHUNK], begin:end] = part[row : row + _CHUNK]
        if self._block is not None:
            first = sum(b.columns for b in blocks if b.party < self._block.party)
            home = found[layout.rows : layout.rows + layout.home_rows]
            own, way = home[:, first : first + self._features], self._way
            penalty = step_of(layout) * (way.T @ (self._penalty[:, None] * way))
            if max(np.abs(penalty).max(), np.abs(way).max()) > LIMIT:
                raise _stands_out(self._party)
            own[: self._features] = _ring(penalty, HOME_BITS)
            own[self._features : 2 * self._features] = _ring(way, HOME_BITS)
            if self._start is not None:
                place = _place_of(self._start, layout, self._features)
                bits = WEIGHT_BITS if self._start.ndim == 1 else HOME_BITS
                own[place] = _ring(self._start, bits)
        return found


def _ring(values: Array | Matrix, bits: int) -> NDArray[np.int64]:
    return np.rint(values.astype(np.float64) * 2.0**bits).astype(np.int64)


def fit(
    job: Job,
    x: Matrix,
    y: Matrix,
    curvature: float,
    activated: Callable[[Array], Array],
    start: Array | None = None,
) -> Array:
    """The plaintext reference: the same passes in clear, from given weights or from zero."""
    assert job.descent is not None
    features, labels = x.astype(np.float64), y.astype(np.float64)[:, 0]
    columns = features.shape[1]
    way, penalty = np.zeros((columns, columns)), np.zeros(columns)
    first = 0
    blocks = blocks_of(job)
    for block in blocks:
        own = slice(first, first + block.columns)
        penalty[own] = _penalties(job, block)
        bound = curvature * job.descent.largest_weight
        if job.weight_privacy is not None:
            way[own, own] = way_of(job) * np.eye(block.columns)
        else:
            way[own, own], _ = transform(x[:, own], penalty[own], bound, len(blocks))
        first = own.stop
    rows = features @ way
    on_shared = way.T @ (penalty[:, None] * way)
    step = step_of(layout_of(job, blocks, curvature))
    classes = job.descent.class_weight
    weights: Array | float = 1.0
    if is_balanced(job, job.label_holder):
        weights = np.abs(balanced(job.descent, y[:, 0], job.label_holder)).astype(np.float64)
    elif isinstance(classes, dict):
        weights = np.where(labels == 1.0, classes["1"], classes["0"])
    iterate = point = np.zeros(columns) if start is None else np.linalg.solve(way, start)
    often = job.descent.start is not None
    for done in range(job.descent.passes):
        error = weights * (activated(rows @ point) - labels)
        slope = step * (rows.T @ error + on_shared @ point)
        before, iterate = iterate, point - slope
        change = iterate - before
        weight = 0 if job.weight_privacy is not None else MOMENTA[momentum(done)]
        point = iterate + weight / 2**MOMENTUM_BITS * change
        length = np.linalg.norm([change, slope * 2**_SLOPE_BITS])
        if _asks(done + 1, often) and length < job.descent.tolerance:
            break
    return np.asarray(way @ iterate)
