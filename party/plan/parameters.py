"""What a plan depends on: the part of a job that shapes the graphs of its programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from party.agreement.job import PARTIES, Job, digest_of
from party.models.interface import Block, Layout
from party.protocols.registry import ProtocolName

SHARE = "share"
"""The program that runs once over all rows, in blocks of its own size."""

OPEN = "open"
"""The program that runs once, after all others. What it opens is opened once."""

SHARE_ROWS = 4096
"""Rows of one run of the program that shares the tables: enough that its messages are few, few
enough that its memory is small."""


@dataclass(frozen=True)
class PlanParameters:
    """Two jobs with equal parameters have the same plan.

    Attributes:
        protocol: its name.
        model: the model's own parameters, as plain data.
        layout: who holds what, and the sizes.
    """

    protocol: ProtocolName
    model: tuple[tuple[str, Any], ...]
    layout: Layout

    @classmethod
    def of(cls, job: Job) -> PlanParameters:
        """The parameters of a job."""
        width = job.step_width
        blocks = tuple(
            Block(index, len(job.features_of(party)), party == job.intercept_holder)
            for index, party in enumerate(PARTIES)
            if job.features_of(party)
        )
        owners = tuple(block.party for block in blocks)
        return cls(
            protocol=job.protocol,
            model=tuple(sorted(job.parameters.model_dump().items())),
            layout=Layout(
                blocks=blocks,
                label=PARTIES.index(job.label_holder),
                rows=job.rows,
                batch_size=job.training.batch_size,
                share_rows=min(job.rows, SHARE_ROWS),
                step_factor=width.factor,
                step_shift=width.shift,
                receivers=tuple(
                    (PARTIES.index(to), (PARTIES.index(to),) if job.result == "own" else owners)
                    for to in job.receivers
                ),
            ),
        )

    @property
    def digest(self) -> str:
        """SHA-256, in hex."""
        return digest_of(asdict(self))
