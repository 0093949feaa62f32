"""Where a party is, whatever its job, and what else it is to do there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from party.agreement.hosts import Address, Hosts
from party.agreement.job import Job, Party
from party.reporting.status import Log


@dataclass(frozen=True)
class Later:
    """A job of a queue that comes after the one at hand.

    Attributes:
        part: what it scores by, where an earlier job leaves it.
        awaits_model: whether that one is not done, so that nothing is there yet.
    """

    job: Job
    part: Path | None = None
    awaits_model: bool = False

    def reading(self, party: Party) -> str:
        """The same of two jobs that take the same of a table and refuse the same."""
        from party.table.expected import Expected

        job = self.job
        takes_more = job.privacy is not None or job.part is not None or job.starts
        if takes_more or (job.scores is not None and not self.awaits_model):
            return job.digest
        kinds = {"align", "evaluation", "model", "statistics", "training"}
        how_long = {"training": {"passes", "tolerance", "epochs", "order_seed"}}
        more = job.model_dump_json(include=kinds, exclude=how_long)
        return f"{self.awaits_model} {Expected.of(job, party).to_json()} {more}"


@dataclass(frozen=True)
class Place:
    """What a party has whatever its job.

    Attributes:
        queue: the jobs that it does one after the other; empty where there is one.
        later: those of them for which tables are to be looked at before the first begins.
        part: what the job at hand scores by, where an earlier one leaves it.
        begun_s: age of the process when the party came to the job at hand.
    """

    hosts: Hosts
    listen: Address
    log: Log
    traffic: dict[str, int] = field(default_factory=dict)
    queue: tuple[Job, ...] = ()
    later: tuple[Later, ...] = ()
    part: Path | None = None
    begun_s: float = 0.0
