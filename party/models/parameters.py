"""What parameters of models have in common; apart, since a job is read without arrays."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Parameters(BaseModel):
    """A model's parameters in the job. Each model adds ``kind``, its name, and what it needs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
