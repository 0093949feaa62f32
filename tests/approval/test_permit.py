"""Nothing runs, and nothing is opened, but what all three have approved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.job import PARTIES, Job
from party.approval import Envelope, Ledger, approval_file, salt_file
from party.approval.permit import permitted, see_to_rest
from party.approval.policy import Policy
from party.process.errors import InputError, JobError, KitError
from tests.approval.conftest import KIT, RUN, Approved
from tests.harness.joins import JOB, PLAN

OTHER = "0" * 64


def refusal(approved: Approved, **change: Any) -> str:
    with pytest.raises(InputError) as caught:
        approved.permit(**change).check(PLAN)
    assert caught.value.hint, "every refusal says what to do"
    return caught.value.what


def test_what_all_three_have_approved_may_run(approved: Approved) -> None:
    for party in PARTIES:
        permit = approved.permit(party)
        permit.check(PLAN)
        permit.open(PLAN, RUN)


@pytest.mark.parametrize("whose", PARTIES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"job": OTHER}, "it is for another job: 000"),
        ({"plan": OTHER}, "has approved another plan: 000"),
        ({"kit": "0.0.9"}, "it is for version 0.0.9 of the kit, not 0.1.0"),
        ({"image": f"sha256:{OTHER}"}, "it is for the image sha256:000"),
        ({"hours": -1}, "approval expired at 20"),
        ({"expires": "2030-02-30T00:00:00Z"}, "approval expired at 2030-02-30"),
        ({"key": Ed25519PrivateKey.generate()}, "its signer's key is sha256:"),
    ],
)
def test_an_approval_for_something_else_is_refused(
    approved: Approved, whose: Any, change: dict[str, Any], words: str
) -> None:
    approved.approve(whose, **change)
    said = refusal(approved)
    assert words in said and whose in said


@pytest.mark.parametrize("whose", PARTIES)
def test_a_missing_approval_is_refused(approved: Approved, whose: str) -> None:
    approval_file(approved.directory, whose).unlink()
    assert refusal(approved) == f"{whose} has not approved"


def test_where_rows_are_matched_approvals_name_no_plan_and_elsewhere_they_do(
    approved: Approved,
) -> None:
    """The numbers of rows make the plan; they are a part of the result, and opened once."""
    fields = approved.job.model_dump(exclude={"rows", "training"})
    job = Job.model_validate(fields | {"align": {"key": "customer"}})
    for party in PARTIES:
        approved.approve(party, job=job.digest)
    assert "it names a plan, and there is none" in refusal(approved, job=job)
    for party in PARTIES:
        approved.approve(party, job=job.digest, plan=None)
    permit = approved.permit(job=job)
    permit.check(None)
    permit.open(None, RUN)
    assert "is used up" in refusal(approved, job=job)
    approved.approve("alice", plan=None)
    assert "it names no plan" in refusal(approved)


def test_one_partys_approval_is_not_anothers(approved: Approved) -> None:
    file = approval_file(approved.directory, "bob")
    approval_file(approved.directory, "alice").write_bytes(file.read_bytes())
    assert "it is bob's approval, not alice's" in refusal(approved)


def test_another_table_is_refused_and_the_commitment_says_nothing_of_it(
    approved: Approved,
) -> None:
    assert "it is for another table" in refusal(approved, table_digest="b" * 64)
    first = approval_file(approved.directory, "bob").read_bytes()
    approved.approve("bob")
    again = approval_file(approved.directory, "bob").read_bytes()
    table = [Envelope.parse(text, "").statement()["predicate"]["table"] for text in (first, again)]
    assert table[0] != table[1], "salted afresh"
    salt_file(approved.directory, "bob").unlink()
    with pytest.raises(InputError, match="cannot read the salt"):
        approved.permit()


def test_a_job_that_asks_for_approvals_does_not_run_without(approved: Approved) -> None:
    assert "asks for the approvals of all three" in refusal(approved, approvals=None)


def test_a_job_that_asks_for_none_takes_none(approved: Approved) -> None:
    assert "names no keys of approvals" in refusal(approved, job=JOB)
    approved.permit(job=JOB, approvals=None).open(PLAN, RUN)


def test_what_is_used_up_opens_nothing_more(approved: Approved) -> None:
    """Whoever the party is told to have been: its own ledger counts."""
    approved.approve("alice", runs=3)
    approved.approve("bob", runs=2)
    approved.approve("server", runs=2)
    for _ in range(2):
        permit = approved.permit()
        permit.check(PLAN)
        permit.open(PLAN, RUN)
    with pytest.raises(JobError, match="nothing was opened: bob's approval is used up"):
        permit.open(PLAN, RUN)
    assert "it is for 2 runs, and this party has opened 2 times by it" in refusal(approved)
    approved.approve("bob")
    assert "server's approval is used up" in refusal(approved)
    approved.approve("server")
    approved.permit().check(PLAN)


def test_what_expires_meanwhile_opens_nothing(
    approved: Approved, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit = approved.permit()
    approved.approve("bob", hours=-1)
    permit.approvals |= {"bob": expired(approved)}
    with pytest.raises(JobError, match="nothing was opened: bob's approval expired"):
        permit.open(PLAN, RUN)
    assert not permit.ledger.path.exists()


def expired(approved: Approved) -> Any:
    from party.approval import Approval

    file = approval_file(approved.directory, "bob")
    return Approval.of(Envelope.read(file), str(file))


def test_an_opening_that_cannot_be_written_is_none(approved: Approved) -> None:
    permit = approved.permit()
    permit.ledger.path = approved.directory / "nowhere" / "ledger.jsonl"
    with pytest.raises(JobError, match="cannot write the ledger"):
        permit.open(PLAN, RUN)


@settings(max_examples=300)
@given(at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_an_approval_with_any_bit_changed_is_refused(approved: Approved, at: int, bit: int) -> None:
    text = bytearray(approval_file(approved.directory, "bob").read_bytes())
    text[at % len(text)] ^= 1 << bit
    with pytest.raises(InputError):
        Envelope.parse(bytes(text), "bob.json")


JUNK = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda one: (
        st.lists(one)
        | st.dictionaries(st.sampled_from(["payload", "signatures", "key", "sig"]), one)
    ),
)


@given(JUNK)
def test_junk_is_no_approval(value: Any) -> None:
    with pytest.raises(InputError):
        Envelope.parse(json.dumps(value).encode(), "junk")


def ledger_text(approved: Approved, openings: int) -> Path:
    for party in PARTIES:
        approved.approve(party, runs=openings)
    permit = approved.permit()
    for _ in range(openings):
        permit.open(PLAN, RUN)
    return permit.ledger.path


@settings(max_examples=200)
@given(at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_a_ledger_with_any_bit_changed_is_refused(approved: Approved, at: int, bit: int) -> None:
    path = approved.directory / "ledger.jsonl"
    if not path.exists():
        path.write_bytes(ledger_text(approved, 3).read_bytes())
    whole = path.read_bytes()
    text = bytearray(whole)
    text[at % len(text)] ^= 1 << bit
    path.write_bytes(text)
    try:
        with pytest.raises(InputError, match=r"ledger.*line"):
            raise_with_place(path)
    finally:
        path.write_bytes(whole)


def raise_with_place(path: Path) -> None:
    try:
        Ledger(path)
    except InputError as error:
        raise InputError(f"{error.what} {error.where}") from None


def test_a_line_that_is_taken_out_of_a_ledger_is_missed(approved: Approved) -> None:
    path = ledger_text(approved, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in (lines[1:], [lines[0], lines[2]], [lines[1], lines[0], lines[2]]):
        path.write_bytes(b"".join(kept))
        with pytest.raises(InputError):
            Ledger(path)
    path.write_bytes(b"".join(lines))
    assert len(Ledger(path).entries) == 3


POLICY = """\
receivers: [alice]
rows_per_feature: 4
kits: ["0.1.0"]
"""


@pytest.mark.parametrize(
    ("change", "kit", "runs", "words"),
    [
        ({}, KIT, 1, []),
        ({"result": "both"}, KIT, 1, ["receivers: bob would receive weights"]),
        ({"rows": 7}, KIT, 1, ["rows_per_feature: 7 rows are less than 4 for each of 2 features"]),
        ({}, "0.2.0", 2, ["kits: this is version 0.2.0", "most_runs: 2 are asked for"]),
    ],
)
def test_a_policy_objects_to_what_it_does_not_allow(
    tmp_path: Path, change: dict[str, Any], kit: str, runs: int, words: list[str]
) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    job = Job.model_validate(JOB.model_dump() | change)
    assert Policy.load(tmp_path / "policy.yaml").objections(job, kit, None, runs) == words


def test_a_policy_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY + "reciever: [bob]\n")
    with pytest.raises(KitError, match="the policy is wrong: reciever: unknown key"):
        Policy.load(tmp_path / "policy.yaml")


PRIVATE = Job.model_validate_json(
    json.dumps(
        {
            "name": "private",
            "rows": 1000,
            "features": ["x"],
            "label": "y",
            "columns": {"x": {"scale": {"mean": 0, "deviation": 1}}},
            "training": {"tolerance": 0, "C": 0.01},
            "privacy": {"weights": {"epsilon": 1, "delta": 1e-6, "norm": 1}},
        }
    )
)


def test_private_weights_are_opened_once_and_again_by_the_same_run_alone(tmp_path: Path) -> None:
    """New noise on much the same weights: their mean has less of it."""
    permit = permitted(PRIVATE, "alice", tmp_path, None, None, KIT, None)
    permit.check(PLAN)
    permit.open(PLAN, RUN)
    with pytest.raises(JobError, match="spends its epsilon again"):
        permit.open(PLAN, OTHER)
    with pytest.raises(JobError, match="spends its epsilon again"):
        permit.goes_on(None)  # it goes back behind the opening
    permit.goes_on(RUN)
    with pytest.raises(InputError, match="spends its epsilon again") as caught:
        permitted(PRIVATE, "alice", tmp_path, None, None, KIT, None)
    assert caught.value.hint
    permitted(PRIVATE, "alice", tmp_path, None, None, KIT, None, resumes=RUN).check(PLAN)
    permitted(JOB, "alice", tmp_path, None, None, KIT, None)


def test_no_start_takes_away_private_weights_that_none_may_bring_back(tmp_path: Path) -> None:
    asked = (tmp_path, None, KIT, None)
    see_to_rest(PRIVATE, *asked)
    permitted(PRIVATE, "alice", tmp_path, None, None, KIT, None).open(PLAN, RUN)
    with pytest.raises(InputError, match="private weights are opened once") as caught:
        see_to_rest(PRIVATE, *asked)
    assert "left as it is" in (caught.value.hint or "")
    see_to_rest(JOB, *asked)


def test_no_start_takes_away_a_result_by_approvals_that_do_not_allow_another(
    approved: Approved,
) -> None:
    approved.approve("alice", runs=2)
    output = approved.directory.parent / "bob"

    def rest(approvals: Path | None = approved.directory) -> None:
        see_to_rest(approved.job, output, approvals, KIT, None)

    rest(None)  # nothing was opened yet
    approved.permit().open(PLAN, RUN)
    with pytest.raises(InputError, match="bob's approval is used up") as caught:
        rest()
    assert "left as it is" in (caught.value.hint or "")
    with pytest.raises(InputError, match="none are given") as caught:
        rest(None)
    assert "left as it is" in (caught.value.hint or "")
    approved.approve("bob", runs=2)
    approved.approve("server", runs=2)
    rest()


@pytest.mark.parametrize(
    "most, runs, words",
    [
        (1.0, 1, []),
        (0.5, 1, ["most_epsilon: epsilon is 1, and 0.5 is the most"]),
        (1.5, 2, ["most_epsilon: epsilon is 1 in each of 2 runs, and 1.5 is the most"]),
    ],
)
def test_a_policy_can_demand_private_weights(
    tmp_path: Path, most: float, runs: int, words: list[str]
) -> None:
    (tmp_path / "policy.yaml").write_text(
        f"receivers: [alice]\nmost_runs: 9\nmost_epsilon: {most}\n"
    )
    policy = Policy.load(tmp_path / "policy.yaml")
    assert policy.objections(PRIVATE, KIT, None, runs) == words
    (said,) = policy.objections(JOB, KIT, None, 1)
    assert "agree on privacy.weights" in said
