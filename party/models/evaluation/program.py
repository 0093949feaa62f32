"""Counts held-out rows by score and label, on shares.

``score`` counts some rows: of each, twice the point of the grid that its t is near, plus its label,
is one number, which nobody sees; ``Dealing.tally`` counts these. ``tell`` opens how many rows lie
in each bin, without their labels, to whom the job names; the first of these says from that how
bins are joined, in rows of its own that are reserved for it, and ``join`` multiplies the counts of
positives, each of a bin and all below it, by 1 at the end of each group and by 0 elsewhere. The
last program opens those.

With folds every row is one of the tables' own, as they were shared: ``score`` runs over the rows of
a fold when the training that has held them out is over, under what that training has found, and
counts go on where the fold before has left them. A run that a fold's rows do not fill is filled up
by a row of zeros, whose t is 0 whatever the weights are. How often that was is public: who is told
takes as many rows off again.

Counts are of 32 bits, half of a share's, and stand in the upper half of one, where they wrap as
they do alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.parties import HOLDERS
from party.models.descent import label_holders
from party.models.evaluation import bins
from party.models.evaluation.bins import Counts, ends
from party.models.evaluation.figures import Evaluation
from party.models.evaluation.metrics import evaluation_of
from party.models.health import WrongModelError
from party.models.interface import (
    EvaluationLayout,
    Layout,
    Opened,
    ProgramBuilder,
    Stretch,
    Value,
)
from party.protocols.interface import ADDITIVE

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.protocols.dealing import Dealing, Sum

SCORE, TELL, JOIN = "score", "tell", "join"

SCORES, POSITIVES, JOINED = "scores", "positives", "positives.joined"
"""Rows in each bin, and behind them those that lie outside of all; positive rows in each bin; those
in groups of bins and below."""

LIFT_BITS = 32
"""Of a count in a share."""

WINDOWS = ((1, 8, -63, 126), *((drop, 6, -2, 3) for drop in (7, 11, 15, 19, 23, 25)))
"""What t must fulfil so that it lies on the grid: see ``Dealing.outside``. The first asks whether
``t / 2`` is one of 126 numbers in the middle of a period of 512; whether it is there and not whole
periods further ask the others, each of what is larger, and the last of the highest bits."""


def layout_of(job: Job, first: int) -> EvaluationLayout | None:
    """The sizes of a job's evaluation; ``first``: where its rows begin."""
    if not job.evaluated_by:
        return None
    rows = job.fold_rows if job.folds else job.held_out_rows
    return EvaluationLayout(
        runs=job.evaluated_runs,
        run_rows=-(-rows // job.evaluated_runs),
        first=first,
        to=tuple(HOLDERS.index(party) for party in job.evaluated_by),
        folds=job.folds,
    )


def programs(evaluation: EvaluationLayout | None) -> tuple[str, ...]:
    """Those of an evaluation, in their order."""
    return () if evaluation is None else (SCORE, TELL, JOIN)


def rows_of(program: str, evaluation: EvaluationLayout) -> int:
    """The rows that one run of a program takes."""
    return bins.GRID.bins if program == JOIN else evaluation.run_rows


def state(evaluation: EvaluationLayout | None) -> list[Value]:
    """What stays shared between the programs."""
    if evaluation is None:
        return []
    return [
        Value(SCORES, (bins.GRID.bins + 1, 1), parts=ADDITIVE),
        Value(POSITIVES, (bins.GRID.bins, 1), parts=ADDITIVE),
        Value(JOINED, (bins.GRID.bins, 1)),
    ]


def course(job: Job, layout: Layout, bits: int) -> Iterator[Stretch]:
    """The runs of the programs.

    Args:
        bits: after the point of what is opened, as it is told.
    """
    evaluation = layout.evaluation
    if evaluation is None:
        return
    assert job.evaluation is not None
    first, last = evaluation.first, evaluation.first + evaluation.rows
    minimum, filled = job.evaluation.minimum, evaluation.filled(job.rows)

    def held_out() -> NDArray[np.int32]:
        return np.arange(first, last, dtype=np.int32).reshape(-1, evaluation.run_rows)

    def reserved() -> NDArray[np.int32]:
        return np.arange(last, last + bins.GRID.bins, dtype=np.int32)[None]

    def told(opened: Opened, matrix: NDArray[Any]) -> None:
        if SCORES in opened:
            rows = _less_filled(counts(opened[SCORES], bits), filled)
            whole = rows[-1] == 0  # where a row lies outside, no label is told of any
            matrix[last : last + bins.GRID.bins, 0] = ends(rows[:-1], minimum) & whole

    quiet = partial(Stretch, counted=False, phase=None)
    if not evaluation.folds:
        yield quiet(SCORE, evaluation.runs, rows=held_out)
    yield quiet(TELL, 1, told=told)
    yield quiet(JOIN, 1, rows=reserved)


def course_of_fold(job: Job, evaluation: EvaluationLayout | None, fold: int) -> Iterator[Stretch]:
    """What counts a fold's rows, after the training that has held them out."""
    assert evaluation is not None

    def rows() -> NDArray[np.int32]:
        found = np.full(evaluation.runs * evaluation.run_rows, job.rows, np.int32)
        own = np.flatnonzero(job.fold_of == fold)
        found[: len(own)] = own
        return found.reshape(-1, evaluation.run_rows)

    yield Stretch(
        SCORE, evaluation.runs, counted=False, phase=f"counting fold {fold + 1}", rows=rows
    )


def at_home(job: Job, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The held-out rows of a holder's table, and those that are reserved."""
    reserved = np.zeros((bins.GRID.bins, matrix.shape[1]), np.float32)
    return np.concatenate([matrix[job.held_out], reserved])


def reserved(job: Job) -> int:
    """The rows that are reserved behind the held-out ones."""
    return bins.GRID.bins if job.evaluated_by else 0


def found(job: Job, party: Party, opened: Opened, bits: int) -> Evaluation | None:
    """What the counts that a party was told come to; None where it was told none.

    Raises:
        WrongModelError: they are no counts of the held-out rows.
    """
    if job.evaluation is None or party not in job.evaluated_by:
        return None
    rows, up_to = (counts(opened[name], bits) for name in (SCORES, JOINED))
    sizes = layout_of(job, 0)
    assert sizes is not None
    rows = _less_filled(rows, sizes.filled(job.rows))
    try:
        if rows[:-1].sum() != (job.rows if job.folds else job.held_out_rows):
            raise ValueError("the counts are not of all held-out rows")
        flip = 0.0 if job.label_privacy is None else job.label_privacy.flip
        # Of rows that were matched nobody knows which are held out.
        told = evaluation_of(rows, up_to, job.evaluation.minimum, flip, not job.matched)
        return told.model_copy(update={"folds": job.folds or None})
    except ValueError as error:
        raise WrongModelError(
            f"the evaluation is wrong: {error}",
            "what was opened at the end",
            "run the job again; if it comes back, the software of a party is at fault",
        ) from None


def counts(opened: NDArray[np.float64], bits: int) -> Counts:
    """The counts in an opened value."""
    return np.rint(opened.reshape(-1) * 2.0 ** (bits - LIFT_BITS)).astype(np.int64)


def _less_filled(rows: Counts, filled: int) -> Counts:
    """Counts without rows of zeros. Two random shares of 0, each rounded down, are a point below 0,
    or at 0 where both end in zeros, which is as good as never."""
    found, middle = rows.copy(), bins.GRID.bins // 2
    below = min(filled, int(rows[middle - 1]))
    found[middle - 1] -= below
    found[middle] -= filled - below
    return found


def told(evaluation: EvaluationLayout | None) -> list[tuple[str, int]]:
    """What is opened after the training."""
    return [] if evaluation is None else [(SCORES, to) for to in evaluation.to]


def opened(evaluation: EvaluationLayout | None) -> list[tuple[str, int]]:
    """What is opened at the end."""
    return [] if evaluation is None else [(JOINED, to) for to in evaluation.to]


def score(
    layout: Layout,
    builder: ProgramBuilder,
    weighted: Callable[[ProgramBuilder], tuple[Sum, int]],
) -> None:
    """Counts the held-out rows of one run.

    Args:
        weighted: the weighted sums of the rows, and their bits after the point.
    """
    import tensorflow as tf

    dealing = builder.dealing
    t, bits = weighted(builder)
    t = dealing.gathered(t)
    less = []
    for holder in label_holders(layout):
        label = builder.own(holder, layout.label_column(), 1, 0)
        with dealing.at(holder):
            less.append((-tf.cast(label, tf.int32), holder))
    point = dealing.narrowed(t, bits - bins.GRID.bits)
    number = dealing.combined((2, point))
    for own, holder in less:
        number = dealing.minus(number, own, holder)
    rows, positives = _folded(dealing, dealing.tally(number, bins.GRID.points_bits + 1))
    # With more bits after the point there are fewer before it, to which the last window looks.
    windows = dict.fromkeys((min(bits + drop, 64 - w[0]), *w) for drop, *w in WINDOWS)
    beyond = dealing.combined(*((1, dealing.outside(t, *window)) for window in windows))
    for name, some in (
        (SCORES, _lifted(dealing, rows, beyond)),
        (POSITIVES, _lifted(dealing, positives)),
    ):
        before = builder.held(name)
        new = dealing.combined((1, (before[0][0], before[1][0], None)), (1, some))
        builder.keep(name, [[new[0]], [new[1]], []])


def join(layout: Layout, builder: ProgramBuilder) -> None:
    """Positives up to the end of each group, and 0 in all other places."""
    dealing, evaluation = builder.dealing, layout.evaluation
    assert evaluation is not None
    holder = evaluation.to[0]
    chosen = dealing.share(builder.own(holder, 0, 1, 0), holder)
    held = builder.held(POSITIVES)
    below = _each(dealing, _cumulative, (held[0][0], held[1][0], None))
    found = dealing.product(chosen, dealing.spread(below), lambda x, v: x * v)
    builder.keep(JOINED, dealing.spread(dealing.gathered(found)))


def _folded(dealing: Dealing, tally: Sum) -> tuple[Sum, Sum]:
    """Rows in each bin, and positive ones, [bins, 1], of the counts of twice a point plus label."""
    import tensorflow as tf

    def by_bins(share: Any) -> Any:
        points = tf.reshape(share, [bins.GRID.points, 2])
        half = bins.GRID.points // 2
        rising = tf.concat([points[half:], points[:half]], 0)
        return tf.concat(
            [
                tf.reduce_sum(tf.reshape(rising[low:high], [(high - low) // width, width, 2]), 1)
                for low, high, width in bins.GRID.pieces
            ],
            0,
        )

    counted = _each(dealing, by_bins, tally)
    rows = _each(dealing, lambda share: tf.reduce_sum(share, 1, keepdims=True), counted)
    return rows, _each(dealing, lambda share: share[:, 1:], counted)


def _lifted(dealing: Dealing, *parts: Sum) -> Sum:
    """Counts of 32 bits, one behind the other, in the upper half of 64."""
    import tensorflow as tf

    def lift(*shares: Any) -> Any:
        return tf.cast(tf.concat(shares, 0), tf.int64) * (1 << LIFT_BITS)

    return _each(dealing, lift, *parts)


def _cumulative(share: Any) -> Any:
    import tensorflow as tf

    step, size = 1, int(share.shape[0])
    while step < size:
        share = tf.concat([share[:step], share[step:] + share[:-step]], 0)
        step *= 2
    return share


def _each(dealing: Dealing, make: Callable[..., Any], *values: Sum) -> Sum:
    """What Alice and Bob each make of their own shares."""
    made = []
    for party in range(2):
        with dealing.at(party):
            made.append(make(*(value[party] for value in values)))
    return made[0], made[1], None
