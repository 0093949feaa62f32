"""Certificates as SPIFFE's servers make them: SVIDs, under an intermediate and a root of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deployer.certs import authority as certs
from party.agreement.job import PARTIES, Job
from party.agreement.pins import Identities, Pin
from party.identity import certificate_digest, load_keys
from party.process.errors import InputError
from tests.harness.joins import JOB, Joins

pytestmark = pytest.mark.slow

BEGIN = datetime.now(UTC) - timedelta(hours=1)


@dataclass
class Signer:
    """A root, or, under one, a server that signs SVIDs for an hour or so."""

    domain: str
    above: Signer | None = None
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        signer = self.above or self
        self.certificate = (
            _builder("SPIFFE", signer, self.key, f"spiffe://{self.domain}")
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    def svid(self, name: str) -> dict[str, bytes]:
        """The files of a workload of this name: leaf and intermediates, and a fresh key."""
        key = ec.generate_private_key(ec.SECP256R1())
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        leaf = (
            _builder("SPIRE", self, key, name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_agreement=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        between = b"" if self.above is None else certs.pem(self.certificate)
        return {"tls.crt": certs.pem(leaf) + between, "tls.key": certs.pem(key)}


def _builder(
    organisation: str, signer: Signer, key: ec.EllipticCurvePrivateKey, uri: str
) -> x509.CertificateBuilder:
    # Servers have names that are alike; what tells them apart are their keys.
    name = [(NameOID.COUNTRY_NAME, "US"), (NameOID.ORGANIZATION_NAME, organisation)]
    issuer = [(NameOID.COUNTRY_NAME, "US"), (NameOID.ORGANIZATION_NAME, "SPIFFE")]
    ours, theirs = (
        x509.Name([x509.NameAttribute(oid, value) for oid, value in one]) for one in (name, issuer)
    )
    return (
        x509.CertificateBuilder()
        .subject_name(ours)
        .issuer_name(theirs)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
    )


def _usage(**chosen: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    more = ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: chosen.get(name, False) for name in (*names, *more)})


@dataclass
class Organisations:
    """One root for each party, all of one trust domain, and the keys that are signed under them."""

    directory: Path
    roots: dict[str, Signer] = field(
        default_factory=lambda: {party: Signer(JOB.name) for party in PARTIES}
    )

    def write(self, party: str, by: Signer, name: str) -> Path:
        """Put an SVID of this name into a party's key directory; all roots lie beside it."""
        roots = b"".join(certs.pem(one.certificate) for one in self.roots.values())
        for file in (self.directory / party).glob("*"):
            file.unlink()
        certs.write_files(self.directory / party, by.svid(name) | {"ca.crt": roots})
        return self.directory / party

    @property
    def job(self) -> Job:
        """It pins each party's root."""
        pins = {
            party: Pin(authority=certificate_digest(root.certificate))
            for party, root in self.roots.items()
        }
        return JOB.model_copy(update={"identities": Identities(**pins)})


@pytest.fixture
def organisations(tmp_path: Path) -> Organisations:
    made = Organisations(tmp_path)
    for party, root in made.roots.items():
        made.write(party, Signer(JOB.name, above=root), f"spiffe://{JOB.name}/{party}")
    return made


@pytest.fixture
def joins(organisations: Organisations) -> Iterator[Joins]:
    made = Joins(organisations.directory)
    yield made
    made.close()


def test_svids_under_intermediates_join_by_the_roots_that_are_pinned(
    joins: Joins, organisations: Organisations
) -> None:
    # Alice's server has taken a new intermediate since the job was agreed on, and a new key.
    new = Signer(JOB.name, above=organisations.roots["alice"])
    organisations.write("alice", new, f"spiffe://{JOB.name}/alice")
    for party in PARTIES:
        joins.start(party, job=organisations.job)
    joins.everybody_joins()
    for one in joins.started:
        for party, (_, authority) in one.outcome().peers.items():
            assert authority == certificate_digest(organisations.roots[party].certificate)


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://bank.example/alice",
        f"spiffe://{JOB.name}/ns/bank/sa/alice",
        f"spiffe://{JOB.name}/bob",
    ],
)
def test_a_name_of_another_form_or_domain_is_refused_by_its_own_party(
    organisations: Organisations, name: str
) -> None:
    server = Signer(JOB.name, above=organisations.roots["alice"])
    keys = organisations.write("alice", server, name)
    with pytest.raises(InputError) as caught:
        load_keys(keys, JOB.name, "alice", pins=organisations.job.identities)
    assert caught.value.what == f"the certificate is for {name}, not for spiffe://{JOB.name}/alice"


def test_a_server_of_the_same_domain_vouches_for_no_party_of_anothers(
    joins: Joins, organisations: Organisations
) -> None:
    rogue = Signer(JOB.name, above=organisations.roots["server"])
    keys = organisations.write("alice", rogue, f"spiffe://{JOB.name}/alice")
    with pytest.raises(InputError, match="alice is another by the job: its authority is sha256:"):
        load_keys(keys, JOB.name, "alice", pins=organisations.job.identities)
