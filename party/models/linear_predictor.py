"""What models share that fit weights to ``t = row . weights`` by stochastic gradient descent.

The step is ``w <- w - rate/batch * X^T (activation(X w) - y)``. The columns of each holder are a
block of their own: ``X w`` is the sum of the blocks' products, and each block has its own weights.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from party.models.health import Health, check_sums, check_weights, overshoot
from party.models.interface import Array, Layout, Model, Opened, ProgramBuilder, Scales, Value
from party.process.errors import InputError

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.protocols.interface import Circuit

LABELS = "labels"


def weights_of(party: int) -> str:
    """The name of the weights of a party's columns, as the audit says it."""
    return f"weights.{('alice', 'bob')[party]}"


class LinearPredictor(Model):
    """A model whose prediction is a function of one weighted sum of the columns."""

    curvature: ClassVar[float]
    """The largest second derivative of a row's loss by its weighted sum."""
    widest: ClassVar[float]
    """Steps wider than those that settle, by this factor, are refused. (Where the error is bounded,
    a training on classes that are easy to tell apart bears somewhat wider ones.)"""

    @abstractmethod
    def activated(self, circuit: Circuit, product: Any) -> Any:
        """What the model predicts of the weighted sums, a product that is not truncated yet."""

    @abstractmethod
    def activated_in_clear(self, job: Job, t: Array) -> Array:
        """The same in clear, with the protocol's approximation."""

    def state(self, layout: Layout) -> tuple[Value, ...]:
        weights = [Value(weights_of(b.party), (b.columns, 1)) for b in layout.blocks]
        return (*weights, Value(LABELS, (layout.rows, 1), by_rows=True))

    def opened(self, layout: Layout) -> list[tuple[str, int]]:
        return [(weights_of(party), to) for to, parties in layout.receivers for party in parties]

    def build(self, program: str, layout: Layout, builder: ProgramBuilder) -> None:
        {"share": self._share, "step": self._step, "open": self._open}[program](layout, builder)

    def _share(self, layout: Layout, builder: ProgramBuilder) -> None:
        """The labels cross once: each later batch is a few rows of their shares."""
        builder.store(LABELS, builder.private(layout.label, layout.label_column(), 1))

    def _step(self, layout: Layout, builder: ProgramBuilder) -> None:
        circuit = builder.circuit
        weights = [builder.stored(weights_of(block.party)) for block in layout.blocks]
        x = [builder.private(block.party, 0, block.columns) for block in layout.blocks]
        labels = builder.stored(LABELS)
        total = None
        for rows, w in zip(x, weights, strict=True):
            product = circuit.product(rows, w)
            total = product if total is None else total + product
        error = self.activated(circuit, total) - labels
        for block, rows, w in zip(layout.blocks, x, weights, strict=True):
            gradient = circuit.product(circuit.transposed(rows), error)
            gradient = circuit.scaled(gradient, layout.step_factor)
            update = circuit.truncate(gradient, circuit.fraction_bits + layout.step_shift)
            builder.store(weights_of(block.party), w - update)

    def _open(self, layout: Layout, builder: ProgramBuilder) -> None:
        for value, to in self.opened(layout):
            builder.reveal(value, to)

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
            for i, name in enumerate(job.features_of(holder)):
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

    def check_steps(self, job: Job, party: Party, x: NDArray[np.float32]) -> tuple[str, ...]:
        if not x.shape[1]:
            return ()
        factor = overshoot(x, job.training.learning_rate, job.training.batch_size, self.curvature)
        if factor <= 1.0:
            return ()
        what = (
            f"training.learning_rate: {job.training.learning_rate:g} is so wide a step for the "
            "columns of this table that the weights cannot come to rest"
        )
        narrower = "agree on a smaller learning_rate or a larger batch_size"
        if factor > self.widest:
            raise InputError(what, f"the job and {party}'s table", narrower)
        return (f"{what}; {narrower}",)

    def health(self, job: Job, party: Party, opened: Opened, x: NDArray[np.float32]) -> Health:
        values = {holder: weights_of(index) for index, holder in enumerate(job.holders)}
        known = {p: opened[value].reshape(-1) for p, value in values.items() if value in opened}
        health = Health(
            rows=job.rows,
            rows_never_used=job.rows_never_used,
            steps=job.steps,
            largest_weight=check_weights(np.concatenate(list(known.values()))),
            all_columns=not any(job.features_of(p) for p in job.holders if p != party),
        )
        own = next((known[holder] for holder in known if holder == party), None)
        return health if own is None else check_sums(health, x, own, self.sigmoid(job))

    def fit(self, job: Job, x: NDArray[np.float32], y: NDArray[np.float32]) -> Array:
        width = job.step_width.value
        features, labels = x.astype(np.float64), y.astype(np.float64)[:, 0]
        weights = np.zeros(features.shape[1])
        for epoch in range(job.training.epochs):
            for batch in job.batches(epoch):
                rows = features[batch]
                error = self.activated_in_clear(job, rows @ weights) - labels[batch]
                weights -= width * (rows.T @ error)
        return weights
