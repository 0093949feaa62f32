"""What a party can tell at home of whether a model is right: nothing of it leaves the party.

Before the training, whoever holds columns knows how wide a step they bear. After it, whoever
receives weights knows what the model makes of its own rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from party.agreement.limits import LIMIT
from party.process.errors import JobError
from party.process.schema import Frozen

if TYPE_CHECKING:  # documents are read by processes that need no arrays
    import numpy as np
    from numpy.typing import NDArray

    from party.models.interface import Array
    from party.protocols.sines import Wave

    Matrix = NDArray[np.float32]

ROWS_BEYOND = 0.01
"""The share of a table's rows that may lie where the sigmoid is not followed any more. A few that
are far from all others do not spoil a model; one row in a hundred does."""

NEAR = 0.8
"""The part of the range from which a row is near its end."""

CALIBRATION = 0.2
CALIBRATION_NEAR = 0.05
"""By how much the sigmoid's own error may shift the mean probability, as a part of the rarer
class: the first fails the run, the second is told."""

_SAMPLE = 1 << 14
_CHUNK = 1 << 16
_ITERATIONS = 20


class PrivateWeights(Frozen):
    """What hides single rows in weights that are private: docs/privacy.md.

    Attributes:
        epsilon, delta, norm: the job's.
        noise: standard deviation of each of the two holders' noise, on each weight of a
            standardised column and on the intercept.
        sensitivity: how far all of these together move at most if one row is another.
    """

    epsilon: float
    delta: float
    norm: float
    noise: float
    sensitivity: float

    def __str__(self) -> str:
        return (
            f"weights private with epsilon {self.epsilon:g} and delta {self.delta:g}, by noise of "
            f"{self.noise:.3g} of either holder"
        )


class Health(Frozen):
    """What the receiver of a model saw of it, for its own eyes.

    Attributes:
        rows: of every table that the training takes.
        rows_held_out: others, which it does not.
        rows_never_used: rows that no batch took.
        steps: how many there were.
        settled: whether the last of them were small; None where nobody was told.
        tolerance: the change of t that the last one was compared with, as the root of the mean
            square over all rows; None where nobody was told.
        to_go: by how much t would still change so if steps over mini-batches went on, by what the
            receiver knows (``curvature``); None where it knows too little.
        not_checked: why it is not known whether the training has settled; empty where it is.
        largest_weight: the largest absolute value of a weight.
        largest_t: the largest absolute weighted sum over its own rows; None where it has none.
        all_columns: whether these sums are of all columns, and not of its own alone.
        sigmoid_range: up to which |t| the wave follows the sigmoid; None where there is none.
        epsilon: of labels that were turned round; None where none were.
        private: of weights that have noise; None where they have none.
        rows_beyond_range: the share of rows beyond it.
        calibration: by how much the sigmoid's error shifts the mean probability, as a part of the
            rarer class; None without a sigmoid, or where other columns are missing.
        warnings: what is allowed and worth a look.
    """

    rows: int
    rows_held_out: int = 0
    rows_never_used: int
    steps: int
    settled: bool | None = None
    tolerance: float | None = None
    to_go: float | None = None
    not_checked: str = ""
    largest_weight: float
    largest_t: float | None = None
    all_columns: bool = False
    sigmoid_range: float | None = None
    rows_beyond_range: float = 0.0
    calibration: float | None = None
    epsilon: float | None = None
    private: PrivateWeights | None = None
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        unused = f"{self.rows_never_used} of {self.rows} rows were in no batch"
        used = f"all {self.rows} rows were used"
        parts = [unused if self.rows_never_used else used]
        if self.rows_held_out:
            parts.append(f"{self.rows_held_out} more were held out")
        parts.append(self._arrival)
        if self.largest_t is not None:
            whose = "" if self.all_columns else " of the receiver's own columns"
            limit = "" if self.sigmoid_range is None else f", good up to {self.sigmoid_range:g}"
            parts.append(f"largest |t|{whose} {self.largest_t:.2f}{limit}")
        parts.append(f"largest weight {self.largest_weight:.3f}")
        if self.epsilon is not None:
            parts.append(f"labels private with epsilon {self.epsilon:g}")
        if self.private is not None:
            parts.append(str(self.private))
        return "; ".join(part for part in parts if part)

    @property
    def _arrival(self) -> str:
        """Whether the training has settled, and how long its last step was."""
        if self.settled is not None:
            found = f"{'settled' if self.settled else 'not settled'} in {self.steps} steps"
            if self.tolerance is None:  # of a model by an earlier kit
                return found
            if not self.settled:
                return f"{found}, by a tolerance of {self.tolerance:g}"
            return f"{found}, the last of which changed t by less than {self.tolerance:g}"
        if self.to_go is not None:
            near = f"some {self.to_go:.2g}" if self.to_go >= 0.001 else "less than 0.001"
            return f"after {self.steps} steps t was {near} from where it settles (estimated)"
        if self.not_checked:
            return f"whether {self.steps} steps settled is not checked: {self.not_checked}"
        return ""


class WrongModelError(JobError):
    """The training came to its end, and the model that it gave is none. Only another job helps."""

    cause = "wrong-model"


@dataclass
class _Sums:
    """What is gathered over the rows."""

    largest: float = 0.0
    beyond: int = 0
    approximate: float = 0.0
    exact: float = 0.0


def check_weights(weights: Array) -> float:
    """The largest absolute weight.

    Raises WrongModelError for weights that no training gives: of an overflow, or none at all.
    """
    import numpy as np

    largest = float(np.abs(weights).max())
    if not np.isfinite(weights).all() or largest > LIMIT:
        raise WrongModelError(
            "the model is wrong: its weights are larger than the protocol's numbers can hold, so "
            "that the training has overflown",
            "the job's training.learning_rate",
            "agree on a smaller learning_rate or a larger batch_size; or leave out training, since "
            "passes over all rows need no learning_rate",
        )
    if largest == 0.0:
        raise WrongModelError(
            "the model is wrong: every weight is zero, so that no step has moved anything",
            "the job's training.learning_rate",
            "agree on a larger learning_rate",
        )
    return largest


def check_sums(health: Health, x: Matrix, weights: Array, sigmoid: Wave | None) -> Health:
    """What the weighted sums ``x @ weights`` of the receiver's own rows say.

    Args:
        health: what is known so far; its ``all_columns`` says whether ``x`` has all of them.
        x: the receiver's own rows, standardised, [rows, columns].
        weights: of these columns, [columns].
        sigmoid: the approximation that was trained with, if there was one.

    Raises:
        WrongModelError: the sums are out of the range in which the training holds together.
    """
    sums = _gathered(x, weights, sigmoid)
    if not sums.largest <= LIMIT:
        raise out_of_range(sigmoid)
    rows = len(x)
    found: dict[str, object] = {"largest_t": sums.largest}
    warnings = list(health.warnings)
    if sigmoid is not None:
        beyond = sums.beyond / rows
        found |= {"sigmoid_range": sigmoid.range, "rows_beyond_range": beyond}
        # Beyond half a period a row is pushed on instead of back, and never comes to rest. But its
        # other columns, which the receiver may lack, may bring a single sum back.
        astray = health.all_columns and sums.largest > sigmoid.period / 2
        if astray or beyond > ROWS_BEYOND:
            raise out_of_range(sigmoid)
        if sums.beyond:
            warnings.append(
                f"{sums.beyond} of {rows} rows lie beyond |t| = {sigmoid.range:g}, up to which the "
                "sigmoid is followed: clip these columns, or take their logarithm"
            )
        elif sums.largest > NEAR * sigmoid.range:
            warnings.append(
                f"the largest |t|, {sums.largest:.2f}, is near {sigmoid.range:g}, up to which the "
                "sigmoid is followed: clip these columns, or take their logarithm"
            )
        if health.all_columns:
            shift = _shift(sums, rows)
            found["calibration"] = shift
            if shift > CALIBRATION:
                raise WrongModelError(
                    "the model is wrong: on the receiver's own rows the error of the wave that "
                    "follows the sigmoid is large beside the rarer class, so that no probability "
                    "is right",
                    "the share of the rarer class",
                    "train on more rows of the rarer class and fewer of the other",
                )
            if shift > CALIBRATION_NEAR:
                warnings.append(
                    "the error of the wave that follows the sigmoid shifts the mean probability by "
                    f"{shift:.0%} of the rarer class"
                )
    return health.model_copy(update=found | {"warnings": tuple(warnings)})


def out_of_range(sigmoid: Wave | None, whose: str = "the receiver's own") -> WrongModelError:
    """What is wrong where weighted sums are too large; ``whose`` are the rows."""
    if sigmoid is None:
        return WrongModelError(
            "the model is wrong: on the receiver's own rows its weighted sums are larger than the "
            "protocol's numbers can hold",
            "the columns with the largest values, and the job's training",
            "clip columns with single large values, or take their logarithm; or agree on a "
            "smaller learning_rate",
        )
    return WrongModelError(
        f"the model is wrong: on {whose} rows its weighted sums leave the range in which "
        f"the sigmoid is followed, |t| up to {sigmoid.range:g}",
        "the columns with the largest values, and the job's training",
        "clip columns with single large values, or take their logarithm; or agree on a smaller C, "
        "or, over mini-batches, on a smaller learning_rate or fewer epochs",
    )


def _gathered(x: Matrix, weights: Array, sigmoid: Wave | None) -> _Sums:
    import numpy as np

    sums = _Sums()
    own = weights.astype(np.float32)
    for begin in range(0, len(x), _CHUNK):
        t = (x[begin : begin + _CHUNK] @ own).astype(np.float64)
        largest = float(np.abs(t).max())
        sums.largest = largest if np.isnan(largest) else max(sums.largest, largest)
        if sigmoid is None:
            continue
        sums.approximate += float(sigmoid.value(t).sum())
        sums.exact += float((0.5 * (1.0 + np.tanh(0.5 * t))).sum())
        sums.beyond += int((np.abs(t) > sigmoid.range).sum())
    return sums


def _shift(sums: _Sums, rows: int) -> float:
    """By how much the mean of the exact sigmoid is off, as a part of the rarer class. Training
    brings the mean of the approximation to the labels' mean."""
    share = sums.approximate / rows
    rarer = max(min(share, 1.0 - share), 1.0 / rows)
    return abs(sums.exact / rows - share) / rarer


def overshoot(x: Matrix, rate: float, batch_size: int, curvature: float) -> float:
    """How many times wider the steps are than the widest that settle; above one they do not.

    Gradient descent on a loss of curvature ``c`` a row settles where ``rate * c * L < 2``, with the
    largest eigenvalue ``L`` of ``X^T X / rows``; with batches of ``B`` rows the spread of their
    gradients adds a row's mean squared length over ``B``, which is the number of columns where
    all are standardised (Bottou, Curtis and Nocedal, "Optimization
    methods for large-scale machine learning", SIAM Review 2018, theorem 4.6). It is taken from a
    sample of the rows, and from the party's own columns: with the others' it can only be larger.
    """
    import numpy as np

    some = x[:: max(1, len(x) // _SAMPLE)]
    vector: Matrix = np.ones(some.shape[1], np.float32)
    largest = 0.0
    for _ in range(_ITERATIONS):
        vector = vector / np.linalg.norm(vector)
        image = np.asarray(some.T @ (some @ vector) / np.float32(len(some)), np.float32)
        largest, vector = float(vector @ image), image
    return float(rate * curvature * (largest + x.shape[1] / batch_size) / 2.0)
