"""Who a party is: its name in certificates, and the checks on its own keys before it does anything.

An identity is a SPIFFE ID, ``spiffe://<job>/<party>``, the single URI among the alternative names
of an X.509 certificate's subject (SPIFFE X.509-SVID, RFC 5280). One authority per job signs the
three; addresses stand in none of them. A key directory holds what a ``kubernetes.io/tls`` Secret
does: ``ca.crt``, ``tls.crt`` and ``tls.key``.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from party.agreement.job import PARTIES, Party
from party.process.errors import InputError, printable

if TYPE_CHECKING:
    from cryptography import x509

AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
"""The files of a key directory."""

_LARGEST = 64 * 1024
_MAKE = "make keys with: deployer certs new --job JOB --output DIR"
_RENEW = "get a new one: deployer certs renew, or certs request and certs sign"


def identity(job_name: str, party: str) -> str:
    """The SPIFFE ID of a party of a job."""
    return f"spiffe://{job_name}/{party}"


def party_of(name: str, job_name: str) -> Party | None:
    """The party of this job that an identity names, or None."""
    for party in PARTIES:
        if name == identity(job_name, party):
            return party
    return None


@dataclass(frozen=True)
class Keys:
    """A party's key directory, checked."""

    authority: Path
    certificate: Path
    key: Path
    identity: str
    expires: datetime


def load_keys(directory: Path, job_name: str, party: Party, now: datetime | None = None) -> Keys:
    """Check a key directory for a party of a job.

    The files must be there, the key for its owner's eyes only and the certificate's own; the
    certificate must be valid now, for this party of this job, for both ends of a connection, and
    signed by the authority beside it. Raises InputError, with file and remedy, for the first thing
    that is not so.
    """
    from cryptography.hazmat.primitives import serialization

    authority_file, certificate_file, key_file = (
        directory / name for name in (AUTHORITY, CERTIFICATE, KEY)
    )
    for file in (authority_file, certificate_file, key_file):
        if not file.is_file():
            raise InputError(f"{party}'s key directory has no {file.name}", str(directory), _MAKE)
    _check_private(key_file)

    authorities = read_certificates(authority_file)
    chain = read_certificates(certificate_file)
    try:
        key = serialization.load_pem_private_key(_read(key_file), password=None)
    except TypeError:
        raise InputError(
            "the key is locked with a passphrase", str(key_file), "store it without one, mode 0600"
        ) from None
    except Exception:  # what the parser raises differs from version to version
        raise InputError("the key is not a private key in PEM", str(key_file), _MAKE) from None

    encoding = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*encoding) != chain[0].public_key().public_bytes(*encoding):
        raise InputError(
            f"the key is not that of the certificate {CERTIFICATE}",
            str(key_file),
            "put the key and the certificate that were made together side by side",
        )
    check_certificate(chain, authorities, job_name, party, now or datetime.now(UTC), directory)
    expires: datetime = min(certificate.not_valid_after_utc for certificate in chain)
    own = identity(job_name, party)
    return Keys(authority_file, certificate_file, key_file, own, expires)


def check_certificate(
    chain: list[x509.Certificate],
    authorities: list[x509.Certificate],
    job_name: str,
    party: Party,
    now: datetime,
    directory: Path,
) -> None:
    """Check a party's certificate, leaf first, against the authorities it must lead to.

    Raises InputError for the first thing that is wrong.
    """
    from cryptography.x509.oid import ExtendedKeyUsageOID

    where = str(directory / CERTIFICATE)
    expected, named = identity(job_name, party), identities_in(chain[0])
    if named != [expected]:
        got = printable(" and ".join(named)) or "nobody"
        raise InputError(
            f"the certificate is for {got}, not for {expected}",
            where,
            "check the party, the job's name and the key directory",
        )
    usages = _usages(chain[0])
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if not both <= usages:
        raise InputError(
            "the certificate is not for both ends of a connection",
            where,
            "it needs the extended key usages serverAuth and clientAuth",
        )
    for certificate in chain:
        _check_period(certificate, now, where)

    top = chain[0]
    for above in chain[1:]:
        if not _signed(top, above):
            raise InputError("the certificates in the file do not follow each other", where, _RENEW)
        top = above
    # Whatever stands here may speak for every party of the job: so there is one.
    if len(authorities) != 1:
        raise InputError(
            f"there are {len(authorities)} certificates, and a job has one authority",
            str(directory / AUTHORITY),
            "leave the one that signed the parties' certificates",
        )
    (signer,) = authorities
    if signer != top and not _signed(top, signer):
        raise InputError(
            f"the certificate was not signed by the authority in {AUTHORITY}",
            where,
            f"all three parties use the {AUTHORITY} of the job's one authority",
        )
    _check_period(signer, now, str(directory / AUTHORITY))
    if not _may_sign(signer):
        raise InputError(
            "the authority's certificate is not that of an authority",
            str(directory / AUTHORITY),
            "it needs the basic constraint CA and the key usage keyCertSign",
        )


def identities_in(certificate: x509.Certificate) -> list[str]:
    """The URIs among the subject's alternative names."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))


def read_certificates(file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file, at least one; InputError if there is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(_read(file))
    except InputError:
        raise
    except Exception:  # what the parser raises differs from version to version
        raise InputError("the file holds no certificate in PEM", str(file), _MAKE) from None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", str(file)) from None
    if len(content) > _LARGEST:
        raise InputError(f"the file is larger than {_LARGEST} bytes", str(file), _MAKE)
    return content


def _check_private(file: Path) -> None:
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", str(file)) from None
    mode = stat.S_IMODE(status.st_mode)
    # A Secret mounted with an fsGroup belongs to root and is read by the pod's group: 0440.
    allowed = 0o740 if status.st_uid == 0 else 0o700
    if mode & ~allowed & 0o777:
        raise InputError(
            f"others than its owner can get at the key (mode {mode:04o})",
            str(file),
            f"chmod 600 {file}",
        )


def _check_period(certificate: x509.Certificate, now: datetime, where: str) -> None:
    if now > certificate.not_valid_after_utc:
        raise InputError(
            f"the certificate expired on {_day(certificate.not_valid_after_utc)}", where, _RENEW
        )
    if now < certificate.not_valid_before_utc:
        raise InputError(
            f"the certificate is not valid before {_day(certificate.not_valid_before_utc)}",
            where,
            f"check this machine's clock, which says {_day(now)}",
        )


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    from cryptography import x509

    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, ValueError):
        return set()


def _may_sign(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return basic.ca and usage.key_cert_sign


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except Exception:  # a wrong issuer, signature or type of key: not signed by it in any case
        return False
    return True
