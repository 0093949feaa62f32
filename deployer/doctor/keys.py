"""The Secret with a party's keys, checked as the party checks it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from deployer.cluster.client import Object
from deployer.cluster.secrets import beside_keys, files_of
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.agreement.job import Job
from party.identity import (
    AUTHORITY,
    CERTIFICATE,
    CHECKPOINT_KEY,
    KEY,
    Keys,
    certificate_digest,
    certificates_in,
    check_keys,
)
from party.process.errors import InputError, KitError

_SOON_DAYS = 2


def of_keys(place: Place, target: Target) -> Iterator[Check]:
    """The Secret with a party's keys: there, readable, matching, its own, and for how long."""
    put = f"deployer certs put {place.party} DIR"
    try:
        secret = place.cluster.read("v1", "Secret", place.keys_secret, place.namespace)
    except KitError as error:
        yield Check(place.party, "keys", Outcome.UNKNOWN, error.what)
        return
    if secret is None:
        says = f"there is no Secret {place.keys_secret} in namespace {place.namespace}"
        yield Check(place.party, "keys", Outcome.WRONG, says, put)
        return
    try:
        expires = _checked_keys(place, secret, target.values.job).expires
    except InputError as error:
        yield Check.of_error(place.party, "keys", error, put)
        return
    try:
        lacks = _seals(target) and not _has_checkpoint_key(place, secret, target)
    except KitError as error:
        yield Check(place.party, "keys", Outcome.UNKNOWN, error.what)
        return
    if lacks:
        says = f"there is no {CHECKPOINT_KEY}, by which its part of a kept model is sealed"
        do = f"{beside_keys('DIR')}; then {put}"
        if _by_cert_manager(target):
            do = f"deployer certs checkpoint {place.party}"
        yield Check(place.party, "keys", Outcome.WRONG, says, do)
        return
    left = (expires - datetime.now(UTC)).total_seconds() / 86400
    says = f"valid until {expires:%Y-%m-%d %H:%M} UTC"
    if left < _SOON_DAYS:
        yield Check(
            place.party,
            "keys",
            Outcome.WARNING,
            says,
            f"deployer certs renew, certs sign, then {put}",
        )
    else:
        yield Check(place.party, "keys", Outcome.OK, says)


def _seals(target: Target) -> bool:
    """Whether a job keeps a model on shares, or opens one."""
    return any(job.result == "kept" or job.part is not None for job in target.jobs)


def _by_cert_manager(target: Target) -> bool:
    """Whether cert-manager makes the keys; a pod then takes that of its checkpoints from another
    Secret, too."""
    return bool(target.values.certificates.cert_manager.issuer_ref.name)


def _has_checkpoint_key(place: Place, secret: Object, target: Target) -> bool:
    if CHECKPOINT_KEY in files_of(secret):
        return True
    if not _by_cert_manager(target):
        return False
    other = place.cluster.read("v1", "Secret", place.checkpoint_secret, place.namespace)
    return other is not None and CHECKPOINT_KEY in files_of(other)


def of_authorities(target: Target) -> Iterator[Check]:
    """Whether the parties' keys, as far as they are here, are of one authority."""
    parties: dict[bytes, list[str]] = {}
    if target.values.job.identities is not None:
        yield from _of_pinned_authorities(target)
        return
    for place in target.places:
        try:
            secret = place.cluster.read("v1", "Secret", place.keys_secret, place.namespace)
            if secret is not None:
                keys = _checked_keys(place, secret, target.values.job)
                parties.setdefault(keys.authority, []).append(place.party)
        except KitError:  # said by the check of these keys
            continue
    several = [party for ones in parties.values() for party in ones]
    if len(parties) == 1 and len(several) > 1:
        yield Check(several[0], "authority", Outcome.OK, f"the same as {_and(several[1:])}'s")
    most = max(parties.values(), key=len, default=[])
    for ones in parties.values():
        if ones is not most:
            says = f"{_and(ones)}: certificate of another authority than {_and(most)}'s"
            do = "give all parties keys of the job's one authority: deployer certs sign, certs put"
            yield Check(ones[0], "authority", Outcome.WRONG, says, do)


def _of_pinned_authorities(target: Target) -> Iterator[Check]:
    """Whether each party trusts the authorities of the others, as far as they are here."""
    found: dict[str, Keys] = {}
    for place in target.places:
        try:
            secret = place.cluster.read("v1", "Secret", place.keys_secret, place.namespace)
            if secret is not None:
                found[place.party] = _checked_keys(place, secret, target.values.job)
        except KitError:  # said by the check of these keys
            continue
    for party, keys in found.items():
        trusted = set(map(certificate_digest, certificates_in(keys.authority, Path(AUTHORITY))))
        unknown = [one for one, its in found.items() if its.authority_digest not in trusted]
        if unknown:
            says = f"{party}'s {AUTHORITY} lacks the authority of {_and(unknown)}"
            do = f"put the certificates of all three authorities into {AUTHORITY}, then certs put"
            yield Check(party, "authority", Outcome.WRONG, says, do)


def _and(parties: list[str]) -> str:
    return " and ".join(parties)


def _checked_keys(place: Place, secret: Object, job: Job) -> Keys:
    """A party's keys. Raises InputError for what the party would refuse."""
    where = Path(f"Secret {place.keys_secret}")
    files = files_of(secret)
    for name in (AUTHORITY, CERTIFICATE, KEY):
        if name not in files:
            raise InputError(f"there is no {name} in it", str(where), "put all three files there")
    return check_keys(files, where, job.domain, place.party, pins=job.identities)
