"""The Secret with the approvals that a party's pod waits for, where the job asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deployer.cluster.approvals import check_approvals
from deployer.cluster.pod_status import DONE, observe
from deployer.cluster.secrets import files_of
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.agreement.job import Job
from party.process.errors import InputError, KitError


def of_approvals(place: Place, target: Target) -> Iterator[Check]:
    """Of all three, for this job, image and table, and not expired; of a job that is done none are
    needed any more."""
    if not target.facts.approvals:
        return
    done = _done(place)
    for job, name in zip(target.jobs, place.approvals_secrets, strict=True):
        if job.digest in done:
            says = f"the job {job.name!r} is done, and needs none any more"
            yield Check(place.party, "approvals", Outcome.OK, says)
        else:
            yield from _of_job(place, target, job, name)


def _done(place: Place) -> set[str]:
    """The digests of the jobs that the party says it has done."""
    try:
        own = observe(place).own
    except KitError:
        return set()  # the check of its pod says so
    if own is None:
        return set()
    alone = {own.job} if own.phase == DONE and not own.queue else set()
    return alone | {one.job for one in own.queue if one.state == DONE}


def _of_job(place: Place, target: Target, job: Job, name: str) -> Iterator[Check]:
    put = f"deployer apply --party {place.party} --approvals DIR"
    try:
        secret = place.cluster.read("v1", "Secret", name, place.namespace)
        if secret is None:
            says = f"there is no Secret {name} in namespace {place.namespace}"
            yield Check(place.party, "approvals", Outcome.WRONG, says, put)
            return
        where = Path(f"Secret {name}")
        expires = check_approvals(place, job, target.values, files_of(secret), where)
    except InputError as error:
        yield Check.of_error(place.party, "approvals", error, put)
    except KitError as error:
        yield Check(place.party, "approvals", Outcome.UNKNOWN, error.what)
    else:
        yield Check(place.party, "approvals", Outcome.OK, f"of all three, until {expires}")
