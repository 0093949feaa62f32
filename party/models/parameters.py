"""What parameters of models have in common; apart, since a job is read without arrays."""

from __future__ import annotations

from party.process.schema import Strict


class Parameters(Strict):
    """A model's parameters in the job. Each model adds ``kind``, its name, and what it needs."""
