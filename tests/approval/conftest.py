"""A job that three parties have approved, with keys that are made for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from party.agreement.job import PARTIES, Job, Party
from party.agreement.pins import Identities, Pin
from party.approval import (
    Approval,
    Permit,
    approval_file,
    moment,
    permitted,
    public_digest,
    salt_file,
    write_approval,
)
from tests.harness.joins import JOB, PLAN

TABLE = "a" * 64
KIT = "0.1.0"
RUN = "5" * 64


@dataclass
class Approved:
    """A directory with the three approvals, and who may make them again."""

    directory: Path
    keys: dict[str, Ed25519PrivateKey] = field(
        default_factory=lambda: {party: Ed25519PrivateKey.generate() for party in PARTIES}
    )

    @property
    def job(self) -> Job:
        """The job that pins the keys."""
        pins = {
            party: Pin(key=f"sha256:{n:064x}", approval=public_digest(self.keys[party]))
            for n, party in enumerate(PARTIES)
        }
        return Job.model_validate(JOB.model_dump() | {"identities": Identities(**pins)})

    def approve(
        self, party: Party, key: Ed25519PrivateKey | None = None, hours: float = 1, **change: Any
    ) -> None:
        """Let a party approve, in place of what it has approved before."""
        approval = Approval.model_validate(
            {
                "party": party,
                "job": self.job.digest,
                "plan": PLAN,
                "kit": KIT,
                "expires": moment(datetime.now(UTC) + timedelta(hours=hours)),
                "runs": 1,
            }
            | change
        )
        for path in (approval_file(self.directory, party), salt_file(self.directory, party)):
            path.unlink(missing_ok=True)
        table = None if party == "server" else TABLE
        write_approval(self.directory, approval, table, key or self.keys[party])

    def permit(self, party: Party = "bob", **change: Any) -> Permit:
        """A party's permit, as it is when the party starts."""
        given: dict[str, Any] = {
            "job": self.job,
            "party": party,
            "output": self.directory.parent / party,
            "approvals": self.directory,
            "table_digest": None if party == "server" else TABLE,
            "kit": KIT,
            "image": None,
        }
        return permitted(**given | change)


@pytest.fixture
def approved(tmp_path: Path) -> Approved:
    """All three have approved one run."""
    made = Approved(tmp_path / "approvals")
    for party in PARTIES:
        (tmp_path / party).mkdir()
        made.approve(party)
    return made
