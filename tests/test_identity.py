"""A party's own keys are checked before it does anything, each error with file and remedy."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from deployer.certs import authority as certs
from party.agreement.job import PARTIES
from party.agreement.pins import Identities, Pin
from party.identity import certificate_digest, certificates_in, identity, load_keys, party_of
from party.process.errors import InputError
from tests.harness.keys import write_keys

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
OWN = [identity("fraud", "bob")]
SERVER_ONLY = [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.fixture(scope="module")
def authority() -> certs.Authority:
    return certs.make_authority("fraud", days=10)


@pytest.fixture
def keys(tmp_path: Path, authority: certs.Authority) -> Path:
    certs.write_files(tmp_path / "bob", certs.make_party(authority, "bob"))
    return tmp_path / "bob"


def refusal(keys: Path, now: datetime | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        load_keys(keys, "fraud", "bob", now)
    assert caught.value.hint, "every refusal says what to do"
    return caught.value


@pytest.mark.parametrize("name", ["ca.crt", "tls.crt", "tls.key"])
def test_a_missing_file_is_named(keys: Path, name: str) -> None:
    (keys / name).unlink()
    error = refusal(keys)
    assert error.what == f"bob's key directory has no {name}"
    assert error.where == str(keys)


@pytest.mark.parametrize("name", ["ca.crt", "tls.crt", "tls.key"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", bytes(70_000)])
def test_a_damaged_file_is_named(keys: Path, name: str, content: bytes) -> None:
    (keys / name).write_bytes(content)
    assert refusal(keys).where == str(keys / name)


@given(st.binary(max_size=300), st.integers(0, 200))
def test_a_damaged_certificate_is_refused_and_nothing_falls(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    keys = tmp_path_factory.getbasetemp() / "damaged"
    if not keys.exists():
        certs.write_files(keys, certs.make_party(certs.make_authority("fraud"), "bob"))
        (keys / "whole").write_bytes((keys / "tls.crt").read_bytes())
    whole = (keys / "whole").read_bytes()
    damaged = whole[:at] + junk + whole[at + len(junk) :]
    (keys / "tls.crt").write_bytes(damaged)
    with contextlib.suppress(InputError):
        assert load_keys(keys, "fraud", "bob").identity == OWN[0]
        assert x509.load_pem_x509_certificate(damaged) == x509.load_pem_x509_certificate(whole)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o777])
def test_a_key_that_others_can_get_at_is_refused(keys: Path, mode: int) -> None:
    if os.geteuid() == 0:
        os.chown(keys / "tls.key", 12345, 12345)
    (keys / "tls.key").chmod(mode)
    error = refusal(keys)
    assert f"mode {mode:04o}" in error.what
    assert error.hint == f"chmod 600 {keys / 'tls.key'}"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_file_is_accepted(keys: Path, mode: int) -> None:
    (keys / "tls.key").chmod(mode)
    assert load_keys(keys, "fraud", "bob").identity == OWN[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that belong to root")
def test_a_secret_of_a_pod_belongs_to_root_and_is_read_by_its_group(keys: Path) -> None:
    (keys / "tls.key").chmod(0o440)
    load_keys(keys, "fraud", "bob")
    for mode in (0o444, 0o460):
        (keys / "tls.key").chmod(mode)
        refusal(keys)


def test_a_key_of_another_certificate_is_refused(keys: Path, authority: certs.Authority) -> None:
    (keys / "tls.key").write_bytes(certs.make_party(authority, "bob")["tls.key"])
    assert "is not that of the certificate" in refusal(keys).what


def test_a_key_with_a_passphrase_is_refused(keys: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (keys / "tls.key").write_bytes(locked)
    assert "locked with a passphrase" in refusal(keys).what


@pytest.mark.parametrize(
    ("uris", "got"),
    [
        ([identity("fraud", "alice")], "spiffe://fraud/alice"),
        ([identity("other", "bob")], "spiffe://other/bob"),
        ([*OWN, identity("fraud", "alice")], "spiffe://fraud/bob and spiffe://fraud/alice"),
        ([], "nobody"),
    ],
)
def test_a_certificate_for_another_is_refused(
    tmp_path: Path, authority: certs.Authority, uris: list[str], got: str
) -> None:
    keys = write_keys(tmp_path / "odd", authority, uris)
    assert refusal(keys).what == f"the certificate is for {got}, not for {OWN[0]}"


def test_an_expired_certificate_is_refused_with_its_date(
    tmp_path: Path, authority: certs.Authority
) -> None:
    keys = write_keys(tmp_path / "old", authority, OWN, NOW - 2 * DAY, NOW - DAY)
    error = refusal(keys)
    assert error.what == f"the certificate expired on {NOW - DAY:%Y-%m-%d %H:%M} UTC"
    assert "deployer certs renew" in (error.hint or "")


def test_a_certificate_of_tomorrow_is_refused_with_todays_clock(
    tmp_path: Path, authority: certs.Authority
) -> None:
    keys = write_keys(tmp_path / "new", authority, OWN, NOW + DAY, NOW + 2 * DAY)
    error = refusal(keys)
    assert error.what == f"the certificate is not valid before {NOW + DAY:%Y-%m-%d %H:%M} UTC"
    assert "clock" in (error.hint or "")


def test_an_expired_authority_is_refused(keys: Path) -> None:
    error = refusal(keys, NOW + 11 * DAY)
    assert "expired" in error.what


def test_a_certificate_of_another_authority_is_refused(keys: Path) -> None:
    (keys / "ca.crt").write_bytes(certs.pem(certs.make_authority("fraud").certificate))
    assert "was not signed by the authority in ca.crt" in refusal(keys).what


def test_a_second_authority_could_speak_for_every_party_and_is_refused(
    keys: Path, authority: certs.Authority
) -> None:
    other = certs.pem(certs.make_authority("fraud").certificate)
    (keys / "ca.crt").write_bytes(certs.pem(authority.certificate) + other)
    error = refusal(keys)
    assert error.what == "there are 2 certificates, and a job has one authority"
    assert error.where == str(keys / "ca.crt")


def pinned(**pins: Pin) -> Identities:
    others = {party: Pin(key=f"sha256:{n:064x}") for n, party in enumerate(PARTIES)}
    return Identities(**(others | pins))


def test_with_pins_there_may_be_several_authorities_and_ones_own_must_be_the_pinned_one(
    keys: Path, authority: certs.Authority
) -> None:
    other = certs.make_authority("fraud").certificate
    (keys / "ca.crt").write_bytes(certs.pem(other) + certs.pem(authority.certificate))
    right = certificate_digest(authority.certificate)
    found = load_keys(keys, "fraud", "bob", pins=pinned(bob=Pin(authority=right)))
    assert found.authority_digest == right
    assert len(certificates_in(found.authority, keys)) == 2

    wrong = certificate_digest(other)
    with pytest.raises(InputError) as caught:
        load_keys(keys, "fraud", "bob", pins=pinned(bob=Pin(authority=wrong)))
    assert f"its authority is {right}, and the job pins {wrong}" in caught.value.what


def test_ones_own_key_must_be_the_pinned_one(keys: Path) -> None:
    right = load_keys(keys, "fraud", "bob").key_digest
    load_keys(keys, "fraud", "bob", pins=pinned(bob=Pin(key=right)))
    with pytest.raises(InputError) as caught:
        load_keys(keys, "fraud", "bob", pins=pinned(alice=Pin(key=right)))
    assert f"its key is {right}, and the job pins sha256:000" in caught.value.what


def block(label: str, der: bytes) -> bytes:
    """A PEM block of any name."""
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", ["ca.crt", "tls.crt", "tls.key"])
@pytest.mark.parametrize(
    "label",
    ["TRUSTED CERTIFICATE", "X509 CERTIFICATE", "X509 CRL", "EC PARAMETERS", "certificate", "\x07"],
)
def test_what_openssl_could_take_unchecked_is_refused(
    keys: Path, name: str, label: str, first: bool
) -> None:
    rogue = certs.make_authority("fraud").certificate
    hidden = block(label, rogue.public_bytes(serialization.Encoding.DER))
    own = (keys / name).read_bytes()
    (keys / name).write_bytes(hidden + own if first else own + hidden)
    error = refusal(keys)
    assert error.where == str(keys / name)
    assert error.what.startswith("the file holds a block") and error.what.isprintable()


def test_a_second_key_is_refused(keys: Path) -> None:
    other = certs.pem(ec.generate_private_key(ec.SECP256R1()))
    (keys / "tls.key").write_bytes((keys / "tls.key").read_bytes() + other)
    assert refusal(keys).what == "the file holds 2 keys, and a party has one"


def test_what_is_used_is_made_of_what_was_checked(keys: Path) -> None:
    """Words around the blocks, as openssl writes them, are left out; and so is all that hides."""
    plain = {name: (keys / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key")}
    for name, text in plain.items():
        (keys / name).write_bytes(b"Certificate:\n    Data:\n" + text + b"\nthe end")
    assert load_keys(keys, "fraud", "bob").files() == plain


@pytest.mark.parametrize("name", ["ca.crt", "tls.crt", "tls.key"])
def test_each_file_is_read_once(
    keys: Path, name: str, monkeypatch: pytest.MonkeyPatch, authority: certs.Authority
) -> None:
    """Whatever is put in its place meanwhile, all checks see the same bytes."""
    rogue = certs.make_party(certs.make_authority("fraud"), "bob")
    before = (keys / name).read_bytes()
    opened: list[Path] = []
    real = os.open

    def open_and_replace(path: Path, *rest: int) -> int:
        number = real(path, *rest)
        if Path(path).name == name:
            opened.append(path)
            (keys / "new").write_bytes(rogue[name])
            (keys / "new").chmod(0o666)
            (keys / "new").replace(keys / name)
        return number

    monkeypatch.setattr(os, "open", open_and_replace)
    assert load_keys(keys, "fraud", "bob").files()[name] == before
    assert opened == [keys / name]


def test_no_key_is_shown_where_keys_are(keys: Path) -> None:
    assert "PRIVATE" not in repr(load_keys(keys, "fraud", "bob"))


def test_what_is_no_file_is_refused_and_does_not_block(keys: Path) -> None:
    (keys / "tls.crt").unlink()
    os.mkfifo(keys / "tls.crt")
    assert refusal(keys).what == "bob's key directory has no tls.crt"


def test_what_a_certificate_says_is_shown_without_what_moves_a_cursor(
    tmp_path: Path, authority: certs.Authority
) -> None:
    keys = write_keys(tmp_path / "odd", authority, ["spiffe://fraud/\x1b[2J\x07"])
    assert refusal(keys).what.isprintable()


def test_a_certificate_for_one_end_only_is_refused(
    tmp_path: Path, authority: certs.Authority
) -> None:
    keys = write_keys(tmp_path / "one", authority, OWN, usages=SERVER_ONLY)
    assert "both ends" in refusal(keys).what


def test_a_certificate_that_vouches_for_itself_is_refused(
    tmp_path: Path, authority: certs.Authority
) -> None:
    keys = write_keys(tmp_path / "self", authority, OWN)
    shutil.copy(keys / "tls.crt", keys / "ca.crt")
    assert "is not that of an authority" in refusal(keys).what


@given(st.text(max_size=60))
def test_only_the_three_identities_of_a_job_are_parties(name: str) -> None:
    expected = {identity("fraud", party): party for party in PARTIES}
    assert party_of(name, "fraud") == expected.get(name)
    assert party_of(f"spiffe://fraud/{name}", "fraud") == (name if name in PARTIES else None)
