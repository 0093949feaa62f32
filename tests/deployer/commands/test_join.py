"""``deployer invite`` and ``join``: three organisations come to one job, or to none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from deployer.certs.authority import make_party, pem, read_authority
from deployer.commands import invite, join
from deployer.joining import Folder, Introduced, Introduction
from deployer.manifests.values import load_values
from party.agreement.hosts import load_hosts
from party.agreement.job import PARTIES, load_job
from party.approval import Envelope
from party.approval.envelope import _authenticated
from party.identity import load_keys
from party.process.errors import InputError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "fraud" / "job.yaml"
BY_PASSES = {"name": "by-passes", "rows": 64, "features": {"bob": ["1e5", "yes", "é"]}}
BY_PASSES |= {"label": {"alice": "y"}, "result": "both"}
MATCHED = {"name": "0", "align": {"key": "id"}, "features": ["a"], "label": "y"}
FOLDERS = {"alice": "bank", "bob": "police", "server": "helper"}


def run(command: Any, *words: object) -> str:
    """Run a command; its errors are raised, its output returned."""
    result = CliRunner().invoke(command.app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def begin(room: Path, job: Path = EXAMPLE, **namespaces: str) -> None:
    """Alice invites, and the others reply; nobody has the others' files yet."""
    for number, (party, folder) in enumerate(FOLDERS.items(), 1):
        place: tuple[str, ...] = ("--address", f"{party}.example:700{number}")
        if party in namespaces:
            place = ("--namespace", namespaces[party])
        options = ("--party", party, *place, "--folder", room / folder)
        if party == "alice":
            run(invite, job, *options)
        else:
            run(join, room / "bank/alice.invite", *options, "--yes")


def end(room: Path) -> None:
    """Each has the files of the two others."""
    run(join, room / "police/bob.reply", room / "helper/server.reply", "--folder", room / "bank")
    run(join, room / "helper/server.reply", "--folder", room / "police")
    run(join, room / "police/bob.reply", "--folder", room / "helper")


def tree(room: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in room.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room where three have joined."""
    room = tmp_path_factory.mktemp("joined")
    begin(room)
    end(room)
    return room


@pytest.fixture
def room(joined: Path, tmp_path: Path) -> Path:
    """A copy of it before anybody had the others' files."""
    for party, folder in FOLDERS.items():
        kept = tmp_path / folder
        shutil.copytree(joined / folder, kept, ignore=shutil.ignore_patterns("agreed"))
        for other in set(PARTIES) - {party, "alice"}:
            (kept / f"{other}.reply").unlink()
    return tmp_path


def test_all_three_come_to_the_same_job_and_each_to_its_own_part(joined: Path) -> None:
    for name in ("job.yaml", "config.json"):
        assert (
            len({(joined / folder / "agreed" / name).read_bytes() for folder in FOLDERS.values()})
            == 1
        )
    for party, folder in FOLDERS.items():
        mine = joined / folder
        job = load_job(mine / "agreed/job.yaml")
        load_keys(mine / "keys", job.name, party, pins=job.identities)  # type: ignore[arg-type]
        values = load_values([mine / "agreed/values.yaml"])
        assert values.job.digest == job.digest
        assert [each for each in PARTIES if values.role(each).enabled] == [party]
        hosts = load_hosts(mine / "agreed/config.json")
        assert [values.role(each).address for each in PARTIES] == list(map(str, hosts))
        assert values.ports.party == hosts[PARTIES.index(party)].port
        for key in ("keys/tls.key", "authority/ca.key", "approver/approval.key"):
            assert (mine / key).stat().st_mode & 0o777 == 0o600
        private = [(mine / key).read_bytes() for key in ("keys/tls.key", "approver/approval.key")]
        elsewhere = [text for name, text in tree(joined).items() if f"/{folder}/" not in name]
        assert not any(key in text for key in private for text in elsewhere)


@pytest.mark.parametrize("job", [BY_PASSES, MATCHED], ids=["by-passes", "matched"])
def test_whatever_the_job_says_it_is_the_same_in_the_values(
    tmp_path: Path, job: dict[str, Any]
) -> None:
    """Helm's file is laid over defaults, and read by another version of YAML."""
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    begin(tmp_path, tmp_path / "job.yaml", alice="a", bob="b", server="c")
    end(tmp_path)
    agreed = load_job(tmp_path / "bank/agreed/job.yaml")
    assert load_values([tmp_path / "helper/agreed/values.yaml"]).job.digest == agreed.digest
    hosts = json.loads((tmp_path / "police/agreed/config.json").read_text())
    assert hosts["server2"].endswith("-server.c.svc.cluster.local:7000")


def test_doing_it_again_changes_nothing(joined: Path) -> None:
    before = tree(joined)
    begin(joined)
    end(joined)
    assert tree(joined) == before


@settings(max_examples=30)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_file_that_was_changed_on_its_way_is_refused(room: Path, at: float, bit: int) -> None:
    sent = bytearray((room / "helper/server.reply").read_bytes())
    sent[int(at * len(sent))] ^= 1 << bit
    (room / "came").write_bytes(sent)
    before = tree(room / "police")
    with pytest.raises(InputError):
        run(join, room / "came", "--folder", room / "police")
    assert tree(room / "police") == before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@settings(max_examples=60)
@given(
    whose=st.sampled_from(["bank/alice.invite", "helper/server.reply"]),
    key=st.sampled_from([*Introduction.model_fields, "terms.rows", "terms.training", "more"]),
    value=VALUES,
)
def test_whatever_is_well_signed_is_taken_or_refused_in_words(
    room: Path, whose: str, key: str, value: Any
) -> None:
    """Anybody can sign anything with a key of his own."""
    envelope = Introduced.read(room / whose).envelope
    said = json.loads(envelope.payload)
    outer, _, inner = key.partition(".")
    if inner:
        said["predicate"]["terms"] = (said["predicate"].get("terms") or {}) | {inner: value}
    else:
        said["predicate"][outer] = value
    payload = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    signer = ed25519.Ed25519PrivateKey.generate()
    public = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = Envelope(payload, public, signer.sign(_authenticated(payload))).text()
    try:
        Introduced.parse(text, "came").check_answers(Introduced.read(room / "bank/alice.invite"))
    except InputError as error:
        assert error.hint


def forged(room: Path, **change: Any) -> Path:
    """The third server's reply with something else in it, well signed by a new key."""
    one = Introduced.read(room / "helper/server.reply").introduction
    made = Introduction.model_validate(one.model_dump() | change)
    file = room / f"forged-{'-'.join(change)}"
    file.write_bytes(made.signed(ed25519.Ed25519PrivateKey.generate()).text())
    return file


def test_what_does_not_belong_together_is_refused_and_says_why(room: Path) -> None:
    other = room / "other"
    other.mkdir()
    begin(other)
    reply, police = room / "helper/server.reply", room / "police"
    alice = read_authority(room / "bank/authority")
    by_alice = {
        "authority": pem(alice.certificate).decode(),
        "certificate": make_party(alice, "server")["tls.crt"].decode(),
    }
    run(join, reply, "--folder", room / "bank")
    before = tree(police)
    for files, words in (
        ([other / "helper/server.reply"], "server has replied to another invitation"),
        ([other / "bank/alice.invite"], "two different files of alice"),
        ([forged(room, answers="0" * 64)], "server has replied to another invitation"),
        ([forged(room, party="bob")], "two different files of bob"),
        ([forged(room, **by_alice)], "alice and server have the same pin"),
        ([forged(room, certificate=by_alice["certificate"])], "does not hold: the certificate"),
        ([EXAMPLE], "it is no signed document"),
    ):
        with pytest.raises(InputError) as caught:
            run(join, *files, "--folder", police)
        assert words in caught.value.what and caught.value.hint
        assert tree(police) == before
    with pytest.raises(InputError, match="two different files of server"):
        run(join, forged(room, address="mallory.example:7003"), "--folder", room / "bank")


def test_an_invitation_that_has_expired_is_joined_by_nobody(room: Path) -> None:
    late = Folder.make(
        room / "late", load_job(EXAMPLE), "alice", {"address": "a:1"}, "2026-01-31T00:00:00Z"
    )
    options = ("--party", "bob", "--address", "b:1", "--folder", room / "new", "--yes")
    with pytest.raises(InputError, match="the invitation expired at 2026-01-31"):
        run(join, late.file, *options)
    assert not (room / "new").exists()


def test_who_takes_part_says_so_and_says_where(room: Path) -> None:
    sent, new = room / "bank/alice.invite", ("--folder", room / "new")
    place = ("--address", "b.example:1")
    for words, says in (
        ((sent, "--party", "bob", *place, *new), "nobody is there to say that bob takes part"),
        ((sent, "--party", "alice", *place, *new, "--yes"), "another party than who has invited"),
        ((sent, "--party", "bob", *new, "--yes"), "must know where to find bob"),
        ((room / "police/bob.reply", *new), "there are 0 invitations"),
        ((sent, "--party", "bob", *place, "--folder", room / "police"), "the folder is bob's, at"),
        ((sent, "--folder", room / "police/keys"), "the folder was not made by deployer invite"),
        ((sent, "--folder", sent), "cannot read the folder"),
    ):
        with pytest.raises(InputError) as caught:
            run(join, *words)
        assert says in caught.value.what and caught.value.hint
    assert not (room / "new").exists()


def test_two_at_one_address_are_refused_before_anything_is_made(room: Path) -> None:
    sent, new = room / "bank/alice.invite", ("--folder", room / "new", "--yes")
    with pytest.raises(InputError, match="alice and bob have one address") as caught:
        run(join, sent, "--party", "bob", "--address", "alice.example:7001", *new)
    assert caught.value.where == "--address" and not (room / "new").exists()
    run(join, sent, "--party", "server", "--address", "bob.example:7002", *new)
    before = tree(room / "police")
    with pytest.raises(InputError, match="bob and server have one address"):
        run(join, room / "new/server.reply", "--folder", room / "police")
    assert tree(room / "police") == before


def test_half_in_one_cluster_is_refused(tmp_path: Path) -> None:
    begin(tmp_path, bob="police")
    with pytest.raises(InputError, match=r"address alice.example:7001, bob namespace police"):
        end(tmp_path)
    assert not (tmp_path / "bank/agreed").exists()


def test_what_was_agreed_on_and_then_changed_is_found(room: Path) -> None:
    end(room)
    file = room / "bank/agreed/job.yaml"
    file.write_text(file.read_text().replace("7000", "7001"))
    with pytest.raises(InputError, match="it was changed since it was made"):
        run(join, room / "bank/alice.invite", "--folder", room / "bank")
