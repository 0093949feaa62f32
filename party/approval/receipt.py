"""Receipts: what came of a run, signed by each party's own key, and of all three in one document.

Each party signs what it knows: the run, whose keys it saw, the approvals, what was opened to it,
and digests of its report and of its ledger. A receipt is whole when three such statements agree.
They are signed apart and put together later, since the connections are closed when a report is
written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from party.agreement.job import PARTIES, Job, Party
from party.agreement.pins import Digest
from party.approval.approval import Hex, moment
from party.approval.envelope import STATEMENT, Envelope, canonical, private_key, read
from party.identity import (
    Keys,
    certificate_digest,
    certificates_in,
    check_certificate,
    identities_in,
    identity,
    key_digest,
)
from party.process.errors import InputError, KitError
from party.process.schema import Strict

PREDICATE = "urn:tfe-kit:receipt:v1"

_CERTIFICATES = "the certificates in a receipt"
_SUBJECTS = ("job", "plan", "run")
_AGAIN = "get the three parties' own receipt.json again, and merge them"


class Statement(Strict):
    """What one party says of a run.

    Attributes:
        job, plan, run: digests, and the name that the three gave this run.
        kit: version of the software.
        steps, settled: as in the report.
        keys, authorities: of all three, by what this party was shown, as a job pins them.
        approvals: digests of the approvals that it ran by; none where the job asks for none.
        opened: the values that were opened to this party.
        report, ledger: SHA-256 of its report, and the hash of the last entry of its ledger.
        time: when it was done, by its own clock.
        certificates: its own, leaf first, then the authority's; PEM.
    """

    party: Party
    job: Hex
    plan: Hex
    run: Hex
    kit: str
    steps: int
    settled: bool | None
    keys: dict[Party, Digest]
    authorities: dict[Party, Digest]
    approvals: dict[Party, Hex]
    opened: tuple[str, ...]
    report: Hex
    ledger: Hex
    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    certificates: str

    @classmethod
    def made(
        cls, keys: Keys, peers: dict[Party, tuple[str, str]], party: Party, **facts: Any
    ) -> Statement:
        """A party's own, now; ``peers`` are the digests of the others' keys and authorities."""
        seen = peers | {party: (keys.key_digest, keys.authority_digest)}
        authorities = certificates_in(keys.authority, keys.directory)
        (signer,) = (a for a in authorities if certificate_digest(a) == keys.authority_digest)
        return cls(
            party=party,
            keys={each: seen[each][0] for each in PARTIES},
            authorities={each: seen[each][1] for each in PARTIES},
            time=moment(datetime.now(UTC)),
            certificates=(keys.certificate + _pem(signer)).decode("ascii"),
            **facts,
        )

    def signed(self, keys: Keys) -> Envelope:
        """In an envelope, by the party's own key."""
        statement = {
            "_type": STATEMENT,
            "subject": [{"name": n, "digest": {"sha256": getattr(self, n)}} for n in _SUBJECTS],
            "predicateType": PREDICATE,
            "predicate": self.model_dump(mode="json", exclude=set(_SUBJECTS)),
        }
        return Envelope.sign(statement, private_key(keys.key, str(keys.directory)))

    @classmethod
    def of(cls, envelope: Envelope, where: str) -> Statement:
        """The statement in an envelope, of the key that it says is its party's, by a certificate
        that was valid then. Raises InputError for anything else."""
        try:
            said = envelope.statement()
            subjects = {one["name"]: one["digest"]["sha256"] for one in said["subject"]}
            known = said["predicateType"] == PREDICATE and said["_type"] == STATEMENT
            found = cls.model_validate_json(json.dumps(said["predicate"] | subjects))
        except (KeyError, TypeError, ValidationError):
            known = False
        if not known or set(found.keys) != set(PARTIES) or set(found.authorities) != set(PARTIES):
            hint = "a party writes receipt.json when it is done"
            raise InputError("it is no party's receipt", where, hint)
        found._check_key(envelope, where)
        return found

    def shared(self) -> dict[str, Any]:
        """What all three must say alike."""
        own = {"party", "opened", "report", "ledger", "time", "certificates"}
        return self.model_dump(mode="json", exclude=own)

    @property
    def job_name(self) -> str:
        """The job's trust domain, by the party's certificate."""
        leaf = certificates_in(self.certificates.encode(), Path(_CERTIFICATES))[0]
        return "".join(identities_in(leaf)).removeprefix("spiffe://").partition("/")[0]

    def _check_key(self, envelope: Envelope, where: str) -> None:
        *chain, signer = certificates_in(self.certificates.encode(), Path(where))
        try:
            when = datetime.strptime(self.time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            check_certificate(chain, [signer], self.job_name, self.party, when, Path(where))
        except (KitError, ValueError, IndexError) as error:
            what = f"{self.party}'s certificate in it does not hold: {error}"
            raise InputError(what, where, _AGAIN) from None
        found = envelope.keyid, key_digest(chain[0]), certificate_digest(signer)
        pinned = self.keys[self.party]
        if found != (pinned, pinned, self.authorities[self.party]):
            what = f"it is signed by {envelope.keyid}, which is not the key of {self.party}'s run"
            raise InputError(what, where, _AGAIN)


@dataclass(frozen=True)
class Receipt:
    """The statements of all three, in the order of their seats, which agree."""

    envelopes: tuple[Envelope, ...]
    statements: tuple[Statement, ...]

    @classmethod
    def merged(cls, envelopes: Sequence[tuple[Envelope, str]]) -> Receipt:
        """Of three parties' own receipts, each with the name of its file, in any order. Raises
        InputError where one is missing or twice there, or where they do not agree."""
        found = {}
        for envelope, where in envelopes:
            statement = Statement.of(envelope, where)
            if statement.party in found:
                what = f"there are two receipts of {statement.party}"
                raise InputError(what, where, "give one of each party")
            found[statement.party] = envelope, statement
        if missing := [party for party in PARTIES if party not in found]:
            hint = "give the receipt.json of all three parties"
            raise InputError(f"the receipt of {' and '.join(missing)} is missing", hint=hint)
        first = found["alice"][1]
        for party in PARTIES[1:]:
            mine, theirs = first.shared(), found[party][1].shared()
            if unlike := [name for name in mine if mine[name] != theirs[name]]:
                what = f"alice and {party} do not say the same of the run: {', '.join(unlike)}"
                raise InputError(what, hint="give receipts of the same run")
        ordered = [found[party] for party in PARTIES]
        return cls(tuple(e for e, _ in ordered), tuple(s for _, s in ordered))

    @classmethod
    def parse(cls, text: bytes, where: str) -> Receipt:
        """The receipt in a text. Raises InputError for any other text."""
        try:
            parts = json.loads(text)["receipts"]
            receipt = cls.merged(
                [(Envelope.parse(canonical(one) + b"\n", where), where) for one in parts]
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError("it is no receipt, or was changed", where, _AGAIN) from None
        if receipt.text() != text:
            raise InputError("it is no receipt, or was changed", where, _AGAIN)
        return receipt

    @classmethod
    def read(cls, path: Path) -> Receipt:
        """The receipt in a file."""
        return cls.parse(read(path), str(path))

    def text(self) -> bytes:
        """The file's content."""
        return canonical({"receipts": [one.value() for one in self.envelopes]}) + b"\n"

    def check_job(self, job: Job, where: str) -> None:
        """That it is of this job, and of the keys that the job pins. Raises InputError."""
        first = self.statements[0]
        if first.job != job.digest:
            what = f"the receipt is of the job {first.job}, and this one is {job.digest}"
            raise InputError(what, where, "give the job that was run")
        for party, statement in zip(PARTIES, self.statements, strict=True):
            broken = None
            if statement.job_name != job.domain:
                broken = f"it is for {identity(statement.job_name, party)}"
            elif job.identities is not None:
                digests = first.keys[party], first.authorities[party]
                broken = job.identities.of(party).broken_by(*digests)
            if broken:
                what = f"{party}'s certificate in it is another's: {broken}"
                raise InputError(what, where, _AGAIN)


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    text: bytes = certificate.public_bytes(Encoding.PEM)
    return text
