"""What a plan depends on: the part of a job that shapes the graph of one step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import frexp

from party.agreement.job import Job, digest_of

RATE_BITS = 4
"""Bits kept of the step width; its relative rounding error is at most 2**-4.

The gradient is multiplied by the factor before it is truncated, and the chance that a truncation of
shares fails grows with what is truncated: a small factor keeps it where it was.
"""


@dataclass(frozen=True)
class StepWidth:
    """``learning_rate / batch_size`` as ``factor / 2**shift``, a public constant of the step.

    Multiplying by a small integer and truncating once, together with the product's own truncation,
    costs one truncation where a fixed-point constant costs two. A power of two is only a shift.
    """

    factor: int
    shift: int

    @classmethod
    def of(cls, job: Job) -> StepWidth:
        """The step width of a job."""
        mantissa, exponent = frexp(job.training.learning_rate / job.training.batch_size)
        factor, shift = round(mantissa * 2**RATE_BITS), RATE_BITS - exponent
        while factor % 2 == 0 and shift > 0:
            factor, shift = factor // 2, shift - 1
        while shift < 0:
            factor, shift = factor * 2, shift + 1
        return cls(factor, shift)

    @property
    def value(self) -> float:
        """The step width that is really used; the plaintext reference uses the same."""
        return self.factor / 2.0**self.shift


@dataclass(frozen=True)
class PlanParameters:
    """Two jobs with equal parameters have the same plan."""

    protocol: str
    model: str
    features: int
    batch_size: int
    factor: int
    shift: int
    result: str

    @classmethod
    def of(cls, job: Job) -> PlanParameters:
        """The parameters of a job."""
        width = StepWidth.of(job)
        return cls(
            protocol=job.protocol,
            model=job.model,
            features=len(job.features),
            batch_size=job.training.batch_size,
            factor=width.factor,
            shift=width.shift,
            result=job.result,
        )

    @property
    def digest(self) -> str:
        """SHA-256, in hex."""
        return digest_of(asdict(self))
