"""What three introductions come to: the job with pins, and what each party runs it with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from deployer.joining.introduction import Introduced
from deployer.manifests.render import Facts
from deployer.manifests.values import Values, parse_values
from party.agreement.hosts import Address
from party.agreement.job import PARTIES, Job, Party
from party.agreement.pins import Identities
from party.agreement.yaml12 import write_yaml
from party.process.errors import InputError

JOB, HOSTS, VALUES = "job.yaml", "config.json", "values.yaml"

_DIALLED = PARTIES[:-1]
"""The parties that others connect to: each connects to those before it."""


@dataclass(frozen=True)
class Agreement:
    """What one party has when all three are introduced.

    Attributes:
        job: with the pins of all three.
        authorities: all three certificates, in the order of the seats, PEM.
        files: by name; ``job.yaml`` and ``config.json`` are the same bytes at all three, and
            ``values.yaml`` installs this party alone.
    """

    job: Job
    authorities: bytes
    files: Mapping[str, bytes]


def agreement(own: Party, introduced: Mapping[Party, Introduced]) -> Agreement:
    """Put three introductions together, which fit each other one by one.

    Raises InputError where two are of one party by their pins, or not all of them say in the same
    way where they are.
    """
    (invitation,) = (one for one in introduced.values() if one.invites)
    invitation.check_time()
    check_apart(introduced)
    job = _pinned(invitation.job(), introduced)
    values = _values(own, job, introduced)
    files = {
        JOB: write_yaml(_document(job), indent=2) + "\n",
        HOSTS: json.dumps(Facts(values).hosts, indent=2) + "\n",
        VALUES: write_yaml(_own_values(own, job, introduced), indent=2) + "\n",
    }
    authorities = "".join(introduced[each].introduction.authority for each in PARTIES)
    return Agreement(
        job, authorities.encode(), {name: text.encode() for name, text in files.items()}
    )


def check_apart(introduced: Mapping[Party, Introduced]) -> None:
    """That no two parties have one authority, or one key for approvals, or are at one address.
    Raises InputError."""
    seen: dict[str | None, Party] = {}
    addresses: dict[str, Party] = {}
    for party, one in introduced.items():
        if address := one.introduction.address:
            other = addresses.setdefault(address, party)
            if other != party:
                raise same_address(other, party, address, one.where)
        for pin in (one.pin.authority, one.pin.approval):
            other = seen.setdefault(pin, party)
            if other != party:
                raise InputError(
                    f"{other} and {party} have the same pin, {pin}, and could be each other",
                    one.where,
                    "each party makes its own: deployer join, in a folder of its own",
                )


def same_address(other: Party, party: Party, address: str, where: str) -> InputError:
    """For two parties that could not both be reached."""
    return InputError(
        f"{other} and {party} have one address, {address}",
        where,
        "each party has its own: deployer join, in a new folder, with another --address",
    )


def _pinned(job: Job, introduced: Mapping[Party, Introduced]) -> Job:
    pins = Identities(**{party: introduced[party].pin for party in PARTIES})
    try:
        return Job.model_validate(job.model_dump() | {"identities": pins})
    except ValidationError as error:
        hint = "have another job invited to"
        raise InputError(
            f"the job cannot be pinned: {error.errors()[0]['msg']}", hint=hint
        ) from None


def _document(job: Job) -> dict[str, Any]:
    """The job with every key, so that no default of another file counts."""
    return job.model_dump(mode="json", exclude_none=True)


def _values(own: Party, job: Job, introduced: Mapping[Party, Introduced]) -> Values:
    where = {bool(introduced[party].introduction.namespace) for party in PARTIES}
    if len(where) > 1:
        said = ", ".join(f"{party} {_place(introduced[party])}" for party in PARTIES)
        raise InputError(
            f"not all of them are in one cluster, and not all of them have an address: {said}",
            hint="all give --address; or, in one cluster that all three share, all --namespace",
        )
    values = parse_values(Values().document() | _own_values(own, job, introduced))
    assert values.job.digest == job.digest
    return values


def _place(introduced: Introduced) -> str:
    one = introduced.introduction
    return f"namespace {one.namespace}" if one.namespace else f"address {one.address}"


def _own_values(own: Party, job: Job, introduced: Mapping[Party, Introduced]) -> dict[str, Any]:
    """What a party installs itself with, and nobody else."""
    name = job.name if job.name[0].isalpha() else f"job-{job.name}"[:40].rstrip("-")
    values: dict[str, Any] = {"name": name, "demo": {"enabled": False}, "job": _document(job)}
    for party in PARTIES:
        one = introduced[party].introduction
        place = {"namespace": one.namespace} if one.namespace else {"address": one.address}
        values[party] = {"enabled": party == own} | place
    if address := introduced[own].introduction.address:
        port = Address.parse(address).port
        values["ports"] = {"party": port, "status": 8081 if port == 8080 else 8080}
        if own in _DIALLED:
            values[own]["service"] = {"type": "LoadBalancer"}
    return values
