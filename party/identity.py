"""Who a party is: its name in certificates, and the checks on its own keys before it does anything.

An identity is a SPIFFE ID, ``spiffe://<job>/<party>``, the single URI among the alternative names
of an X.509 certificate's subject (SPIFFE X.509-SVID, RFC 5280). One authority per job signs the
three, or, where the job pins each party's key or authority, as many as there are; addresses stand
in none of them. A key directory holds what a ``kubernetes.io/tls`` Secret
does: ``ca.crt``, ``tls.crt`` and ``tls.key``.

Each file is read once. What is checked is written as PEM again, and that is what TLS is given: no
other reader's idea of the file, and no file put in its place meanwhile, can be used unchecked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from party.agreement.job import PARTIES, Party
from party.agreement.pins import PREFIX, Identities
from party.process.errors import InputError, printable
from party.process.files import unreadable

if TYPE_CHECKING:
    from cryptography import x509

AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
"""The files of a key directory."""

CHECKPOINT_KEY = "checkpoint.key"
"""In a key directory, what a party's checkpoints are sealed with, if it keeps any: 32 bytes."""

_CHECKPOINT_KEY_BYTES = 32
_LARGEST = 64 * 1024
_MAKE = "make keys with: deployer certs new --job JOB --output DIR"
_RENEW = "get a new one: deployer certs renew, then certs sign at the authority's holder"


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
    """A party's key directory, as it was checked.

    Attributes:
        authority, certificate, key: PEM texts, made of what was checked.
        identity: whose they are.
        expires: the end of the first certificate to end.
        directory: where they were read.
        digest: of the files as they were read.
        key_digest, authority_digest: as a job pins them.
        pins: those that the keys were checked against.
    """

    authority: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    identity: str
    expires: datetime
    directory: Path
    job_name: str
    party: Party
    digest: str
    key_digest: str
    authority_digest: str
    pins: Identities | None

    def files(self) -> dict[str, bytes]:
        """A key directory's files."""
        return {AUTHORITY: self.authority, CERTIFICATE: self.certificate, KEY: self.key}


def load_keys(
    directory: Path,
    job_name: str,
    party: Party,
    now: datetime | None = None,
    pins: Identities | None = None,
) -> Keys:
    """Read and check a key directory for a party of a job.

    The files must be there, the key for its owner's eyes only and the certificate's own; the
    certificate must be valid now, for this party of this job, for both ends of a connection, signed
    by an authority beside it, and what the job pins. Raises InputError, with file and remedy, for
    the first thing that is not so.
    """
    return check_keys(_read_directory(directory, party), directory, job_name, party, now, pins)


def reloaded(keys: Keys) -> Keys | None:
    """The keys that have taken the place of these in their directory; None if the files are the
    same. Raises InputError, as ``load_keys``, for files that changed and cannot be used."""
    files = _read_directory(keys.directory, keys.party)
    if _digest(files) == keys.digest:
        return None
    return check_keys(files, keys.directory, keys.job_name, keys.party, pins=keys.pins)


def check_keys(
    files: Mapping[str, bytes],
    directory: Path,
    job_name: str,
    party: Party,
    now: datetime | None = None,
    pins: Identities | None = None,
) -> Keys:
    """Check the contents of a party's key directory; ``directory`` names it in errors.

    Raises InputError for the first thing that is wrong.
    """
    from cryptography.hazmat.primitives import serialization

    key_file = directory / KEY
    authorities = certificates_in(files[AUTHORITY], directory / AUTHORITY)
    chain = certificates_in(files[CERTIFICATE], directory / CERTIFICATE)
    blocks = _check_blocks(files[KEY], key_file, _KEY_BLOCKS, "a private key")
    if blocks > 1:
        raise InputError(
            f"the file holds {blocks} keys, and a party has one",
            str(key_file),
            f"leave the one of the certificate {CERTIFICATE}",
        )
    try:
        key = serialization.load_pem_private_key(files[KEY], password=None)
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
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
    now = now or datetime.now(UTC)
    signer = check_certificate(chain, authorities, job_name, party, now, directory, pins)
    return Keys(
        authority=_pem(authorities),
        certificate=_pem(chain),
        key=text,
        identity=identity(job_name, party),
        expires=min(certificate.not_valid_after_utc for certificate in chain),
        directory=directory,
        job_name=job_name,
        party=party,
        digest=_digest(files),
        key_digest=key_digest(chain[0]),
        authority_digest=certificate_digest(signer),
        pins=pins,
    )


def key_digest(of: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """SHA-256 of a public key (SubjectPublicKeyInfo in DER), as a job pins it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    text = of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PREFIX + hashlib.sha256(text).hexdigest()


def certificate_digest(of: x509.Certificate) -> str:
    """SHA-256 of a certificate, as a job pins an authority's."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return PREFIX + hashlib.sha256(of.public_bytes(Encoding.DER)).hexdigest()


def check_certificate(
    chain: list[x509.Certificate],
    authorities: list[x509.Certificate],
    job_name: str,
    party: Party,
    now: datetime,
    directory: Path,
    pins: Identities | None = None,
) -> x509.Certificate:
    """Check a party's certificate, leaf first, against the authorities it must lead to and what the
    job pins, and return the authority that signed it.

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
    # Without pins whatever stands here may speak for every party of the job: so there is one.
    if len(authorities) != 1 and pins is None:
        raise InputError(
            f"there are {len(authorities)} certificates, and a job has one authority",
            str(directory / AUTHORITY),
            "leave the one that signed the parties' certificates, or pin each party's key or "
            "authority in the job",
        )
    signer = next((one for one in authorities if one == top or _signed(top, one)), None)
    if signer is None:
        raise InputError(
            f"the certificate was not signed by the authority in {AUTHORITY}",
            where,
            f"all three parties use the {AUTHORITY} of the job's one authority"
            if pins is None
            else f"put the certificate of the authority that signed it into {AUTHORITY}, too",
        )
    _check_period(signer, now, str(directory / AUTHORITY))
    if not _may_sign(signer):
        raise InputError(
            "the authority's certificate is not that of an authority",
            str(directory / AUTHORITY),
            "it needs the basic constraint CA and the key usage keyCertSign",
        )
    if pins is not None:
        found = key_digest(chain[0]), certificate_digest(signer)
        if broken := pins.of(party).broken_by(*found):
            raise InputError(
                f"{party} is another by the job: {broken}",
                where,
                "take the keys that were pinned, or agree on a job that pins these",
            )
    return signer


def identities_in(certificate: x509.Certificate) -> list[str]:
    """The URIs among the subject's alternative names."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))


def read_secret(file: Path, called: str) -> bytes:
    """A file that its owner alone may read; ``called`` is what it is: "the label key".

    Raises InputError for one that cannot be read, or that others can get at.
    """
    try:
        return _read(file, private=True)
    except OSError as error:
        raise unreadable(error, called, file) from None


def read_certificates(file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file, at least one; InputError if there is none, or more than
    certificates."""
    try:
        return certificates_in(_read(file), file)
    except OSError as error:
        raise unreadable(error, "the file", file) from None


def certificates_in(text: bytes, file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM text, at least one; ``file`` names it in errors.

    Raises InputError if there is none, or any other block: OpenSSL takes an authority from a
    ``TRUSTED CERTIFICATE`` too, which nobody has checked.
    """
    from cryptography import x509

    blocks = _check_blocks(text, file, _CERTIFICATE_BLOCKS, "certificates")
    try:
        found = x509.load_pem_x509_certificates(text)
    except Exception:  # what the parser raises differs from version to version
        found = []
    if not found or len(found) != blocks:
        raise InputError("the file holds no certificate in PEM", str(file), _MAKE)
    return found


_CERTIFICATE_BLOCKS = (b"CERTIFICATE",)
_KEY_BLOCKS = (b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY", b"ENCRYPTED PRIVATE KEY")


def _check_blocks(text: bytes, file: Path, allowed: tuple[bytes, ...], what: str) -> int:
    """How many PEM blocks there are, all of the kinds that are allowed; InputError else."""
    beginnings = [line.rstrip() for line in re.findall(rb"-----BEGIN[^\r\n]*", text)]
    for line in beginnings:
        if line not in [b"-----BEGIN " + one + b"-----" for one in allowed]:
            name = line.removeprefix(b"-----BEGIN").strip(b" -").decode("ascii", "replace")
            raise InputError(
                f"the file holds a block {printable(name, 40)!r}, and may hold {what} alone",
                str(file),
                "take that block out of the file",
            )
    return len(beginnings)


def _pem(certificates: list[x509.Certificate]) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _digest(files: Mapping[str, bytes]) -> str:
    parts = [hashlib.sha256(files[name]).digest() for name in (AUTHORITY, CERTIFICATE, KEY)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read_checkpoint_key(directory: Path) -> bytes | None:
    """The key of a party's checkpoints; None where its key directory has none.

    Raises InputError for a file that is not 32 bytes, or not its owner's alone.
    """
    file = directory / CHECKPOINT_KEY
    make = "make one: head -c 32 /dev/urandom > checkpoint.key; chmod 600 checkpoint.key"
    try:
        key = _read(file, private=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(error, "the key of checkpoints", file) from None
    if len(key) != _CHECKPOINT_KEY_BYTES:
        what = f"the key of checkpoints has {len(key)} bytes, and must have 32"
        raise InputError(what, str(file), make)
    return key


def _read_directory(directory: Path, party: Party) -> dict[str, bytes]:
    """The files of a key directory, each opened once."""
    found = {}
    for name in (AUTHORITY, CERTIFICATE, KEY):
        try:
            found[name] = _read(directory / name, private=name == KEY)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise InputError(
                f"{party}'s key directory has no {name}", str(directory), _MAKE
            ) from None
        except OSError as error:
            raise InputError(
                f"cannot read the file: {error.strerror}",
                str(directory / name),
                "let the user who runs this read it, and nobody else",
            ) from None
    return found


def _read(file: Path, private: bool = False) -> bytes:
    """A file's content, and, where it is private, that of nobody else's file. Raises OSError."""
    # Whatever stands under that name, opening it may not block.
    number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(number, "rb") as stream:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if private:
            _check_private(file, status)
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InputError(f"the file is larger than {_LARGEST} bytes", str(file), _MAKE)
    return content


def _check_private(file: Path, status: os.stat_result) -> None:
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
