"""What one row can change of the weights, where they are private, and how much noise hides that.

The training is plain gradient descent, a fixed number of steps of a fixed width from zero, of the
penalised logistic loss (of which the derivative is the wave ``STEADY``, not quite the sigmoid)::

    G(w) = w - P w - a * sum over rows of (wave(x . w) - y) x

Columns, ones among them, are multiplied by one public number, so that no step, penalty or scale
follows from data, and every row x has a length of R at most. Where a wave's slope is between ``-m``
and 1/4, and ``P + a n R**2 / 4 <= 1``, the map brings any two weights together: ``|G(v) - G(w)| <=
q |v - w|`` with ``q = 1 - mu`` and ``mu = P - a n m R**2``. Another row in the place of one moves
``G(w)`` by ``2 a R M`` at most, M being the largest error of a prediction; and what shares round
moves it by ``r`` at most, in each of the two. So two trainings on tables that differ in one row are
never farther apart than ``(2 a R M + 2 r) / mu``, after any number of steps (Hardt, Recht and
Singer 2016; Wu et al. 2017): that is Chaudhuri, Monteleoni and Sarwate's ``2 R / (n lambda)`` with
what is not exact put on top. Nothing is said of how near the optimum the training has come, and
nothing need be.

That holds where every row's ``x . w`` keeps to the wave's range. A step does not make the loss
larger, but for what is rounded, and the loss at zero is ``n log 2``: so ``P |w|**2 / (2 a)`` is no
more than that, and a job of which the bound on ``R |w|`` is not in the range is refused.

Each holder draws noise for every weight, and adds it to its share before it is opened. Its standard
deviation is in ``noise``, in last bits of a weight: whole numbers, of which ``party.agreement
.privacy`` says how much they hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from party.agreement.job import Holder, Job
    from party.agreement.privacy import WeightPrivacy
    from party.models.health import PrivateWeights

# What is known of ``STEADY`` with coefficients of so many bits, up to |t| = ``_RANGE``:
# ``tests/models/test_private_weights.py`` looks.
_RANGE = 50.0
_LARGEST_SLOPE = 0.25
_FALL = 8e-5
"""By how much it falls, where it falls, for each unit of t."""
_BEYOND = 3e-5
"""By how much it is above 1, or below 0."""
_INTEGRAL = 1e-4
"""By how much its integral from 0 is off the sigmoid's."""
_LAST_BITS = 1.6e-6
"""By how much a wave that is computed on shares is off the sum of sines, whatever the masks: of all
2**32 phases the first pair of a cosine and a sine is 8.1e-8 off at most, and the pair by which it
is turned 3.2e-7, which each turn adds."""

SIGMOID_BITS = 54
"""Bits after the point of a wave on shares, before it is rescaled."""

_SLACK = 0.99
"""Of the width of a step, for what is rounded."""

MOST_NOISE = 1.0
"""Of the standard deviation of a weight's noise: a weight of a standardised column is smaller."""

NEAR = 5.0
"""The distance from the optimum is smaller by e to this after all passes, at least."""


@dataclass(frozen=True)
class Bound:
    """What is known of all trainings of a job.

    Attributes:
        way: what standardised columns are multiplied by.
        condition: how much the loss curves at most, for how much it does at least.
        ideal: what a row moves the weights of standardised columns by where nothing is rounded.
        sensitivity: what it moves them by at most.
        noise: standard deviation of each holder's noise on each weight, in ``2**-WEIGHT_BITS``.
    """

    way: float
    condition: float
    ideal: float
    sensitivity: float
    noise: int

    @property
    def deviation(self) -> float:
        """Standard deviation of each holder's noise on a weight."""
        from party.models.descent import WEIGHT_BITS

        return self.noise / 2.0**WEIGHT_BITS


def columns(job: Job) -> int:
    """Weights that are opened: of all features, and the intercept."""
    from party.models.interface import blocks_of

    return sum(block.columns for block in blocks_of(job))


def norm_of(job: Job, holder: Holder) -> float:
    """The length to which a holder cuts its own part of each row: in proportion to the root of its
    columns, so that all parts together are no longer than the job says."""
    privacy = _privacy(job)
    own = len(job.derived_of(holder))
    everybody = sum(len(job.derived_of(one)) for one in job.holders)
    return privacy.norm * sqrt(own / everybody)


def way_of(job: Job) -> float:
    """What standardised columns are multiplied by, so that a step may be as wide for any table."""
    penalty = 1.0 / job.descent.C if job.descent is not None else 0.0
    return sqrt(_SLACK / (_length(job) ** 2 + penalty / (_LARGEST_SLOPE * job.rows)))


@lru_cache(maxsize=8)
def bound_of(job: Job) -> Bound:
    """See the module. Raises ValueError, with the job's key, where nothing can be said."""
    import numpy as np

    from party.models import descent as solver
    from party.models.interface import blocks_of

    privacy, descent = _privacy(job), job.descent
    assert descent is not None
    layout = solver.layout_of(job, blocks_of(job), _LARGEST_SLOPE)
    n, d = job.rows, columns(job)

    def encoded(value: float) -> float:
        whole: int = round(float(np.float32(value)) * 2.0**solver.HOME_BITS)
        return whole / 2.0**solver.HOME_BITS

    step, way = solver.step_of(layout), way_of(job)
    penalty, back = encoded(step * way * way / descent.C), encoded(way)
    last = sqrt(d) * 2.0**-solver.WEIGHT_BITS
    longest = way * _length(job) * (1 + 1e-6) + sqrt(d) * 2.0 ** -(layout.feature_bits + 1)
    wide = step * n * longest
    steepest = penalty + wide * _LARGEST_SLOPE * longest
    together = penalty - wide * _FALL * longest
    if steepest > 1.0 or together < penalty / 2.0:
        raise ValueError(_too_weak(job))
    rounded = wide * (_LAST_BITS + 2.0**-layout.error_bits) + last
    # Of the loss, in which the penalty is P / (2 a): at zero it is nothing.
    above = n * (log(2.0) + _INTEGRAL) + rounded**2 / (2.0 * step * together)
    largest = sqrt(2.0 * step * above / penalty)
    largest_t = longest * (largest * (1.0 + penalty) + wide * (1.0 + _BEYOND) + rounded)
    if largest_t > _RANGE:
        raise ValueError(_too_weak(job))
    apart = (2.0 * step * longest * (1.0 + _BEYOND) + 2.0 * rounded) / together
    sensitivity = back * apart + 2.0 * last
    noise = ceil(sensitivity * 2.0**solver.WEIGHT_BITS / sqrt(2.0 * privacy.rho * (1.0 - 1e-9)))
    found = Bound(
        way=way,
        condition=steepest / penalty,
        ideal=2.0 * _length(job) * descent.C,
        sensitivity=sensitivity,
        noise=noise,
    )
    if found.deviation > MOST_NOISE:
        raise ValueError(
            f"privacy.weights: noise of {found.deviation:.3g} on each weight would drown the "
            "model: lower training.C or privacy.weights.norm, or agree on a larger epsilon"
        )
    fewest = ceil(NEAR * found.condition)
    if descent.passes < fewest:
        raise ValueError(
            f"training.passes: {descent.passes} may end far from the optimum, since private "
            f"weights are found without momentum: take {fewest} or more, or lower training.C"
        )
    return found


def figures(job: Job) -> PrivateWeights | None:
    """What goes into the model's document; None where weights are not private."""
    from party.models.health import PrivateWeights

    if job.weight_privacy is None:
        return None
    bound = bound_of(job)
    return PrivateWeights(
        **job.weight_privacy.model_dump(), noise=bound.deviation, sensitivity=bound.sensitivity
    )


def told(job: Job) -> list[str]:
    """What it means and what it costs, a sentence each."""
    privacy, bound = _privacy(job), bound_of(job)
    more = 1.0 - bound.ideal / bound.sensitivity
    return [
        f"The weights are private with epsilon = {privacy.epsilon:g} and delta = "
        f"{privacy.delta:g}: before they are opened, alice and bob each add noise of its own to "
        f"every weight, of a discrete Gaussian with a standard deviation of {bound.deviation:.3g}.",
        "Meaning: of two pairs of tables that differ in one row, features and label, what is "
        f"opened has odds that differ by a factor of {exp_of(privacy.epsilon)} at most, but with a "
        f"chance of {privacy.delta:g}, even for who knows its own noise and all other rows. Rows "
        f"are cut to a length of {privacy.norm:g}, at home. Each further model of the same rows "
        "adds its own epsilon and delta.",
        f"Price: each weight of a standardised column is off by {sqrt(2.0) * bound.deviation:.3g} "
        "(standard deviation, of both together) from that of the training without noise. One row "
        f"moves all weights by {bound.sensitivity:.3g} together at most, of which rounding is "
        f"{more:.0%}.",
    ]


def exp_of(epsilon: float) -> str:
    """A factor of odds, as text."""
    from math import exp

    return f"{exp(epsilon):.3g}"


def _privacy(job: Job) -> WeightPrivacy:
    privacy = job.weight_privacy
    assert privacy is not None
    return privacy


def _length(job: Job) -> float:
    """Of a row of standardised columns, with the one that the intercept is of."""
    return sqrt(_privacy(job).norm ** 2 + 1.0)


def _too_weak(job: Job) -> str:
    assert job.descent is not None
    return (
        f"training.C: {job.descent.C:g} is so weak a penalty for {job.rows} rows of a length up to "
        f"{_privacy(job).norm:g} that what one row changes cannot be bounded: lower training.C or "
        "privacy.weights.norm"
    )
