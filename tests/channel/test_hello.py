"""Hellos: what differs is named, with both values, in the same words at both ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party.agreement.job import Job
from party.channel.agreement import (
    PROTOCOL_VERSION,
    checked_hello,
    checked_refusal,
    difference,
    hello,
    refusal,
)
from tests.harness.joins import JOB, PLAN


def pair(job: Job = JOB, plan: str = PLAN) -> tuple[dict[str, Any], dict[str, Any]]:
    return hello(JOB, "alice", PLAN), hello(job, "bob", plan)


def changed(**change: Any) -> Job:
    return Job.model_construct(**dict(JOB) | change)


def training(**change: Any) -> Job:
    return changed(training=JOB.training.model_copy(update=change))


def test_parties_with_the_same_job_and_plan_agree() -> None:
    assert difference(*pair()) is None


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (training(batch_size=2), "training.batch_size: alice has 4, bob has 2"),
        (training(epochs=3), "training.epochs: alice has 2, bob has 3"),
        (training(learning_rate=0.2), "training.learning_rate: alice has 0.1, bob has 0.2"),
        (training(order_seed=9), "training.order_seed: alice has 0, bob has 9"),
        (changed(rows=9), "rows: alice has 8, bob has 9"),
        (changed(label="y"), 'label: alice has "fraud", bob has "y"'),
        (changed(protocol="aby3"), 'protocol: alice has "pond", bob has "aby3"'),
        (changed(result="bob"), 'result: alice has "alice", bob has "bob"'),
        (
            changed(features=("age",)),
            'features: alice has ["age", "amount"], bob has ["age"]',
        ),
    ],
)
def test_a_job_that_differs_is_named_with_both_values(job: Job, words: str) -> None:
    error = difference(*pair(job))
    assert error is not None and error.exit_code == 1
    assert error.what == f"alice and bob disagree: {words}"
    assert error.hint == "give all three parties the same job file"


def test_a_plan_that_differs_is_named() -> None:
    error = difference(*pair(plan="8" * 64))
    assert error is not None and f"plan: alice has {PLAN}, bob has {'8' * 64}" in error.what


@pytest.mark.parametrize("name", ["kit", "tensorflow", "tf_encrypted"])
def test_a_version_that_differs_is_named_before_anything_it_may_cause(name: str) -> None:
    mine, theirs = pair(training(epochs=3), "8" * 64)
    theirs["versions"] = theirs["versions"] | {name: "9.9.9"}
    error = difference(mine, theirs)
    assert error is not None
    assert f"versions.{name}: alice has {mine['versions'][name]}, bob has 9.9.9" in error.what
    assert "epochs" not in error.what


def test_another_protocol_version_comes_first_of_all() -> None:
    mine, theirs = pair(training(epochs=3))
    theirs |= {"protocol_version": PROTOCOL_VERSION + 1, "versions": {}}
    error = difference(mine, theirs)
    assert error is not None
    spoken = f"alice has {PROTOCOL_VERSION}, bob has {PROTOCOL_VERSION + 1}"
    assert error.what == f"alice and bob disagree: protocol_version: {spoken}"


def test_jobs_of_other_digests_and_equal_fields_still_disagree() -> None:
    mine, theirs = pair()
    theirs["job"] = "0" * 64
    error = difference(mine, theirs)
    assert error is not None and f"job: alice has {JOB.digest}, bob has {'0' * 64}" in error.what


def test_a_hello_is_short_whatever_the_job() -> None:
    many = tuple(f"{i:04}" + "ä" * 124 for i in range(4096))
    wide = changed(features=many, label='"' * 128)
    assert len(json.dumps(hello(wide, "alice", PLAN), ensure_ascii=False).encode()) < 4000
    error = difference(hello(wide, "alice", PLAN), hello(JOB, "bob", PLAN))
    assert error is not None and "features: alice has 4096 items (sha256 " in error.what


@pytest.mark.parametrize("count", [3, 20, 300])
def test_a_job_of_many_columns_says_which_differs_as_far_as_there_is_room(count: int) -> None:
    names = [f"x{i}" for i in range(count)]
    agreed = {"name": "many", "rows": 9, "features": names, "label": "y"}

    def job(mean: int) -> Job:
        columns = {name: {"scale": {"mean": mean, "deviation": 1}} for name in names}
        return Job.model_validate_json(json.dumps(agreed | {"columns": columns}))

    said = hello(job(0), "alice", PLAN), hello(job(1), "bob", PLAN)
    assert all(len(json.dumps(one, ensure_ascii=False).encode()) < 4000 for one in said)
    error = difference(*said)
    assert error is not None and ("columns.x0.scale.mean" in error.what) is (count == 3)
    assert "columns" in error.what


texts = st.text(max_size=400)


@given(texts, texts, st.dictionaries(texts, texts, max_size=30))
def test_both_ends_say_the_same_whatever_a_peer_says(
    plan: str, job: str, fields: dict[str, str]
) -> None:
    mine, theirs = pair()
    theirs |= {"plan": plan, "job": job, "job_fields": fields}
    error, same = difference(mine, theirs), difference(theirs, mine)
    assert error is not None and same is not None and str(error) == str(same)
    assert len(error.what) < 8 * 1000
    assert error.what.isprintable(), "a peer's text cannot move the cursor, or start a new line"


@given(texts, texts)
def test_names_of_fields_are_a_peers_words_too(name: str, value: str) -> None:
    mine, theirs = pair()
    theirs["versions"] = theirs["versions"] | {name: value}
    error = difference(mine, theirs)
    assert error is None or error.what.isprintable()


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
KEYS = ("party", "run", "job", "plan", "versions", "job_fields", "protocol_version")


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_any_object_is_a_hello_or_is_refused(change: dict[str, Any]) -> None:
    mine, theirs = pair()
    if checked_hello(theirs | change) is not None:
        theirs = theirs | change | {"party": "bob"}
        difference(mine, theirs)  # says what it says, and does not fall


def test_what_the_kit_says_is_a_hello() -> None:
    assert all(checked_hello(json.loads(json.dumps(one))) is not None for one in pair())


NESTED = json.loads("[" * 900 + "]" * 900)


@pytest.mark.parametrize(
    "change",
    [
        {"run": "\ud800"},
        {"run": "A" * 32},
        {"run": "0" * 33},
        {"job": "0" * 63},
        {"plan": "g" * 64},
        {"party": "eve"},
        {"party": ["alice"]},
        {"protocol_version": True},
        {"protocol_version": 1.0},
        {"protocol_version": -1},
        {"protocol_version": 10**4000},
        {"protocol_version": NESTED},
        {"versions": {"\ud800": "1"}},
        {"versions": {"kit": "\udfff"}},
        {"versions": {"kit": NESTED}},
        {"job_fields": [["rows", "8"]]},
    ],
)
def test_what_is_nearly_a_hello_is_none(change: dict[str, Any]) -> None:
    assert checked_hello(hello(JOB, "bob", PLAN) | change) is None


words = st.text(max_size=4000)


@given(words, words)
def test_a_refusal_fits_into_a_message_and_is_passed_on_as_it_may_be_shown(
    what: str, hint: str
) -> None:
    shown = checked_refusal({"type": "refusal", "what": what, "hint": hint})
    assert shown is not None and all(one.isprintable() for one in shown)
    said = refusal(*shown)
    assert len(json.dumps(said, ensure_ascii=False).encode()) <= 4096
    again = checked_refusal(said)
    assert again is not None and all(a.startswith(b) for a, b in zip(shown, again, strict=True))


@pytest.mark.parametrize(
    "message",
    [{}, {"what": 1}, {"what": ["x"]}, {"what": "x", "hint": NESTED}, {"what": "x", "hint": None}],
)
def test_what_is_nearly_a_refusal_is_none(message: dict[str, Any]) -> None:
    assert checked_refusal(message) is None
