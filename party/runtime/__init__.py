"""Training, by one of two runtimes behind one interface.

``sealed`` runs the party's own schedule over mutual TLS and can do nothing else. ``tensorflow``
runs the same plan by TensorFlow's distributed master, as a yardstick: it trusts the coordinator.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from party.agreement.hosts import Address, Hosts
from party.agreement.job import PARTIES, Job, Party
from party.identity import Keys
from party.process.errors import InputError
from party.reporting.documents import Aligned, Figures, Times
from party.reporting.status import Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from party.alignment import Identifiers
    from party.approval import Permit
    from party.checkpoints import KeptModel, Store
    from party.table import Table

Name = Literal["sealed", "tensorflow"]


WARNING = (
    "the tensorflow runtime trusts the coordinator: Alice, and whoever reaches a party's port, can "
    "run anything at that party and read its table; nothing is encrypted"
)
"""Said by whoever chooses it."""

BUILDING = ".building"
"""In a cache of plans, the file that who builds for several parties holds locked meanwhile."""


@dataclass(frozen=True)
class Assignment:
    """What a party is to do, all of it checked."""

    job: Job
    party: Party
    hosts: Hosts
    keys: Keys
    table: Table | None  # None for the third server
    identifiers: Identifiers | None  # of the table's rows, where they are aligned
    listen: Address
    cache: Path
    wait_s: float
    time_limit_s: float | None
    status: Status
    traffic: dict[str, int]  # counters, filled in while it runs
    permit: Permit
    checkpoints: Store
    checkpoint_every_s: float
    rejoin_s: float  # for a peer that was lost; 0: none
    memory_limit_bytes: int | None  # None: none
    spill: Path  # where shares go that are beyond it
    kept: KeptModel | None = None  # which the job opens, or begins from
    queue: tuple[Job, ...] = ()  # of several jobs all, in their order

    @property
    def index(self) -> int:
        """The party's index: 0 alice, 1 bob, 2 server."""
        return PARTIES.index(self.party)

    @property
    def checkpoint_every_ms(self) -> int:
        """As the parties tell each other."""
        return round(self.checkpoint_every_s * 1e3)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        opened: what the party was given, by name of the value; empty where it gets nothing.
        steps: steps done.
        settled: whether the training ended because its steps had become small; None where nobody
            was told.
        unsettled: the folds whose trainings have not.
        kept: its shares of the model, where nobody gets it.
        job: what was trained, with the sizes that an alignment found.
        alignment: what that took; None where there was none.
        keys: the party's own, as the others saw them; None for a runtime without TLS.
        peers: the digests of the others' keys and authorities, as a job pins them.
        order: where all rows of its table were joined to the other's columns, which of these each
            of the opened rows is of; None elsewhere.
    """

    opened: dict[str, npt.NDArray[np.float64]]
    plan_digest: str
    run: str
    times: Times
    steps: int = 0
    settled: bool | None = None
    unsettled: tuple[str, ...] = ()
    figures: Figures = field(default_factory=Figures)
    kept: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    job: Job | None = None
    alignment: Aligned | None = None
    keys: Keys | None = None
    peers: dict[Party, tuple[str, str]] = field(default_factory=dict)
    order: npt.NDArray[np.int64] | None = None


def default_cache() -> Path:
    """The user's own cache directory (XDG base directory specification).

    Raises InputError for a user without a home, as they are in containers.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "tfe-kit"
    except RuntimeError:
        raise InputError("this user has no home directory", hint="say --cache DIR") from None


def train(name: Name, assignment: Assignment) -> Outcome:
    """Train to the end by the runtime of that name.

    Raises JobError when it fails, InputError when something is wrong before it starts.
    """
    if name == "tensorflow":
        if assignment.memory_limit_bytes is not None:
            what = "the tensorflow runtime keeps all shares in memory"
            raise InputError(what, "--memory-limit", "leave out --runtime, or the limit")
        if assignment.job.scores is not None:
            what = "the tensorflow runtime trains models, and scores nothing"
            raise InputError(what, "--runtime", "leave it out")
        if assignment.job.identities is not None:
            what = "the tensorflow runtime knows nobody's key, and the job pins them"
            raise InputError(what, "--runtime", "leave it out: the sealed runtime checks the pins")
        if assignment.job.part is not None or assignment.job.result == "kept":
            what = "the tensorflow runtime keeps no model on shares, and opens none"
            raise InputError(what, "--runtime", "leave it out: the sealed runtime does")
        if assignment.job.starts:
            what = "the tensorflow runtime shows Alice what Bob gives, and the job begins from that"
            raise InputError(what, "--runtime", "leave it out: the sealed runtime shows nothing")
        if assignment.job.privacy is not None:
            what = "the tensorflow runtime shows Alice Bob's table, and the job keeps it private"
            raise InputError(what, "--runtime", "leave it out: the sealed runtime shows no table")
        from party.runtime.distributed import train as train_by_tensorflow

        return train_by_tensorflow(assignment)
    from party.runtime.sealed import train as train_sealed

    return train_sealed(assignment)
