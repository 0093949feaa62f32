"""The Secret with a party's keys, checked as the party checks it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from deployer.cluster.client import Object
from deployer.cluster.secrets import files_of
from deployer.cluster.target import Place, Target
from deployer.doctor.check import Check, Outcome
from party.identity import AUTHORITY, CERTIFICATE, KEY, check_keys
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
        expires = _checked_keys(place, secret, target.values.job.name)
    except InputError as error:
        yield Check.of_error(place.party, "keys", error, put)
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


def _checked_keys(place: Place, secret: Object, job_name: str) -> datetime:
    """When a party's certificate expires. Raises InputError for what the party would refuse."""
    where = Path(f"Secret {place.keys_secret}")
    files = files_of(secret)
    for name in (AUTHORITY, CERTIFICATE, KEY):
        if name not in files:
            raise InputError(f"there is no {name} in it", str(where))
    return check_keys(files, where, job_name, place.party).expires
