"""What a job says of standard errors: whether there are any, and who is given them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from party.agreement.limits import BALANCED
from party.agreement.parties import Holder
from party.process.schema import Strict

if TYPE_CHECKING:
    from party.agreement.job import Job


_FEWEST_DEGREES = 10
"""Rows that linear regression must have beyond its columns, so that the sum of residuals that is
opened is one of many."""


class Statistics(Strict):
    """Standard errors of the weights, and what follows from them."""

    to: tuple[Holder, ...] | None = Field(
        default=None,
        min_length=1,
        description="who is given them: of those who receive all weights; left out, all of them",
    )
    level: float = Field(
        default=0.95, ge=0.5, le=0.9999, description="of the intervals around the weights"
    )


def wanted_of(job: Job) -> Statistics | None:
    """What the job says, with defaults filled in; None where it asks for nothing."""
    return Statistics() if job.statistics is True else job.statistics


def given_to(job: Job) -> tuple[Holder, ...]:
    """Who is given standard errors."""
    wanted = wanted_of(job)
    if wanted is None:
        return ()
    return tuple(p for p in _whole(job) if wanted.to is None or p in wanted.to)


def informed(job: Job) -> tuple[Holder, ...]:
    """Who of these lacks columns, so that the information matrix is opened to it."""
    return tuple(
        p for p in given_to(job) if any(o != p and job.features_of(o) for o in job.holders)
    )


def told_residuals(job: Job) -> tuple[Holder, ...]:
    """Who of these is told the square sum of all residuals, which linear regression's errors take:
    rows and labels are never at one party."""
    return given_to(job) if job.parameters.residuals else ()


def _whole(job: Job) -> tuple[Holder, ...]:
    """Who receives all weights: without them there is no covariance of any."""
    others = {p: [o for o in job.holders if o != p and job.features_of(o)] for p in job.receivers}
    return tuple(p for p in job.receivers if job.result != "own" or not others[p])


def check(job: Job) -> None:
    """Raises ValueError for a job whose standard errors would be none."""
    wanted = wanted_of(job)
    if wanted is None:
        return
    columns = 1 + sum(len(job.derived_of(holder)) for holder in job.holders)
    if (
        job.parameters.residuals
        and not job.matches
        and job.training_rows < columns + _FEWEST_DEGREES
    ):
        raise ValueError(
            f"statistics: {job.training_rows} rows are too few for the residuals of {columns} "
            f"columns, the ones among them: take {_FEWEST_DEGREES} more at least, or leave it out"
        )
    if job.descent is None:
        raise ValueError(
            "statistics: mini-batches end beside the optimum, by more than a standard error; leave "
            "out training.epochs, training.batch_size and training.learning_rate"
        )
    if job.descent.class_weight == BALANCED:
        raise ValueError(
            "statistics: with training.class_weight: balanced the label's holder alone knows the "
            "weights that errors rest on; give both classes weights of their own"
        )
    if job.descent.class_weight is not None and informed(job):
        raise ValueError(
            "statistics: with training.class_weight they are of a receiver that has all columns; "
            f"{', '.join(informed(job))} lacks some: leave one of the two keys out, or name others "
            "under statistics.to"
        )
    if not _whole(job):
        raise ValueError("statistics: nobody receives all weights, which they are of")
    for holder in wanted.to or ():
        if holder not in _whole(job):
            raise ValueError(f"statistics.to: {holder} does not receive all weights")
    if job.matches:
        raise ValueError(
            "statistics: with align nobody knows which rows are in common, and so nobody sees "
            "whether a row stands alone in what would be opened; leave one of the two out"
        )
    if wanted.to and len(set(wanted.to)) < len(wanted.to):
        raise ValueError("statistics.to: a party stands more than once")
