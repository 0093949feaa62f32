"""What a plan depends on: the part of a job that shapes the graphs of its programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from party.agreement.job import PARTIES, SHARE_ROWS, Job, digest_of
from party.models.interface import NO_LABEL, Layout, Model, blocks_of
from party.models.registry import ADAPTER, model_of
from party.protocols.registry import ProtocolName

OPEN = "open"
"""The program that runs once, after all others. What it opens is opened once."""

ASK = "ask"
"""The program that opens, as often as it runs, what the job says that all are told on the way."""

TELL = "tell"
"""The program that runs once, after the training, and opens what the end depends on."""

VOUCH = "vouch"
"""The program that runs once, after the training, and opens whether there is a model."""


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
        batches, width = job.batches_of, None
        if batches is not None:
            width = job.step_width
        blocks = blocks_of(job)
        model = model_of(job.parameters)
        descent = model.descent(job, blocks)
        owners = tuple(block.party for block in blocks)
        return cls(
            protocol=job.protocol,
            model=tuple(sorted(job.parameters.model_dump().items())),
            layout=Layout(
                blocks=blocks,
                label=PARTIES.index(job.label_holder) if job.scores is None else NO_LABEL,
                rows=job.plan_rows,
                batch_size=0 if batches is None else batches.batch_size,
                share_rows=min(job.plan_rows, SHARE_ROWS),
                step_factor=0 if width is None else width.factor,
                step_shift=0 if width is None else width.shift,
                receivers=tuple(
                    (PARTIES.index(to), (PARTIES.index(to),) if job.result == "own" else owners)
                    for to in job.receivers
                ),
                descent=descent,
                aligned=job.matches and job.scores is None,  # of these the holders make one
                evaluation=model.evaluation(job, descent),
                reach=None if job.kept else model.reach(job),
                opening=job.kept is not None,
            ),
        )

    @property
    def trained(self) -> Model:
        """The model whose programs the plan has."""
        return model_of(ADAPTER.validate_python(dict(self.model)))

    @property
    def digest(self) -> str:
        """SHA-256, in hex."""
        return digest_of(asdict(self))
