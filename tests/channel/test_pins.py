"""Pins: a certificate is good for the key, and the authority, that the job names for its party."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from party.agreement.job import PARTIES, Job
from party.agreement.pins import Identities, Pin
from party.identity import certificate_digest, key_digest, read_certificates
from party.process.errors import JobError
from tests.channel.test_authorities import FILES
from tests.harness.joins import JOB, Joins
from tests.harness.links import tls

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Keys of three parties, each signed by an authority of its own; each trusts all three."""
    folder = tmp_path / "own"
    folder.mkdir()
    signers = {party: certs.make_authority(JOB.name) for party in PARTIES}
    roots = b"".join(certs.pem(one.certificate) for one in signers.values())
    for party, signer in signers.items():
        certs.write_files(folder / party, certs.make_party(signer, party) | {"ca.crt": roots})
        certs.write_files(folder / f"authority-{party}", certs.authority_files(signer))
    return folder


@pytest.fixture
def joins(own: Path) -> Iterator[Joins]:
    made = Joins(own)
    yield made
    made.close()


def digests(keys: Path, party: str) -> tuple[str, str]:
    """Of a party's key, and of the authority in the directory beside it."""
    (signer,) = read_certificates(keys / f"authority-{party}" / "ca.crt")
    return key_digest(read_certificates(keys / party / "tls.crt")[0]), certificate_digest(signer)


def job(keys: Path, by: str) -> Job:
    """The job with every party pinned by its key, its authority or both."""
    pins = {}
    for party in PARTIES:
        key, authority = digests(keys, party)
        pins[party] = Pin(
            key=key if by != "authority" else None, authority=authority if by != "key" else None
        )
    return JOB.model_copy(update={"identities": Identities(**pins)})


@pytest.mark.parametrize("by", ["key", "authority", "both"])
def test_parties_of_three_authorities_join_and_know_each_others_keys(
    joins: Joins, own: Path, by: str
) -> None:
    for party in PARTIES:
        joins.start(party, job=job(own, by))
    joins.everybody_joins()
    for one in joins.started:
        others = [party for party in PARTIES if party != one.party]
        assert one.outcome().peers == {party: digests(own, party) for party in others}
        assert one.outcome().keys.key_digest == digests(own, one.party)[0]


def test_the_holder_of_one_authority_cannot_be_the_party_of_another(
    joins: Joins, own: Path, tmp_path: Path
) -> None:
    """Bob trusts all three roots; the third server's authority signs a certificate for Alice."""
    rogue = certs.make_party(certs.read_authority(own / "authority-server"), "alice")
    roots = (own / "alice/ca.crt").read_bytes()
    right = {name: (own / "alice" / name).read_bytes() for name in FILES}
    pinned = job(own, "authority")
    for name, content in (rogue | {"ca.crt": roots}).items():
        (own / "alice" / name).write_bytes(content)
    # She overlooks that her own keys are not the pinned ones.
    impostor = joins.start("alice", job=pinned.model_copy(update={"identities": loose(own)}))
    theirs, pin = digests(own, "server")[1], digests(own, "alice")[1]
    found = f"its authority is {theirs}, and the job pins {pin}"
    for wait_s in (3.0, 30.0):  # a busy machine may need more
        with pytest.raises(JobError) as caught:
            joins.start("bob", job=pinned, wait_s=wait_s).outcome()
        if found in (caught.value.where or ""):
            break
    assert found in (caught.value.where or "")
    assert "compare keys" in (caught.value.hint or "")
    assert "bob" in impostor.told() or impostor.joined is None
    for name, content in right.items():
        (own / "alice" / name).write_bytes(content)


def loose(keys: Path) -> Identities:
    """Pins by which the key that lies in Alice's directory is hers, whoever signed it."""
    pins = {party: Pin(authority=digests(keys, party)[1]) for party in PARTIES}
    return Identities(**(pins | {"alice": Pin(key=digests(keys, "alice")[0])}))


def test_nothing_is_said_to_who_shows_another_key(joins: Joins, own: Path, tmp_path: Path) -> None:
    """Not even a hello: the connection ends after the handshake. The right one is let in."""
    pinned = job(own, "key")
    alice = joins.start("alice", job=pinned, wait_s=60)
    rogue = tmp_path / "rogue"
    roots = (own / "alice/ca.crt").read_bytes()
    signer = certs.read_authority(own / "authority-bob")
    certs.write_files(rogue, certs.make_party(signer, "bob") | {"ca.crt": roots})
    with joins.dial() as one, tls(rogue, own / "alice/ca.crt").wrap_socket(one) as link:
        assert link.recv(1000) == b""
    found = key_digest(read_certificates(rogue / "tls.crt")[0])
    alice.says(f"its key is {found}, and the job pins {digests(own, 'bob')[0]} (127.0.0.1:")
    for party in ("bob", "server"):
        joins.start(party, job=pinned, wait_s=60)
    joins.everybody_joins()
