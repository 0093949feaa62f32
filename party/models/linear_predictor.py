"""What models share that fit weights to ``t = row . weights``, by either solver."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from party.agreement.parties import HOLDERS
from party.models import batches, descent, private_weights, reach
from party.models.curvature import check_curvature
from party.models.evaluation import program as evaluation
from party.models.health import (
    Health,
    WrongModelError,
    check_sums,
    check_weights,
    out_of_range,
    overshoot,
)
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
    blocks_of,
)
from party.models.statistics import program as information
from party.models.statistics.collinearity import collinearity_of
from party.models.statistics.inference import (
    Fit,
    information_of,
    moments_of,
    statistics_of,
    weighed_information_of,
)
from party.process.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from party.agreement.job import AlignedJob, Job, Party
    from party.models.descent import OwnColumns
    from party.models.evaluation.figures import Evaluation
    from party.models.statistics.figures import Statistics
    from party.models.statistics.inference import Residuals
    from party.protocols.dealing import Dealing, Sum
    from party.protocols.interface import Protocol


def weights_of(party: int) -> str:
    """The name of the weights of a party's columns, as the audit says it."""
    return f"weights.{('alice', 'bob')[party]}"


def _not_checked(job: Job) -> str:
    """Why nobody is told whether the training has settled; empty where all are."""
    if job.batches_of is not None:
        return "mini-batches are not; passes over all rows, without training.epochs, are"
    if job.descent is not None and job.descent.tolerance == 0:
        return "training.tolerance is 0"
    return ""


def _reveal(builder: ProgramBuilder, what: list[tuple[str, int]]) -> None:
    for value, to in what:
        builder.reveal(value, to)


class LinearPredictor(Model):
    """A model whose prediction is a function of one weighted sum of the columns."""

    curvature: ClassVar[float]
    """The largest second derivative of a row's loss by its weighted sum."""
    widest: ClassVar[float]
    """Steps wider than those that settle, by this factor, are refused. (Where the error is bounded,
    a training on classes that are easy to tell apart bears somewhat wider ones.)"""

    homoscedastic: ClassVar[bool] = False
    """Whether the label varies by as much in all rows, which only its residuals tell."""

    @abstractmethod
    def predicted(self, layout: Layout, dealing: Dealing, t: Sum, bits: int, out: int) -> Sum:
        """What the model predicts of weighted sums: from ``bits`` after the point to ``out``."""

    @abstractmethod
    def predicted_in_clear(self, job: Job, t: Array) -> Array:
        """The same in clear, with the same approximation."""

    def descent(self, job: Job, blocks: tuple[Block, ...]) -> DescentLayout | None:
        if job.descent is None:
            return None
        return descent.layout_of(job, blocks, self.curvature)

    def evaluation(self, job: Job, descent: DescentLayout | None) -> EvaluationLayout | None:
        if descent is None:
            return None
        return evaluation.layout_of(job, descent.rows + descent.home_rows)

    def programs(self, layout: Layout) -> tuple[str, ...]:
        if layout.opening:
            return ("open",)
        training = batches.PROGRAMS if layout.descent is None else descent.programs(layout.descent)
        evaluating = evaluation.programs(layout.evaluation)
        if layout.evaluation is not None and layout.evaluation.folds:
            training = (*training[:-1], evaluating[0], descent.RESET, training[-1])
            evaluating = evaluating[1:]
        vouching = () if layout.reach is None else reach.PROGRAMS
        informing = () if layout.descent is None else information.programs(layout.descent)
        return (*training, *vouching, *informing, *evaluating, "open")

    def rows_of(self, program: str, layout: Layout) -> int:
        if layout.evaluation is not None and program in evaluation.programs(layout.evaluation):
            return evaluation.rows_of(program, layout.evaluation)
        if layout.descent is not None and program in information.programs(layout.descent):
            return information.rows_of(program, layout.descent)
        if layout.descent is not None:
            return descent.rows_of(program, layout.descent)
        return batches.rows_of(program, layout)

    def reach(self, job: Job) -> int | None:
        if job.weight_privacy is not None:  # every row is, whatever it holds: private_weights
            return None
        wave = self.sigmoid(job)
        seen = [all(p == to or not job.features_of(p) for p in job.holders) for to in job.receivers]
        return None if wave is None or (seen and all(seen)) else wave.period_bits

    def vouched(self, layout: Layout) -> list[tuple[str, int]]:
        return reach.vouched(layout)

    def no_model(self, job: Job) -> WrongModelError:
        return out_of_range(self.sigmoid(job), "some of the")

    def course(self, job: Job, layout: Layout) -> Iterator[Stretch]:
        if layout.opening:
            return
        if layout.descent is None:
            yield from batches.course(job, layout)
            shared = job.in_blocks(job.rows, layout.share_rows)
            yield from reach.course(layout, len(shared), lambda: shared)
            return
        counted = partial(evaluation.course_of_fold, job, layout.evaluation)
        yield from descent.course(job, layout.descent, counted)
        everything = partial(descent.rows_in_blocks, layout.descent)
        yield from reach.course(layout, layout.descent.blocks, everything)
        yield from information.course(layout.descent, everything)
        yield from evaluation.course(job, layout, descent.WEIGHT_BITS)

    def result_bits(self, layout: Layout) -> int:
        return batches.WEIGHT_BITS if layout.descent is None else descent.WEIGHT_BITS

    def rows_at_home(self, job: Job) -> int:
        if job.descent is None or job.evaluation is not None:  # which takes memory of its own
            return job.rows
        return descent.rows_at_home(job, self.curvature)

    def at_home(
        self,
        job: Job,
        party: Party,
        matrix: NDArray[np.float32],
        room: NDArray[np.float32] | None = None,
        start: Array | None = None,
        noise: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        if job.descent is None:
            return matrix
        if job.evaluation is None:
            return descent.at_home(
                job, party, matrix, self.curvature, room, start=start, noise=noise
            )
        after = evaluation.at_home(job, matrix)
        training = matrix[~job.held_out]
        return descent.at_home(job, party, training, self.curvature, after=after, start=start)

    def back_from_home(self, job: Job, party: Party, room: NDArray[np.float32]) -> None:
        if job.descent is not None and job.evaluation is None:
            descent.back_from_home(job, party, room, self.curvature)

    def to_align(
        self,
        job: AlignedJob,
        party: Party,
        matrix: NDArray[np.float32],
        start: Array | None = None,
    ) -> OwnColumns:
        reserved = evaluation.reserved(job)
        return descent.OwnColumns(job, party, matrix, self.curvature, reserved, start)

    def state(self, layout: Layout, protocol: Protocol) -> tuple[Value, ...]:
        if layout.opening:
            blocks = layout.blocks
            return tuple(Value(weights_of(block.party), (block.columns, 1)) for block in blocks)
        if layout.descent is not None:
            values = (*descent.state(layout, protocol, weights_of), *reach.state(layout))
            informing = information.state(layout, protocol)
            return (*values, *informing, *evaluation.state(layout.evaluation))
        return (*batches.state(layout, weights_of), *reach.state(layout))

    def weights(self, layout: Layout) -> list[str]:
        return [weights_of(block.party) for block in layout.blocks]

    def opened(self, layout: Layout) -> list[tuple[str, int]]:
        weights = [(weights_of(p), to) for to, parties in layout.receivers for p in parties]
        return weights + information.opened(layout) + evaluation.opened(layout.evaluation)

    def noise(self, program: str, layout: Layout) -> dict[str, range]:
        if layout.descent is None or layout.opening:
            return {}
        return descent.noise(program, layout, weights_of)

    def asked(self, layout: Layout) -> list[tuple[str, int]]:
        if layout.descent is None or layout.opening:
            return []
        return descent.asked(layout.descent)

    def told(self, layout: Layout) -> list[tuple[str, int]]:
        return evaluation.told(layout.evaluation)

    def build(self, program: str, layout: Layout, builder: ProgramBuilder) -> None:
        if program == "open":
            _reveal(builder, self.opened(layout))
        elif program == "ask":
            _reveal(builder, self.asked(layout))
        elif program == reach.VOUCH:
            _reveal(builder, self.vouched(layout))
        elif program == reach.JUDGE:
            reach.judge(builder)
        elif program == reach.REACH:
            solver = batches if layout.descent is None else descent
            reach.reach(layout, builder, *solver.sums(layout, builder, weights_of))
        elif program == evaluation.TELL:
            _reveal(builder, self.told(layout))
        elif program == evaluation.SCORE:
            evaluation.score(layout, builder, partial(self._weighted, layout))
        elif program == evaluation.JOIN:
            evaluation.join(layout, builder)
        elif layout.descent is not None and program == information.INFORM:
            score = None if self.homoscedastic else partial(self.predicted, layout)
            information.inform(layout, builder, descent.WEIGHT_BITS, score)
        elif layout.descent is not None and program == information.RESIDUALS:
            information.residuals(layout, builder, *descent.sums(layout, builder, weights_of))
        elif layout.descent is not None and program == information.UNSCALE:
            information.unscale(layout, builder, descent.HOME_BITS)
        else:
            solver = batches if layout.descent is None else descent
            solver.build(program, layout, builder, partial(self.predicted, layout), weights_of)

    def _weighted(self, layout: Layout, builder: ProgramBuilder) -> tuple[Sum, int]:
        """Of rows that are counted: with folds they are shared already, as the others."""
        assert layout.evaluation is not None
        if layout.evaluation.folds:
            return descent.sums(layout, builder, weights_of)
        return descent.weighted(layout, builder)

    def document(self, job: Job, party: Party, opened: Opened, scales: Scales) -> dict[str, Any]:
        names: list[str] = []
        holders: list[str] = []
        weights: list[float] = []
        scaled: list[tuple[float | None, float | None]] = []
        intercept: float | None = None
        for index, holder in enumerate(job.holders):
            if weights_of(index) not in opened:
                continue
            own = opened[weights_of(index)].reshape(-1)
            for i, name in enumerate(job.derived_of(holder)):
                names.append(name)
                holders.append(holder)
                weights.append(float(own[i]))
                scaled.append(scales.of(i) if holder == party else (None, None))
            if holder == job.intercept_holder:
                intercept = float(own[-1])
        return {
            "features": names,
            "holders": holders,
            "mean": [mean for mean, _ in scaled],
            "scale": [scale for _, scale in scaled],
            "weights": weights,
            "intercept": intercept,
        }

    def evaluated(self, job: Job, party: Party, opened: Opened) -> Evaluation | None:
        return evaluation.found(job, party, opened, descent.WEIGHT_BITS)

    def statistics(
        self, job: Job, party: Party, opened: Opened, scales: Scales, x: NDArray[np.float32]
    ) -> Statistics | None:
        if job.descent is None or party not in job.statistics_to:
            return None
        names: list[str | None] = []
        scaled: list[float | None] = []
        blocks = blocks_of(job)
        for block in blocks:
            holder = HOLDERS[block.party]
            names += [*job.derived_of(holder), *([None] if block.intercept else [])]
            own = [scales.of(i)[1] if holder == party else None for i in range(block.features)]
            scaled += [*own, *([None] if block.intercept else [])]
        penalty = [descent.penalties(job.descent, b.columns, b.intercept) for b in blocks]
        weights = np.concatenate([opened[weights_of(b.party)].reshape(-1) for b in blocks])
        own_names = job.derived_of(party)
        alike = collinearity_of(own_names, x[:, : len(own_names)])
        fit = Fit(
            names,
            weights,
            np.concatenate(penalty),
            scaled,
            job.training_rows,
            job.descent.C,
            {one.feature: one.factor for one in alike.factors},
        )
        gradient, classes = None, job.descent.class_weight
        if party in job.informed:
            shown, sizes = opened[information.INFORMATION], self.descent(job, blocks)
            assert sizes is not None
            found = information.matrix_of(sizes, shown, descent.WEIGHT_BITS)
            found *= 4.0 if self.homoscedastic else 1.0
        elif self.homoscedastic:
            found = moments_of(x)
        elif isinstance(classes, dict):
            found, gradient = weighed_information_of(x, weights, classes["0"], classes["1"])
        else:
            found = information_of(x, weights)
        residuals = self.residuals(job, opened)
        told = statistics_of(fit, found, job.statistics_level, gradient, residuals)
        return told.model_copy(update={"warnings": told.warnings + alike.warnings})

    def residuals(self, job: Job, opened: Opened) -> Residuals | None:
        """What the columns leave of the label; None where that says nothing more."""
        return None

    def check_steps(self, job: Job, party: Party, x: NDArray[np.float32]) -> tuple[str, ...]:
        training = job.batches_of
        if training is None:
            descent.check(job, party, x, self.curvature)
            if job.informed:
                information.check(party, x, lacks_ones=party != job.intercept_holder)
        if not x.shape[1] or training is None:
            return ()
        factor = overshoot(x, training.learning_rate, training.batch_size, self.curvature)
        if factor <= 1.0:
            return ()
        what = (
            f"training.learning_rate: {training.learning_rate:g} is so wide a step for the "
            "columns of this table that the weights cannot come to rest"
        )
        narrower = "agree on a smaller learning_rate or a larger batch_size"
        if factor > self.widest:
            raise InputError(what, f"the job and {party}'s table", narrower)
        return (f"{what}; {narrower}",)

    def check_label(self, job: Job, party: Party, label: NDArray[np.float32]) -> None:
        if job.descent is not None and descent.is_balanced(job, party):
            descent.balanced(job.descent, label, party)

    def health(self, job: Job, party: Party, opened: Opened, x: NDArray[np.float32]) -> Health:
        values = {holder: weights_of(index) for index, holder in enumerate(job.holders)}
        known = {p: opened[value].reshape(-1) for p, value in values.items() if value in opened}
        health = Health(
            rows=job.training_rows,
            rows_held_out=job.held_out_rows,
            rows_never_used=job.rows_never_used,
            steps=job.steps,
            not_checked=_not_checked(job),
            largest_weight=check_weights(np.concatenate(list(known.values()))),
            epsilon=None if job.label_privacy is None else job.label_privacy.epsilon,
            private=private_weights.figures(job),
            all_columns=not any(job.features_of(p) for p in job.holders if p != party),
        )
        own = next((known[holder] for holder in known if holder == party), None)
        if job.kept is not None:  # no rows are here; those of the training were looked at then
            return health
        if job.weight_privacy is not None:  # the range is proved, and the noise is meant
            return health
        if own is None:
            return health
        health = check_sums(health, x, own, self.sigmoid(job))
        weighed = job.descent is not None and job.descent.class_weight is not None
        if not health.all_columns or party != job.intercept_holder or weighed:
            return health
        training = job.batches_of
        flow = None if training is None else training.learning_rate * job.steps
        penalty = 0.0 if job.descent is None else 1.0 / job.descent.C
        logistic, aligned = not self.homoscedastic, job.align is not None
        return check_curvature(health, x, own, flow, logistic, penalty, aligned)

    def fit(
        self,
        job: Job,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        start: Array | None = None,
    ) -> Array:
        predicted = partial(self.predicted_in_clear, job)
        if job.descent is None:
            return batches.fit(job, x, y, predicted)
        return descent.fit(job, x, y, self.curvature, predicted, start)
