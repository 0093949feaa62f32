"""Approvals, checked as a party's pod checks them, and the Secret in which it waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployer.cluster.client import Change, Object
from deployer.cluster.secrets import TABLE_DIGEST, secret_of
from deployer.cluster.target import Place, Target
from deployer.manifests.values import VERSION, Values
from party.agreement.job import PARTIES, Job
from party.approval import approval_file, salt_file
from party.approval.approval import salt_in
from party.approval.envelope import read
from party.approval.permit import check_expiry, check_table, checked_approvals
from party.process.errors import InputError


def approvals_secrets(target: Target, directory: Path) -> list[tuple[Place, Object]]:
    """For each party that is here, the Secret of its approvals: those of all three, and its own
    salt, which is nobody else's. Of several jobs each has a Secret, and in the directory one of its
    own, of its name.

    Raises InputError for approvals that its pod would refuse: see ``check_approvals``.
    """
    if not target.facts.approvals:
        raise InputError(
            "the job names no keys of approvals, so that nobody looks for any",
            "--approvals",
            "agree on a job with identities.<party>.approval, or leave --approvals out",
        )
    made = []
    for place in target.places:
        for job, name in zip(target.jobs, place.approvals_secrets, strict=True):
            own = directory / job.name if place.queue else directory
            if place.queue and not own.is_dir():
                continue  # it was done before, or waits for its approvals
            wanted = [approval_file(own, party) for party in PARTIES]
            wanted.append(salt_file(own, place.party))
            files = {file.name: read(file) for file in wanted if file.exists()}
            check_approvals(place, job, target.values, files, own)
            made.append((place, secret_of(place, name, "Opaque", files)))
    if not made:
        what, hint = (
            "there are no approvals of any job",
            "put those of a job into a directory of its name",
        )
        raise InputError(what, str(directory), hint)
    return made


def check_approvals(
    place: Place, job: Job, values: Values, files: Mapping[str, bytes], directory: Path
) -> str:
    """Check a party's approvals of a job, by the names of their files, as its pod does, but for how
    often they were used, which its ledger knows; returns until when all of them hold.

    Raises InputError for the first that is missing, another's, for another job, image, version or
    table than is there, or expired.
    """
    image = values.image.digest or None
    approvals, _ = checked_approvals(job, files, directory, VERSION, image)
    check_expiry(approvals)
    own, file = approvals[place.party], salt_file(directory, place.party)
    if place.party in job.holders and job.kept is None:  # where one is opened no table is read
        if file.name not in files:
            hint = "put the file that deployer approve made beside the approval"
            raise InputError(f"the salt of {place.party}'s commitment is missing", str(file), hint)
        salt, table = salt_in(files[file.name], file), _table_digest(place)
        # What is approved is the text of the columns that the job takes. Of fewer than the table
        # there has, the pod alone knows it.
        alike = job.features_of(place.party) == values.job.features_of(place.party)
        if table is not None and alike:
            check_table(own, directory, salt, table)
    return min(approval.expires for approval in approvals.values())


def put(place: Place, secret: Object, force: bool = False) -> Change:
    """Put a party's approvals there, in place of former ones, and have its pod look."""
    change = place.cluster.apply(secret, force)
    place.cluster.touch(place.pod, place.namespace)
    return change


def _table_digest(place: Place) -> str | None:
    """The digest of the table that is there; None where nothing says it, as on a volume."""
    if not place.table_secrets:
        return None
    first = place.cluster.read("v1", "Secret", place.table_secrets[0], place.namespace)
    annotations = {} if first is None else first["metadata"].get("annotations") or {}
    found = annotations.get(TABLE_DIGEST)
    return None if found is None else str(found)
