"""An introduction: who a party is, signed with the key that its people approve with.

The first one is the invitation: it has the job, without pins. The others answer it, and name it by
its digest. Each has the party's authority and a certificate by it, so that a file that does not
hold is found when it comes, and not when the parties meet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from deployer.manifests.values import HostAndPort, Namespace
from party.agreement.job import Job, Party
from party.agreement.pins import Pin
from party.approval import Envelope, moment
from party.approval.approval import Hex
from party.approval.envelope import STATEMENT, PrivateKey, canonical, read
from party.identity import certificate_digest, certificates_in, check_certificate
from party.process.errors import InputError, KitError
from party.process.schema import Strict

PREDICATE = "urn:tfe-kit:introduction:v1"

_AGAIN = "get the file again from who made it: deployer invite, or deployer join"


class Introduction(Strict):
    """What one party says of itself.

    Attributes:
        party: which seat it takes.
        job: digest of the job without pins.
        terms: that job, as JSON has it; in an invitation alone.
        expires: until when an invitation can be joined, UTC in the form of ISO 8601.
        answers: digest of the invitation; in a reply alone.
        address: ``host:port`` at which the others reach it; empty where there is a namespace.
        namespace: where it is in a cluster that all three are in; empty where there is an address.
        authority: the certificate of its authority, PEM.
        certificate: the party's own by it, PEM.
    """

    party: Party
    job: Hex
    terms: dict[str, Any] | None = None
    expires: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")] | None = None
    answers: Hex | None = None
    address: HostAndPort = ""
    namespace: Namespace = ""
    authority: Annotated[str, Field(max_length=20_000)]
    certificate: Annotated[str, Field(max_length=20_000)]

    @model_validator(mode="after")
    def _whole(self) -> Introduction:
        invites = self.answers is None
        if invites != (self.terms is not None) or invites != (self.expires is not None):
            raise ValueError("it has terms until a moment, or answers an invitation")
        if bool(self.address) == bool(self.namespace):
            raise ValueError("it has an address or a namespace")
        return self

    def signed(self, key: PrivateKey) -> Envelope:
        """In an envelope."""
        statement = {
            "_type": STATEMENT,
            "subject": [{"name": "job", "digest": {"sha256": self.job}}],
            "predicateType": PREDICATE,
            "predicate": self.model_dump(mode="json", exclude={"job"}),
        }
        return Envelope.sign(statement, key)

    @classmethod
    def of(cls, envelope: Envelope, where: str) -> Introduction:
        """The introduction in an envelope. Raises InputError where it holds another document."""
        try:
            said = envelope.statement()
            (subject,) = said["subject"]
            text = json.dumps(said["predicate"] | {"job": subject["digest"]["sha256"]})
            found = cls.model_validate_json(text) if said["predicateType"] == PREDICATE else None
        except (KeyError, TypeError, ValueError, RecursionError):
            found = None
        if found is None:
            raise InputError("it is no invitation, and no reply to one", where, _AGAIN)
        return found


@dataclass(frozen=True)
class Introduced:
    """A party's introduction, checked, in the envelope that it came in.

    Attributes:
        pin: what it is known by from now on.
    """

    introduction: Introduction
    envelope: Envelope
    where: str
    pin: Pin

    @property
    def party(self) -> Party:
        """Whose it is."""
        return self.introduction.party

    @property
    def digest(self) -> str:
        """What a reply names an invitation by, and what two people compare."""
        return self.envelope.digest

    @property
    def invites(self) -> bool:
        """Whether it is the invitation."""
        return self.introduction.terms is not None

    @classmethod
    def read(cls, path: Path) -> Introduced:
        """The introduction in a file; see ``parse``."""
        return cls.parse(read(path), str(path))

    @classmethod
    def parse(cls, text: bytes, where: str) -> Introduced:
        """The introduction in a text. Raises InputError where it was changed, or does not hold."""
        envelope = Envelope.parse(text, where)
        found = Introduction.of(envelope, where)
        job_name = None if found.terms is None else _job_in(found, where).domain
        authority = _checked(found, job_name, where)
        return cls(found, envelope, where, Pin(authority=authority, approval=envelope.keyid))

    def job(self) -> Job:
        """The job of an invitation, without pins."""
        return _job_in(self.introduction, self.where)

    def check_answers(self, invitation: Introduced) -> None:
        """That it replies to this invitation, with a certificate for its job. Raises InputError."""
        answered = self.introduction.answers
        if answered != invitation.digest or self.introduction.job != invitation.introduction.job:
            raise InputError(
                f"{self.party} has replied to another invitation: {answered}, and this one is "
                f"{invitation.digest}",
                self.where,
                f"let {self.party} join by the same file as the others, with a new folder",
            )
        _checked(self.introduction, invitation.job().domain, self.where)

    def check_time(self) -> None:
        """That an invitation can still be joined. Raises InputError."""
        expires = self.introduction.expires
        if expires is not None and moment(datetime.now(UTC)) > expires:
            hint = "have a new one made, with a new folder: deployer invite"
            raise InputError(f"the invitation expired at {expires}", self.where, hint)


def _job_in(introduction: Introduction, where: str) -> Job:
    try:
        job = Job.model_validate_json(canonical(introduction.terms))
    except (ValueError, RecursionError):
        hint = "it may be of another version of the kit: take the same one at all three"
        raise InputError("the job in it cannot be read", where, hint) from None
    if job.digest != introduction.job or job.identities is not None:
        raise InputError("the job in it is not the one that it names", where, _AGAIN)
    return job


def _checked(introduction: Introduction, job_name: str | None, where: str) -> str:
    """The digest of the authority, by which the certificate was checked where the job is known."""
    try:
        authorities = certificates_in(introduction.authority.encode(), Path(where))
        chain = certificates_in(introduction.certificate.encode(), Path(where))
        if len(authorities) != 1:
            raise InputError(f"there are {len(authorities)} authorities in it", where, _AGAIN)
        if job_name is not None:
            now, party = datetime.now(UTC), introduction.party
            check_certificate(chain, authorities, job_name, party, now, Path(where))
    except (KitError, ValueError) as error:
        what = f"{introduction.party}'s certificate in it does not hold: {error}"
        raise InputError(what.splitlines()[0], where, _AGAIN) from None
    return certificate_digest(authorities[0])
