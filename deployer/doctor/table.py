"""The Secrets with a party's table, checked as the party puts them together, or its volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from deployer.cluster.client import Object
from deployer.cluster.secrets import files_of
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.process.errors import InputError, KitError
from party.table.parts import AGAIN, MANIFEST, Manifest


def of_table(place: Place, target: Target) -> Iterator[Check]:
    """The Secrets with a party's table: all there, whole, and this party's for this job; or the
    claim of its volume, which the party alone looks into."""
    if all(job.kept is not None for job in target.jobs):
        return  # what is opened was trained before
    name = target.facts.scoring.get(place.party)
    model = "" if name is None else f" --model {name}"
    if place.table_claim:
        yield from _of_volume(place, model)
    if not place.table_secrets:
        return
    put = f"deployer data put {place.party} CSV{model}"
    try:
        found = [
            place.cluster.read("v1", "Secret", name, place.namespace)
            for name in place.table_secrets
        ]
        secrets = [secret for secret in found if secret is not None]
    except KitError as error:
        yield Check(place.party, "table", Outcome.UNKNOWN, error.what)
        return
    if not secrets:
        says = f"there is no Secret {place.table_secrets[0]} in namespace {place.namespace}"
        yield Check(place.party, "table", Outcome.WRONG, says, put)
        return
    try:
        manifest = _checked_table(place, secrets, target.values.job.domain)
    except InputError as error:
        yield Check.of_error(place.party, "table", error, put)
        return
    says = f"{len(secrets)} Secrets, sha256 {manifest.sha256[:16]}…"
    yield Check(place.party, "table", Outcome.OK, says)


def _of_volume(place: Place, model: str) -> Iterator[Check]:
    claim = f"claim {place.table_claim} in namespace {place.namespace}"
    try:
        found = place.cluster.read(
            "v1", "PersistentVolumeClaim", place.table_claim, place.namespace
        )
    except KitError as error:
        yield Check(place.party, "table", Outcome.UNKNOWN, error.what)
        return
    copy = f"deployer data copy {place.party} TABLE{model}"
    if found is None:
        do = f"make it, or let apply make one (tableVolume.size); then {copy}"
        yield Check(place.party, "table", Outcome.WRONG, f"there is no {claim}", do)
    elif (phase := found.get("status", {}).get("phase")) == "Lost":
        says = f"{claim} has lost its volume"
        yield Check(place.party, "table", Outcome.WRONG, says, f"make it again; then {copy}")
    else:
        says = f"{claim}, {str(phase or 'Pending').lower()}; what is on it, the party's status says"
        yield Check(place.party, "table", Outcome.OK, says)


def _checked_table(place: Place, secrets: Sequence[Object], job_name: str) -> Manifest:
    """A table's manifest. Raises InputError for what the party would refuse to put together."""
    files: dict[str, bytes] = {}
    for secret in secrets:
        files |= files_of(secret)
    where = f"Secrets {place.table_secrets[0]}, …"
    if MANIFEST not in files:
        raise InputError(f"there is no {MANIFEST} in them", where, AGAIN)
    try:
        manifest = Manifest.from_json(files.pop(MANIFEST))
    except ValueError:
        raise InputError("its manifest is damaged", where, AGAIN) from None
    if (manifest.job, manifest.party) != (job_name, place.party):
        raise InputError(
            f"it is {manifest.party}'s table for the job {manifest.job!r}, "
            f"not {place.party}'s for {job_name!r}",
            where,
            AGAIN,
        )
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    if digests != {part.name: part.sha256 for part in manifest.parts}:
        raise InputError("a part is missing, damaged or too many", where, AGAIN)
    return manifest
