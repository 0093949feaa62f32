"""Keys and certificates of a job: one authority, three parties, short lives.

The authority may sign nothing but parties of its job: its certificate carries a path length of zero
and the job's name as the only permitted URI (RFC 5280, 4.2.1.9 and 4.2.1.10). Whoever keeps its key
can pass for any party, so a party that trusts nobody with its key makes a request and has only that
signed. Nothing that exists is ever overwritten: everything is made in a directory of its own,
which appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from party.agreement.job import PARTIES, Party
from party.agreement.pins import PREFIX
from party.identity import AUTHORITY, CERTIFICATE, CHECKPOINT_KEY, KEY, identity, read_certificates
from party.process.errors import InputError, printable
from party.process.files import unreadable, unwritable

AUTHORITY_KEY = "ca.key"
REQUEST = "tls.csr"
APPROVAL_KEY, APPROVAL_PUBLIC = "approval.key", "approval.pub"
"""Of who approves for a party. The key is another than the party's own: that one is where the party
runs, and whoever takes over a pod is not to approve what it does next."""

AUTHORITY_DAYS = 365
PARTY_DAYS = 30

_SKEW = timedelta(minutes=10)
"""Certificates start in the past, for clocks that are a little slow."""

_WHOLE = "give the directory that deployer certs authority made, as it was made"
_BOTH_ENDS = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]

PrivateKey = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """Who vouches for the parties of one job."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def job_name(self) -> str:
        """The one trust domain in which it may name parties."""
        names = self.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        return str((names.permitted_subtrees or [])[0].value)


def make_authority(job_name: str, days: float = AUTHORITY_DAYS) -> Authority:
    """A new authority for a job, self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(job_name, "authority")
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    domain = x509.UniformResourceIdentifier(job_name)
    certificate = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.NameConstraints([domain], None), critical=True)
        .add_extension(public, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(
    authority: Authority, party: Party, public: ec.EllipticCurvePublicKey, days: float = PARTY_DAYS
) -> x509.Certificate:
    """A certificate for a party of the authority's job. It ends with the authority's at the latest.

    Raises InputError when the authority's own certificate has expired.
    """
    above = authority.certificate
    if above.not_valid_after_utc <= datetime.now(UTC):
        raise InputError(
            f"the authority expired on {above.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            hint="make a new one, and new certificates for all three parties",
        )
    return (
        _builder(
            _name(authority.job_name, party),
            above.subject,
            public,
            days,
            latest=above.not_valid_after_utc,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(_alternative_name(authority.job_name, party), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )


def make_request(job_name: str, party: Party) -> tuple[PrivateKey, x509.CertificateSigningRequest]:
    """A party's own key and the request to certify it."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_name(job_name, party))
        .add_extension(_alternative_name(job_name, party), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, request


def make_party(authority: Authority, party: Party, days: float = PARTY_DAYS) -> dict[str, bytes]:
    """The files of a new key directory for a party."""
    key = ec.generate_private_key(ec.SECP256R1())
    return {
        AUTHORITY: pem(authority.certificate),
        CERTIFICATE: pem(issue(authority, party, key.public_key(), days)),
        KEY: pem(key),
        CHECKPOINT_KEY: secrets.token_bytes(32),
    }


def make_all(job_name: str, output: Path, days: float, authority_days: float) -> None:
    """An authority and the three parties' key directories, in one new directory."""
    authority = make_authority(job_name, authority_days)
    with new_directory(output) as made:
        write_files(made / "authority", authority_files(authority))
        for party in PARTIES:
            write_files(made / party, make_party(authority, party, days))


def make_approver() -> dict[str, bytes]:
    """The files of a key for approvals, Ed25519."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {APPROVAL_KEY: private, APPROVAL_PUBLIC: public}


def approver_digest(file: Path) -> str:
    """The digest of the public key for approvals in a file, as a job pins it. Raises InputError."""
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise unreadable(error, "the key for approvals", file) from None
    except Exception:  # what the parser raises differs from version to version
        hint = "make one: deployer certs approver"
        raise InputError("it is no public key in PEM", str(file), hint) from None
    encoding = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return PREFIX + hashlib.sha256(key.public_bytes(*encoding)).hexdigest()


def pem(value: x509.Certificate | x509.CertificateSigningRequest | PrivateKey) -> bytes:
    """A certificate, request or (unencrypted, PKCS #8) key as PEM."""
    if isinstance(value, ec.EllipticCurvePrivateKey):
        return value.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    return value.public_bytes(serialization.Encoding.PEM)


def read_authority(directory: Path) -> Authority:
    """The authority in a directory. Raises InputError for files that are not one."""
    file, key_file = directory / AUTHORITY, directory / AUTHORITY_KEY
    certificate = read_certificates(file)[0]
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise unreadable(error, "the authority's key", key_file) from None
    except Exception:  # what the parser raises differs from version to version
        what = "the authority's key is not a private key in PEM"
        raise InputError(what, str(key_file), _WHOLE) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise InputError(f"the authority's key is not that of {AUTHORITY}", str(key_file), _WHOLE)
    authority = Authority(certificate, key)
    try:
        _ = authority.job_name
    except (x509.ExtensionNotFound, IndexError, ValueError):
        raise InputError(
            "the certificate is not that of a job's authority",
            str(file),
            "make one: deployer certs authority --job JOB --output DIR",
        ) from None
    return authority


def read_request(file: Path, job_name: str, party: Party) -> x509.CertificateSigningRequest:
    """A party's request, which must be signed by its own key and name that party of that job."""
    make = f"make it with: deployer certs request {party} --job JOB --output DIR"
    try:
        request = x509.load_pem_x509_csr(file.read_bytes())
        signed, public = request.is_signature_valid, request.public_key()
    except OSError as error:
        raise unreadable(error, "the request", file) from None
    except Exception:  # what the parser raises differs from version to version
        what = "the file holds no certificate request in PEM"
        raise InputError(what, str(file), make) from None
    if not signed:
        raise InputError("the request is not signed by its own key", str(file), make)
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise InputError(
            "the request's key is not an ECDSA P-256 key",
            str(file),
            make,
        )
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        asked = [str(name.value) for name in names]
    except (x509.ExtensionNotFound, ValueError):
        asked = []
    expected = identity(job_name, party)
    if asked != [expected]:
        got = printable(" and ".join(asked)) or "nobody"
        hint = f"sign it for whom it is; or have the party make its own: {make[14:]}"
        raise InputError(f"the request is for {got}, not for {expected}", str(file), hint)
    return request


@contextmanager
def new_directory(final: Path) -> Iterator[Path]:
    """A private directory that appears under its name once it is complete, and only if there is
    nothing of that name, or an empty directory."""
    try:
        taken = final.exists() and (not final.is_dir() or any(final.iterdir()))
    except OSError as error:
        raise unwritable(error, "cannot make the directory", final) from None
    if taken:
        raise InputError(
            "there is something already, and keys are never overwritten",
            str(final),
            "name a new directory with --output",
        )
    making = final.with_name(f".{final.name}.{secrets.token_hex(4)}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        making.mkdir(mode=0o700)
        yield making
        making.rename(final)
    except OSError as error:
        raise unwritable(error, "cannot make the directory", final) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)


def write_files(directory: Path, files: dict[str, bytes]) -> None:
    """Write new files, private keys readable by their owner alone, into a private directory."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, content in files.items():
        mode = 0o600 if name in (KEY, AUTHORITY_KEY, APPROVAL_KEY, CHECKPOINT_KEY) else 0o644
        number = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(number)


def authority_files(authority: Authority) -> dict[str, bytes]:
    return {AUTHORITY: pem(authority.certificate), AUTHORITY_KEY: pem(authority.key)}


def _name(job_name: str, who: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{job_name} {who}")])


def _alternative_name(job_name: str, party: Party) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity(job_name, party))])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    days: float,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    end = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(end, latest) if latest else end)
    )


def _key_usage(
    digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
