"""Certificates: who may vouch for whom, for how long, and nothing is ever overwritten."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.main import get_command
from typer.testing import CliRunner

from deployer.certs import authority as certs
from deployer.commands.certs import app
from party.agreement.job import PARTIES
from party.identity import identities_in, load_keys, read_certificates
from party.process.errors import InputError
from tests.harness.keys import write_keys

JOB = "name: fraud\nrows: 8\nfeatures: [a]\nlabel: y\n" + (
    "training: {epochs: 1, batch_size: 4, learning_rate: 0.1}\n"
)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


def run(*words: object) -> str:
    """Run ``deployer certs``; its errors are raised, its output returned."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_one_command_makes_keys_that_every_party_accepts(tmp_path: Path, job: Path) -> None:
    keys = tmp_path / "keys"
    run("new", "--job", job, "--output", keys)
    for party in PARTIES:
        found = load_keys(keys / party, "fraud", party)
        assert found.identity == f"spiffe://fraud/{party}"
        left = found.expires - datetime.now(UTC)
        assert timedelta(days=29) < left <= timedelta(days=30)
        assert sorted(tree(keys / party)) == ["ca.crt", "checkpoint.key", "tls.crt", "tls.key"]
    assert sorted(tree(keys / "authority")) == ["ca.crt", "ca.key"]


def test_keys_are_for_their_owner_alone(tmp_path: Path, job: Path) -> None:
    os.umask(0)
    run("new", "--job", job, "--output", tmp_path / "keys")
    os.umask(0o022)
    for path in [tmp_path / "keys", *(tmp_path / "keys").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == 0o700 if path.is_dir() else mode in (0o600, 0o644)
        assert mode == 0o600 or path.suffix != ".key"


def test_the_authority_can_vouch_for_nothing_but_parties_of_its_job() -> None:
    authority = certs.make_authority("fraud")
    extensions = authority.certificate.extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and basic.value.ca and basic.value.path_length == 0
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.key_cert_sign and not usage.value.digital_signature
    names = extensions.get_extension_for_class(x509.NameConstraints)
    assert names.critical
    assert names.value.permitted_subtrees == [x509.UniformResourceIdentifier("fraud")]


def test_a_partys_certificate_says_who_and_what_for() -> None:
    authority = certs.make_authority("fraud")
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = certs.issue(authority, "bob", key.public_key())
    assert identities_in(leaf) == ["spiffe://fraud/bob"]
    extensions = leaf.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert [usage._name for usage in usages] == ["serverAuth", "clientAuth"]
    alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(alternative)) == 1, "no address: those are the hosts map's"
    leaf.verify_directly_issued_by(authority.certificate)


def test_serial_numbers_do_not_repeat() -> None:
    authority = certs.make_authority("fraud")
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    serials = {certs.issue(authority, "bob", key).serial_number for _ in range(50)}
    assert len(serials) == 50 and min(serials) > 2**64


def test_a_certificate_ends_with_its_authority() -> None:
    authority = certs.make_authority("fraud", days=2)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = certs.issue(authority, "bob", key, days=30)
    assert leaf.not_valid_after_utc == authority.certificate.not_valid_after_utc


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_openssl_accepts_them_strictly(tmp_path: Path, job: Path, purpose: str) -> None:
    run("new", "--job", job, "--output", tmp_path / "keys")
    ca = tmp_path / "keys/authority/ca.crt"
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(ca)]
    for party in PARTIES:
        subprocess.run([*command, tmp_path / "keys" / party / "tls.crt"], check=True)
    # Signed by the authority all right, but for another job: its name constraint forbids that.
    authority = certs.read_authority(tmp_path / "keys/authority")
    for uri, accepted in [("spiffe://fraud/bob", True), ("spiffe://other/bob", False)]:
        odd = write_keys(tmp_path / uri[9:14], authority, [uri])
        lax = [word for word in command if word != "-x509_strict"]
        done = subprocess.run([*lax, odd / "tls.crt"], check=False, capture_output=True, text=True)
        assert (done.returncode == 0) == accepted
        assert accepted or "permitted subtree violation" in done.stderr


def test_a_partys_key_never_leaves_it(tmp_path: Path, job: Path) -> None:
    run("authority", "--job", job, "--output", tmp_path / "authority")
    run("request", "bob", "--job", job, "--output", tmp_path / "bob")
    assert sorted(tree(tmp_path / "bob")) == ["checkpoint.key", "tls.csr", "tls.key"]
    said = run(
        *("sign", "bob", tmp_path / "bob/tls.csr"),
        *("--authority", tmp_path / "authority", "--output", tmp_path / "answer"),
    )
    assert "send both files to bob" in said
    assert sorted(tree(tmp_path / "answer")) == ["ca.crt", "tls.crt"]
    run("show", tmp_path / "answer")
    for name in ("ca.crt", "tls.crt"):
        shutil.copy(tmp_path / "answer" / name, tmp_path / "bob" / name)
    load_keys(tmp_path / "bob", "fraud", "bob")


def sign(tmp_path: Path, request: Path) -> str:
    return run(
        *("sign", "bob", request),
        *("--authority", tmp_path / "authority", "--output", tmp_path / "answer"),
    )


def test_a_request_that_claims_another_name_is_not_signed(tmp_path: Path, job: Path) -> None:
    run("authority", "--job", job, "--output", tmp_path / "authority")
    run("request", "alice", "--job", job, "--output", tmp_path / "alice")
    other = tmp_path / "other.yaml"
    other.write_text(JOB.replace("fraud", "other", 1))
    run("request", "bob", "--job", other, "--output", tmp_path / "other")
    for name, who in [("alice", "spiffe://fraud/alice"), ("other", "spiffe://other/bob")]:
        with pytest.raises(InputError) as caught:
            sign(tmp_path, tmp_path / name / "tls.csr")
        assert caught.value.what == f"the request is for {who}, not for spiffe://fraud/bob"
        assert not (tmp_path / "answer").exists()


def request_with(key: Any, *names: x509.GeneralName) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "bob")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


BOB = x509.UniformResourceIdentifier("spiffe://fraud/bob")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no certificate request in PEM"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "no certificate request in PEM"),
        (request_with(ec.generate_private_key(ec.SECP384R1()), BOB), "not an ECDSA P-256 key"),
        (request_with(ec.generate_private_key(ec.SECP256R1())), "is for nobody"),
        (
            request_with(
                ec.generate_private_key(ec.SECP256R1()), BOB, x509.DNSName("bank.example")
            ),
            "is for spiffe://fraud/bob and bank.example",
        ),
    ],
)
def test_an_odd_request_is_not_signed(
    tmp_path: Path, job: Path, content: bytes, words: str
) -> None:
    run("authority", "--job", job, "--output", tmp_path / "authority")
    (tmp_path / "odd.csr").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        sign(tmp_path, tmp_path / "odd.csr")
    assert caught.value.where == str(tmp_path / "odd.csr")


def test_a_tampered_request_is_not_signed(tmp_path: Path, job: Path) -> None:
    run("authority", "--job", job, "--output", tmp_path / "authority")
    key = ec.generate_private_key(ec.SECP256R1())
    der = x509.load_pem_x509_csr(request_with(key, BOB)).public_bytes(serialization.Encoding.DER)
    odd = x509.load_der_x509_csr(der.replace(b"fraud/bob", b"fraud/bob"[::-1]))
    (tmp_path / "odd.csr").write_bytes(odd.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(InputError, match="not signed by its own key"):
        sign(tmp_path, tmp_path / "odd.csr")


def test_renewal_makes_a_new_key_and_leaves_the_old_one(tmp_path: Path, job: Path) -> None:
    keys = tmp_path / "keys"
    run("new", "--job", job, "--output", keys)
    before = tree(keys)
    run("renew", keys / "bob", "--output", keys / "bob-2")
    sign(keys, keys / "bob-2/tls.csr")
    shutil.copytree(keys / "answer", keys / "bob-2", dirs_exist_ok=True)
    shutil.rmtree(keys / "answer")
    assert {name: text for name, text in tree(keys).items() if "bob-2" not in name} == before
    load_keys(keys / "bob-2", "fraud", "bob")
    assert (keys / "bob-2/tls.key").read_bytes() != (keys / "bob/tls.key").read_bytes()


def test_a_renewed_key_never_leaves_the_party(tmp_path: Path, job: Path) -> None:
    """The party has its old directory alone, the authority's holder the authority and a request."""
    run("new", "--job", job, "--output", tmp_path / "keys")
    party, holder = tmp_path / "party", tmp_path / "holder"
    shutil.copytree(tmp_path / "keys/bob", party / "old")
    shutil.copytree(tmp_path / "keys/authority", holder / "authority")
    shutil.rmtree(tmp_path / "keys")
    run("renew", party / "old", "--output", party / "new")
    assert sorted(tree(party / "new")) == ["checkpoint.key", "tls.csr", "tls.key"]
    shutil.copy(party / "new/tls.csr", holder / "bob.csr")
    sign(holder, holder / "bob.csr")
    keys_there = [name for name, text in tree(holder).items() if b"PRIVATE KEY" in text]
    assert keys_there == ["authority/ca.key"]
    shutil.copytree(holder / "answer", party / "new", dirs_exist_ok=True)
    renewed = load_keys(party / "new", "fraud", "bob")
    assert renewed.key == (party / "new/tls.key").read_bytes()


@pytest.mark.parametrize(
    "uris", [[], ["spiffe://fraud/eve"], ["https://fraud/bob"], ["spiffe://fraud/bob/x"]]
)
def test_what_names_no_party_cannot_be_renewed(tmp_path: Path, uris: list[str]) -> None:
    odd = write_keys(tmp_path / "odd", certs.make_authority("fraud"), uris)
    with pytest.raises(InputError, match="the certificate names no party"):
        run("renew", odd, "--output", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["new", "--job", "job.yaml"],
        ["authority", "--job", "job.yaml"],
        ["request", "bob", "--job", "job.yaml"],
        ["sign", "bob", "keys/bob/tls.csr", "--authority", "keys/authority"],
        ["renew", "keys/bob"],
    ],
)
def test_nothing_that_exists_is_overwritten(
    tmp_path: Path, job: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("new", "--job", job, "--output", "keys")
    run("request", "bob", "--job", job, "--output", "r")
    shutil.copy("r/tls.csr", "keys/bob/tls.csr")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="keys are never overwritten"):
        run(*words, "--output", "keys")
    assert tree(tmp_path) == before


def test_a_directory_that_cannot_be_made_is_said_and_leaves_nothing(
    tmp_path: Path, job: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Not a directory|File exists"):
        run("new", "--job", job, "--output", tmp_path / "file" / "keys")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "job.yaml"]


def test_show_says_whose_and_how_long(tmp_path: Path, job: Path) -> None:
    run("new", "--job", job, "--output", tmp_path / "keys")
    (found,) = json.loads(run("show", tmp_path / "keys/bob", "--json"))
    leaf = read_certificates(tmp_path / "keys/bob/tls.crt")[0]
    assert found["identity"] == "spiffe://fraud/bob"
    authority = read_certificates(tmp_path / "keys/bob/ca.crt")[0]
    assert found["key"] == f"sha256:{spki_sha256(leaf)}"
    assert found["authority"] == f"sha256:{authority.fingerprint(hashes.SHA256()).hex()}"
    assert found["expires"] == f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M}"


def spki_sha256(of: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """As anybody may work it out: openssl pkey -pubin -outform DER | sha256sum."""
    encoding = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(of.public_key().public_bytes(*encoding)).hexdigest()


def test_both_ends_of_a_request_are_told_the_same_groups(tmp_path: Path, job: Path) -> None:
    run("authority", "--job", job, "--output", tmp_path / "authority")
    asked = run("request", "bob", "--job", job, "--output", tmp_path / "bob")
    csr = tmp_path / "bob/tls.csr"
    digest = spki_sha256(x509.load_pem_x509_csr(csr.read_bytes()))
    words = ["sign", "bob", csr, "--authority", tmp_path / "authority"]
    signed = run(*words, "--output", tmp_path / "signed")
    shown = run("show", tmp_path / "signed")
    for said in (asked, signed, shown):
        assert f"key: sha256:{digest}" in said
        groups = [
            line for line in said.splitlines() if re.fullmatch("    ([0-9a-f]{4} ?){8}", line)
        ]
        assert "".join(groups[:2]).replace(" ", "") == digest


def test_show_checks_the_pins_of_a_job(tmp_path: Path, job: Path) -> None:
    run("new", "--job", job, "--output", tmp_path / "keys")
    run("show", tmp_path / "keys/bob", "--job", job)
    pins = {
        party: {"key": f"sha256:{digit * 64}"} for party, digit in zip(PARTIES, "102", strict=True)
    }
    job.write_text(JOB + f"identities: {json.dumps(pins)}\n")
    with pytest.raises(
        InputError, match=f"key is sha256:[0-9a-f]+, and the job pins sha256:{'0' * 64}"
    ):
        run("show", tmp_path / "keys/bob", "--job", job)


@pytest.mark.parametrize("by", ["key", "authority", "both"])
def test_what_pins_prints_is_a_jobs(tmp_path: Path, job: Path, by: str) -> None:
    for party in PARTIES:
        run("new", "--job", job, "--output", tmp_path / party)
    folders = [tmp_path / party / party for party in PARTIES]
    printed = run("pins", *folders, "--by", by)
    job.write_text(JOB + printed)
    run("show", *folders, "--job", job)
    assert ("key:" in printed, "authority:" in printed) == (by != "authority", by != "key")


def test_every_subcommand_has_an_example_in_its_help() -> None:
    for command in get_command(app).commands.values():  # type: ignore[attr-defined]
        assert "Example: deployer certs" in command.help


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: (d / "ca.key").unlink(), "cannot read the authority's key: No such file"),
        (lambda d: (d / "ca.key").write_text("x"), "not a private key in PEM"),
        (lambda d: (d / "ca.crt").write_text("x"), "no certificate in PEM"),
        (
            lambda d: (d / "ca.key").write_bytes(certs.pem(certs.make_authority("fraud").key)),
            "key is not that of ca.crt",
        ),
    ],
)
def test_a_broken_authority_is_refused(tmp_path: Path, job: Path, spoil: Any, words: str) -> None:
    run("authority", "--job", job, "--output", tmp_path / "authority")
    spoil(tmp_path / "authority")
    with pytest.raises(InputError, match=words):
        certs.read_authority(tmp_path / "authority")


def test_a_partys_key_is_no_authority(tmp_path: Path, job: Path) -> None:
    run("new", "--job", job, "--output", tmp_path / "keys")
    bob = tmp_path / "keys/bob"
    shutil.copy(bob / "tls.crt", bob / "ca.crt")
    shutil.copy(bob / "tls.key", bob / "ca.key")
    with pytest.raises(InputError, match="not that of a job's authority"):
        certs.read_authority(bob)
