"""What a party's command line says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from party.agreement.hosts import Address
from party.agreement.job import Job, Party
from party.checkpoints.kept import DIRECTORY
from party.process.errors import InputError
from party.runtime import Name


@dataclass(frozen=True)
class Options:
    """What the command line says, before any of it is checked."""

    jobs: list[Path]
    config: Path
    keys: Path
    output: Path
    table: Path | None
    listen: str | None
    status: str | None
    runtime: Name
    cache: Path | None
    wait: float
    time_limit: float | None
    stay: bool
    approvals: Path | None
    image: str | None
    checkpoints: Path | None
    checkpoint_every: float
    rejoin_limit: float
    memory_limit: int | None
    spill: Path | None
    label_key: Path | None = None
    start: Path | None = None
    model: Path | None = None
    queue: bool = False
    several: bool = False
    kept: Path | None = None

    def of(self, job: Job, output: Path) -> Options:
        """For one job of several: each has its own files and approvals."""
        return replace(
            self,
            several=True,
            kept=self.output / DIRECTORY,  # of all jobs, so that one opens what another has kept
            output=output,
            checkpoints=None if self.checkpoints is None else self.checkpoints / job.name,
            approvals=None if self.approvals is None else self.approvals / job.name,
        )

    @property
    def own_checkpoints(self) -> Path:
        """Where they are, or would be."""
        return self.checkpoints or self.output / "checkpoints"

    def table_of(self, party: Party) -> Path:
        """Its table, which the job takes."""
        if self.table is None:
            raise InputError(f"{party} holds a table in this job", "--table", "give its file")
        return self.table


def address(text: str | None, option: str) -> Address | None:
    """The address that an option names."""
    if text is None:
        return None
    try:
        return Address.parse(text)
    except ValueError as error:
        raise InputError(f"{text[:80]!r} {error}", option, "write it as host:port") from None
