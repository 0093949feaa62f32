"""The approvals of all three parties, for a run on one machine that shows how it is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from deployer.certs.authority import APPROVAL_KEY, make_approver
from party.agreement.job import PARTIES, Job, Party
from party.agreement.pins import Identities, Pin
from party.approval import Approval, approval_file, moment, public_digest, write_approval
from party.approval.envelope import private_key
from party.channel import versions
from party.compiler import build_schedules, is_cached, prepared
from party.identity import load_keys
from party.process import files
from party.runtime import BUILDING

_LIFE = timedelta(days=30)


def approved(
    job: Job,
    private: Path,
    tables: dict[str, Path],
    output: Path,
    cache: Path,
    parts: dict[str, Path],
) -> Job:
    """The job, which has no pins yet, with pins for the keys in ``private/keys``, approved by all
    three.

    ``private/approvals`` then has a directory for each party, ``output`` the approvals without
    salts.
    """
    from party.scoring.joint import digest_of_rows

    assert job.identities is None, "refused before anything is done"
    signers = {p: private_key(make_approver()[APPROVAL_KEY], "approval") for p in PARTIES}
    pins = {
        party: Pin(
            key=load_keys(private / "keys" / party, job.domain, party).key_digest,
            approval=public_digest(signers[party]),
        )
        for party in PARTIES
    }
    job = Job.model_validate(job.model_dump() | {"identities": Identities(**pins)})
    digests: dict[Party, str] = {
        party: digest_of_rows(tables[party], parts.get(party), job, party)
        for party in (job.holders if job.kept is None else ())
    }
    plan = None
    if not job.matches:
        with files.locked(cache / BUILDING):
            if not is_cached(job, cache):
                build_schedules(job, cache, range(len(PARTIES)))
        plan = prepared(job, 0, cache).schedule.plan_digest
    made: dict[Party, bytes] = {}
    for party in PARTIES:
        approval = Approval(
            party=party,
            job=job.digest,
            plan=plan,
            kit=versions()["kit"],
            expires=moment(datetime.now(UTC) + _LIFE),
            runs=1,
        )
        own = private / "approvals" / party
        write_approval(own, approval, digests.get(party), signers[party])
        made[party] = approval_file(own, party).read_bytes()
    public = output / "approvals"
    public.mkdir(mode=0o700, exist_ok=True)
    for each, text in made.items():
        for folder in (public, *(private / "approvals" / other for other in PARTIES)):
            files.replace(approval_file(folder, each), text)
    return job
