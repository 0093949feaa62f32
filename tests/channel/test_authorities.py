"""Parties of two authorities say whose is another's, and go on once the keys are put right."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from party.agreement.job import PARTIES
from party.identity import identity, load_keys
from party.process.errors import JobError
from tests.channel.test_strangers import is_refused
from tests.harness.joins import JOB, Joins
from tests.harness.keys import write_keys
from tests.harness.links import tls

pytestmark = pytest.mark.slow

FILES = ("ca.crt", "tls.crt", "tls.key")


@pytest.fixture
def joins(keys: Path, tmp_path: Path) -> Iterator[Joins]:
    """Parties whose key directories are this test's own."""
    shutil.copytree(keys, tmp_path / "keys")
    made = Joins(tmp_path / "keys")
    yield made
    made.close()


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Keys of all three parties under another authority for the same job."""
    certs.make_all(JOB.name, tmp_path / "others", days=1, authority_days=1)
    return tmp_path / "others"


def put(source: Path, target: Path) -> None:
    """Replace the files of a key directory, each at once, as an operator would."""
    for name in FILES:
        shutil.copy2(source / name, target / "coming")
        (target / "coming").replace(target / name)


def test_a_party_of_another_authority_is_named_and_taken_up_once_its_keys_are_right(
    joins: Joins, keys: Path, others: Path
) -> None:
    put(others / "bob", joins.keys / "bob")
    alice, bob, server = (joins.start(party, wait_s=60) for party in PARTIES)
    bob.says("alice's certificate is of another authority")
    server.says("waiting for bob (")
    server.says("; bob's certificate is of another authority")
    # Bob, who dials, refuses Alice before he has shown a certificate: she cannot know who it is.
    alice.says("; the peer says that our certificate is of another authority (127.0.0.1:")
    put(keys / "bob", joins.keys / "bob")
    bob.says("the keys were replaced, and the new ones are in use")
    joins.everybody_joins()


def test_keys_that_were_renewed_since_the_last_join_are_shown_in_the_next(
    joins: Joins, tmp_path: Path
) -> None:
    authority = certs.make_authority(JOB.name)
    for party in PARTIES:
        (tmp_path / "made" / party).mkdir(mode=0o700, parents=True)
        certs.write_files(tmp_path / "made" / party, certs.make_party(authority, party))
        put(tmp_path / "made" / party, joins.keys / party)
    former = joins.loaded["alice"] = load_keys(joins.keys / "alice", JOB.name, "alice")
    certs.write_files(tmp_path / "renewed", certs.make_party(authority, "alice"))
    put(tmp_path / "renewed", joins.keys / "alice")
    renewed = load_keys(joins.keys / "alice", JOB.name, "alice")
    joins.everybody_joins()
    for one in joins.started[1:]:
        assert one.outcome().peers["alice"][0] == renewed.key_digest != former.key_digest


def test_a_wait_for_a_party_of_another_authority_ends_with_that(joins: Joins, others: Path) -> None:
    put(others / "bob", joins.keys / "bob")
    alice, bob = (str(address) for address in joins.hosts[:2])
    refused = "the peer says that our certificate is of another authority (127.0.0.1:"
    expected = {
        "alice": [f"bob dials {alice}, and did not come: {refused}"],
        "bob": [
            f"alice at {alice}: alice's certificate is of another authority",
            f"server dials {bob}, and did not come: {refused}",
        ],
        "server": [f"bob at {bob}: bob's certificate is of another authority"],
    }
    for wait_s in (2, 8, 32):  # a busy machine may need more than the first
        ends = {party: end_of(joins, party, wait_s) for party in PARTIES}
        errors = {party: end() for party, end in ends.items()}
        if all(
            words in (errors[party].where or "") for party in PARTIES for words in expected[party]
        ):
            break
    for party, error in errors.items():
        assert all(words in (error.where or "") for words in expected[party]), error
        assert "keys of the job's one authority" in (error.hint or "")


def end_of(joins: Joins, party: str, wait_s: float) -> Callable[[], JobError]:
    """Let a party join, and how that fails."""
    joining = joins.start(party, wait_s=wait_s)

    def end() -> JobError:
        with pytest.raises(JobError) as caught:
            joining.outcome()
        return caught.value

    return end


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (identity(JOB.name, "bob"), "; bob's certificate is of another authority (127.0.0.1:"),
        (identity(JOB.name, "alice"), "the peer's certificate is from an unknown authority (1)"),
        (identity("other", "bob"), "the peer's certificate is from an unknown authority (1)"),
        ("x" * 5000, "the peer's certificate is from an unknown authority (1)"),
    ],
    ids=["bob", "oneself", "another job's", "endless"],
)
def test_a_stranger_who_calls_himself_a_party_is_reported_with_his_address_and_no_more(
    joins: Joins, tmp_path: Path, uri: str, words: str
) -> None:
    rogue = write_keys(tmp_path / "rogue", certs.make_authority(JOB.name), [uri])
    alice = joins.start("alice", wait_s=60)
    assert is_refused(joins, tls(rogue, joins.keys / "alice" / "ca.crt"))
    alice.says(words)
    joins.everybody_joins()


def test_new_keys_that_cannot_be_used_are_reported_and_the_present_ones_stay(
    joins: Joins, keys: Path, others: Path
) -> None:
    alice = joins.start("alice", wait_s=60)
    alice.says("waiting for bob, server (")
    shutil.copy(others / "alice" / "tls.key", joins.keys / "alice" / "tls.key")
    alice.says("; the new keys cannot be used: the key is not that of the certificate")
    joins.start("server", wait_s=60)
    alice.says("waiting for bob (")
    put(keys / "alice", joins.keys / "alice")
    joins.everybody_joins()
    assert "were replaced" not in alice.told(), "they are the same as before"


def test_a_renewed_certificate_costs_no_connection(joins: Joins) -> None:
    alice, server = (joins.start(party, wait_s=60) for party in ("alice", "server"))
    alice.says("waiting for bob (")
    own = certs.read_authority(joins.keys / "authority")
    renewed = joins.keys / "renewed"
    certs.write_files(renewed, certs.make_party(own, "alice"))
    put(renewed, joins.keys / "alice")
    alice.says("the keys were replaced")
    joins.everybody_joins()
    assert "went away" not in alice.told() + server.told()


def test_whom_a_former_authority_let_in_is_not_kept(joins: Joins, others: Path) -> None:
    alice, server = (joins.start(party, wait_s=60) for party in ("alice", "server"))
    alice.says("waiting for bob (")
    put(others / "alice", joins.keys / "alice")
    alice.says("the keys were replaced")
    alice.says("waiting for bob, server (")
    server.says("alice's certificate is of another authority")
    for party in ("bob", "server"):
        put(others / party, joins.keys / party)
    joins.everybody_joins()


def test_who_closes_a_connection_after_another_authoritys_alert_is_awaited_on(
    joins: Joins,
) -> None:
    """An alert is anybody's to send: it is reported, and decides nothing."""
    alice = joins.start("alice", wait_s=60)
    unknown_authority = b"\x15\x03\x03\x00\x02\x02\x30"
    with joins.dial() as one, contextlib.suppress(OSError):
        one.sendall(unknown_authority)
        one.shutdown(socket.SHUT_WR)
        while one.recv(1000):
            pass
    alice.says("refused 1 connection")
    joins.everybody_joins()
