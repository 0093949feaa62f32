"""Keys of parties: those that ``deployer certs`` makes, and such as it never would."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from deployer.certs import authority as certs
from party.agreement.job import PARTIES
from party.native import Context
from party.native.channel import REKEY_RECORDS


def contexts(directory: Path, job_name: str = "exchange") -> list[Context]:
    """A TLS context for each party, with keys made for it."""
    authority = certs.make_authority(job_name)
    made = []
    for party in PARTIES:
        folder = directory / party
        folder.mkdir(mode=0o700)
        certs.write_files(folder, certs.make_party(authority, party))
        made.append(context(folder))
    return made


def context(folder: Path, rekey_records: int = REKEY_RECORDS, fips: bool = False) -> Context:
    """A TLS context of the keys in a directory, whatever they are."""
    files = [(folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key")]
    return Context(files[0], files[1], files[2], rekey_records, fips)


def write_keys(
    directory: Path,
    authority: certs.Authority,
    uris: Sequence[str],
    begins: datetime | None = None,
    ends: datetime | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (
        x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,
        x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
    ),
) -> Path:
    """A key directory with a certificate such as no ``deployer certs`` makes."""
    key = ec.generate_private_key(ec.SECP256R1())
    above = authority.certificate
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "somebody")])
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names = names or [x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(above.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or above.not_valid_before_utc)
        .not_valid_after(ends or above.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    certs.write_files(
        directory,
        {
            "ca.crt": certs.pem(above),
            "tls.crt": certs.pem(certificate),
            "tls.key": certs.pem(key),
        },
    )
    return directory
