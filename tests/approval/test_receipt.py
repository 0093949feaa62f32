"""A receipt holds when all three signed the same run, and nothing in it was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.certs import authority as certs
from party.agreement.job import PARTIES, Job, Party
from party.agreement.pins import Identities, Pin
from party.approval import Envelope
from party.approval.receipt import Receipt, Statement
from party.identity import Keys, load_keys
from party.process.errors import InputError
from tests.harness.joins import JOB

OTHER = "0" * 64
FACTS: dict[str, Any] = {
    "job": JOB.digest,
    "plan": "1" * 64,
    "run": "2" * 64,
    "kit": "0.1.0",
    "steps": 4,
    "settled": None,
    "approvals": {},
    "report": "3" * 64,
    "ledger": "4" * 64,
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Keys]:
    made = tmp_path_factory.mktemp("keys") / "job"
    certs.make_all(JOB.name, made, days=1, authority_days=1)
    return {party: load_keys(made / party, JOB.name, party) for party in PARTIES}


def statement(keys: dict[str, Keys], party: Party, **change: Any) -> Statement:
    peers: dict[Party, tuple[str, str]] = {
        each: (keys[each].key_digest, keys[each].authority_digest)
        for each in PARTIES
        if each != party
    }
    opened = ("weights.alice",) if party == "alice" else ()
    return Statement.made(keys[party], peers, party, **({"opened": opened} | FACTS | change))


def envelopes(
    keys: dict[str, Keys], odd: Party | None = None, **change: Any
) -> list[tuple[Envelope, str]]:
    return [
        (statement(keys, p, **(change if p == odd else {})).signed(keys[p]), p) for p in PARTIES
    ]


def pinned(keys: dict[str, Keys], **change: Any) -> Job:
    pins = {party: Pin(key=keys[party].key_digest) for party in PARTIES}
    return Job.model_validate(JOB.model_dump() | {"identities": Identities(**(pins | change))})


def test_what_three_signed_alike_is_a_receipt_in_any_order(keys: dict[str, Keys]) -> None:
    made = envelopes(keys)
    receipt = Receipt.merged(made[::-1])
    assert receipt.text() == Receipt.merged(made).text()
    again = Receipt.parse(receipt.text(), "receipt.json")
    assert [one.party for one in again.statements] == list(PARTIES)
    again.check_job(JOB, "receipt.json")


@settings(max_examples=400)
@given(at=st.integers(0, 20_000), byte=st.integers(0, 255))
def test_a_receipt_with_any_byte_changed_is_refused(
    keys: dict[str, Keys], whole: bytes, at: int, byte: int
) -> None:
    text = bytearray(whole)
    text[at % len(text)] = byte
    if bytes(text) == whole:
        return
    with pytest.raises(InputError):
        Receipt.parse(bytes(text), "receipt.json")


@pytest.fixture(scope="module")
def whole(keys: dict[str, Keys]) -> bytes:
    return Receipt.merged(envelopes(keys)).text()


@given(st.integers(0, 20_000))
def test_a_receipt_cut_short_or_longer_is_refused(whole: bytes, at: int) -> None:
    for text in (whole[: at % len(whole)], whole + b"\n", b" " + whole):
        with pytest.raises(InputError):
            Receipt.parse(text, "receipt.json")


@pytest.mark.parametrize("odd", PARTIES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": OTHER}, "do not say the same of the run: run"),
        ({"plan": OTHER}, "do not say the same of the run: plan"),
        ({"job": OTHER}, "do not say the same of the run: job"),
        ({"steps": 5, "settled": True}, "do not say the same of the run: steps, settled"),
        ({"approvals": {"bob": OTHER}}, "do not say the same of the run: approvals"),
    ],
)
def test_parties_that_do_not_agree_make_no_receipt(
    keys: dict[str, Keys], odd: Party, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        Receipt.merged(envelopes(keys, odd, **change))
    assert words in caught.value.what


def test_one_that_is_missing_or_there_twice_makes_none(keys: dict[str, Keys]) -> None:
    alice, bob, server = envelopes(keys)
    with pytest.raises(InputError, match="the receipt of server is missing"):
        Receipt.merged([alice, bob])
    with pytest.raises(InputError, match="there are two receipts of bob"):
        Receipt.merged([alice, bob, bob, server])


def test_nobody_signs_for_another(keys: dict[str, Keys]) -> None:
    """Alice signs what Bob should: with her key and his certificate, or with her own."""
    honest = statement(keys, "bob")
    alice, _, server = envelopes(keys)
    for certificates in (honest.certificates, statement(keys, "alice").certificates):
        forged = honest.model_copy(update={"certificates": certificates})
        with pytest.raises(InputError):
            Receipt.merged([alice, (forged.signed(keys["alice"]), "forged"), server])


def test_who_makes_up_all_three_keys_does_not_have_the_pinned_ones(
    keys: dict[str, Keys], tmp_path: Path
) -> None:
    certs.make_all(JOB.name, tmp_path / "own", days=1, authority_days=1)
    own: dict[str, Keys] = {
        party: load_keys(tmp_path / "own" / party, JOB.name, party) for party in PARTIES
    }
    job = pinned(keys)
    made_up = Receipt.merged(
        [(statement(own, p, job=job.digest).signed(own[p]), p) for p in PARTIES]
    )
    with pytest.raises(InputError, match="alice's certificate in it is another's: its key is"):
        made_up.check_job(job, "receipt.json")
    honest = [(statement(keys, p, job=job.digest).signed(keys[p]), p) for p in PARTIES]
    Receipt.merged(honest).check_job(job, "receipt.json")
    with pytest.raises(InputError, match="and this one is"):
        Receipt.merged(honest).check_job(JOB, "receipt.json")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said.update(predicateType="urn:tfe-kit:approval:v1"),
        lambda said: said["predicate"].update(more=1),
        lambda said: said["predicate"].update(time="2001-01-01T00:00:00Z"),
        lambda said: said["predicate"].update(party="alice"),
        lambda said: said["predicate"]["keys"].pop("alice"),
        lambda said: said["predicate"].update(certificates=""),
        lambda said: said.clear(),
    ],
)
def test_what_a_party_signs_must_be_a_receipt(
    keys: dict[str, Keys], spoil: Callable[[dict[str, Any]], Any]
) -> None:
    from party.approval.envelope import private_key

    said = json.loads(statement(keys, "bob").signed(keys["bob"]).payload)
    spoil(said)
    forged = Envelope.sign(said, private_key(keys["bob"].key, "bob"))
    with pytest.raises(InputError):
        Statement.of(forged, "bob")
