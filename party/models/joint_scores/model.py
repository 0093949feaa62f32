"""Scores by a model that one party has, of rows of which another party has columns.

The model's holder adds up at home what its own columns and the intercept give to each row's
weighted sum. What is left is one product: the other's rows times the weights of the other's
columns. ``share`` shares those weights; ``score`` shares a block of the other's rows and multiplies
them, adds the holder's sums and rounds them; ``open`` opens the sums ``t`` of all rows, to whom the
job says, who applies the exact sigmoid at home.

**A left join** leaves each holder a share of the right holder's columns, one row for each of the
left's (``party.alignment.left_join``). They need no program of their own:

- The left has the model: ``(A + B) w = A w + B w``. It multiplies its share A at home and adds that
  to its own sums; the right's rows are B.
- The right has it: what is joined are its sums, ``A + B``. The right's are B, and the left's table
  has one column more, A, of weight 1.

All of it is exact, modulo 2**64; what is rounded is the whole sum.

Before it is rounded ``t`` has the bits of both factors after the point. Who has the model knows the
weights as whole numbers, so that all of these bits would be an equation in whole numbers, with few
solutions where the other has few columns. No more of them are opened than a score needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from party.agreement.limits import LIMIT
from party.agreement.parties import HOLDERS
from party.models.interface import (
    Array,
    Block,
    DescentLayout,
    EvaluationLayout,
    Layout,
    Model,
    Opened,
    ProgramBuilder,
    Scales,
    Stretch,
    Value,
)
from party.models.joint_scores.parameters import JointScoresParameters
from party.models.label import LabelRule
from party.process.errors import InputError

if TYPE_CHECKING:
    from party.agreement.job import AlignedJob, Job, Party
    from party.models.descent import OwnColumns
    from party.models.evaluation.figures import Evaluation
    from party.models.health import Health, WrongModelError
    from party.models.statistics.figures import Statistics
    from party.protocols.interface import Protocol

Ring = NDArray[np.int64]

FEATURE_BITS = 22
"""Bits after the point of the other's standardised columns."""
WEIGHT_BITS = 22
"""Of the weights of these."""
SUM_BITS = FEATURE_BITS + WEIGHT_BITS
"""Of weighted sums, as they come of these."""
OPENED_BITS = 18
"""Of those that are opened, which are off by less than one unit: the fewest with which no
probability is off by one in a million for that, a quarter of a unit being the most."""

LARGEST_SUM = 2.0 ** (61 - SUM_BITS)
"""No sum may be larger: what can be rounded is below twice that, and factors are rounded too."""

SHARE, SCORE, OPEN = "share", "score", "open"
WEIGHTS, SUMS = "weights", "sums"


class JointScores(Model):
    """It trains nothing: what is asked of a training alone has no answer here."""

    name: ClassVar[str] = "joint-scores"

    def __init__(self, parameters: JointScoresParameters) -> None:
        self.parameters: JointScoresParameters = parameters

    @property
    def holder(self) -> int:
        """The index of the party that has the model."""
        return HOLDERS.index(self.parameters.holder)

    def _other(self, layout: Layout) -> Block:
        return next(block for block in layout.blocks if block.party != self.holder)

    def programs(self, layout: Layout) -> tuple[str, ...]:
        return (SHARE, SCORE, OPEN)

    def rows_of(self, program: str, layout: Layout) -> int:
        if program == SHARE:
            return self._other(layout).features
        return layout.share_rows if program == SCORE else layout.rows

    def course(self, job: Job, layout: Layout) -> Iterator[Stretch]:
        weights = np.arange(layout.rows, layout.rows + self._other(layout).features, dtype=np.int32)
        yield Stretch(SHARE, 1, counted=False, phase=None, rows=lambda: weights[None])
        blocks = job.in_blocks(layout.rows, layout.share_rows)
        yield Stretch(SCORE, len(blocks), phase="scoring", rows=lambda: blocks)

    def result_bits(self, layout: Layout) -> int:
        return OPENED_BITS

    def state(self, layout: Layout, protocol: Protocol) -> tuple[Value, ...]:
        return (
            Value(WEIGHTS, (self._other(layout).features, 1)),
            Value(SUMS, (layout.rows, 1), by_rows=True),
        )

    def weights(self, layout: Layout) -> list[str]:
        return [WEIGHTS]

    def opened(self, layout: Layout) -> list[tuple[str, int]]:
        return [(SUMS, to) for to, _ in layout.receivers]

    def asked(self, layout: Layout) -> list[tuple[str, int]]:
        return []

    def told(self, layout: Layout) -> list[tuple[str, int]]:
        return []

    def vouched(self, layout: Layout) -> list[tuple[str, int]]:
        return []

    def build(self, program: str, layout: Layout, builder: ProgramBuilder) -> None:
        dealing, other = builder.dealing, self._other(layout)
        if program == OPEN:
            for value, to in self.opened(layout):
                builder.reveal(value, to)
        elif program == SHARE:
            own = builder.own(self.holder, 0, 1, WEIGHT_BITS)
            builder.keep(WEIGHTS, dealing.spread(dealing.divided(own, self.holder)))
        else:
            rows = builder.own(other.party, 0, other.features, FEATURE_BITS)
            table = dealing.share(rows, other.party)
            t = dealing.product(table, builder.held(WEIGHTS))
            sums = builder.own(self.holder, 0, 1, SUM_BITS)
            whole = dealing.gathered(dealing.plus(t, sums, self.holder))
            builder.keep(SUMS, dealing.spread(dealing.rescaled(whole, SUM_BITS - OPENED_BITS)))

    # At home.

    def holders_table(self, sums: Array, weights: Array, where: str) -> Ring:
        """What the programs read at the model's holder: sums by row, and behind them the weights of
        the other's columns, [rows + columns, 1].

        Args:
            sums: of the holder's own columns and the intercept, [rows].
            weights: of the other's columns, [columns].
            where: the model's file, for an error.

        Raises:
            InputError: a sum might be too large, whatever the other's rows are.
        """
        largest = np.abs(sums).max(initial=0.0) + np.abs(weights).sum() * LIMIT
        if not largest < LARGEST_SUM:
            what = "the model's weights are so large that scores would not fit into fixed point"
            raise InputError(what, where, "train a model with a stronger penalty (a smaller C)")
        return np.concatenate([_ring(sums, SUM_BITS), _ring(weights, WEIGHT_BITS)])[:, np.newaxis]

    def others_table(self, standardised: Array) -> Ring:
        """What they read at the other: its rows, none of which is larger than ``LIMIT``."""
        return _ring(standardised, FEATURE_BITS)

    def joined_columns(self, job: Job, party: Party, table: Ring) -> Ring:
        """Of what a holder's table reads as, the part that has a row for each of the table's."""
        own, _ = self._by_rows(job, party, table)
        return own

    def joined_table(
        self,
        job: AlignedJob,
        party: Party,
        table: Ring,
        share: Ring,
        order: NDArray[np.int64] | None,
    ) -> Ring:
        """What the programs read at a holder after a left join: see above.

        Args:
            job: with as many rows as the left's table has.
            party: the holder.
            table: what its table reads as.
            share: of the right's columns, in the joined order, [rows, columns].
            order: at the left, which of its rows stands at each place of that order.
        """
        own, weights = self._by_rows(job, party, table)
        has_model = party == self.parameters.holder
        if order is None:
            rows = share
            if has_model:
                weights = np.append(weights, [[1]], axis=0)
        elif has_model:
            rows = own[order] + share @ weights
        else:
            rows = np.concatenate([own[order], share], axis=1)
        filling = np.zeros((job.plan_rows - job.rows, rows.shape[1]), np.int64)
        return np.concatenate([rows, filling, *([weights] if has_model else [])])

    def _by_rows(self, job: Job, party: Party, table: Ring) -> tuple[Ring, Ring]:
        """What has a row for each of the table's, and the weights behind it, if there are any."""
        holds = party == self.parameters.holder
        rows = len(table) - (len(job.derived_of(self.parameters.other)) if holds else 0)
        return table[:rows], table[rows:]

    def scores(self, sums: Array) -> Array:
        """What weighted sums say, [rows]: probabilities of label 1, or labels."""
        from party.models.registry import model_of, trained

        model = model_of(trained(self.parameters.predicts, self.parameters.unit))
        rows: Any = sums.reshape(-1, 1)
        return model.predict(np.ones(1), rows)

    def predict(self, weights: Array, x: NDArray[np.float32]) -> Array:
        return self.scores(x.astype(np.float64) @ weights)

    def rows_at_home(self, job: Job) -> int:
        return job.rows

    def at_home(
        self,
        job: Job,
        party: Party,
        matrix: NDArray[np.float32],
        room: NDArray[np.float32] | None = None,
        start: Array | None = None,
        noise: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        return matrix

    def back_from_home(self, job: Job, party: Party, room: NDArray[np.float32]) -> None:
        return

    def check_steps(self, job: Job, party: Party, x: NDArray[np.float32]) -> tuple[str, ...]:
        return ()

    def check_label(self, job: Job, party: Party, label: NDArray[np.float32]) -> None:
        return

    # Of a training, which is none.

    def evaluation(self, job: Job, descent: DescentLayout | None) -> EvaluationLayout | None:
        return None

    def descent(self, job: Job, blocks: tuple[Block, ...]) -> DescentLayout | None:
        return None

    def reach(self, job: Job) -> int | None:
        return None

    def row_limit(self, job: Job) -> float | None:
        return None

    def sigmoid(self, job: Job) -> None:
        return None

    def evaluated(self, job: Job, party: Party, opened: Opened) -> Evaluation | None:
        return None

    def statistics(
        self, job: Job, party: Party, opened: Opened, scales: Scales, x: NDArray[np.float32]
    ) -> Statistics | None:
        return None

    @property
    def label_rule(self) -> LabelRule:
        raise _nothing_is_trained()

    def to_align(
        self,
        job: AlignedJob,
        party: Party,
        matrix: NDArray[np.float32],
        start: Array | None = None,
    ) -> OwnColumns:
        raise _nothing_is_trained()

    def no_model(self, job: Job) -> WrongModelError:
        raise _nothing_is_trained()

    def document(self, job: Job, party: Party, opened: Opened, scales: Scales) -> dict[str, Any]:
        raise _nothing_is_trained()

    def health(self, job: Job, party: Party, opened: Opened, x: NDArray[np.float32]) -> Health:
        raise _nothing_is_trained()

    def fit(
        self,
        job: Job,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        start: Array | None = None,
    ) -> Array:
        raise _nothing_is_trained()


def _nothing_is_trained() -> AssertionError:
    return AssertionError("a job that scores trains nothing")


def _ring(values: Array, bits: int) -> Ring:
    return np.rint(values * 2.0**bits).astype(np.int64)
