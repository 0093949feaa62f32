"""An error is the same at the process that shows it as at the one that had it."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party.process.errors import AS_JSON, Cause, ErrorDocument, InputError, JobError, KitError
from party.process.exit import guarded

TEXT = st.text(min_size=1)
ERRORS = st.builds(
    lambda kind, what, where, hint, cause: kind(what, where, hint, cause),
    st.sampled_from([InputError, JobError]),
    TEXT,
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | st.sampled_from(get_args(Cause)),
)
NOISE = st.text(st.characters(exclude_characters="{")).map(lambda text: text + "\n")


def parts(error: KitError) -> tuple[object, ...]:
    return type(error), error.what, error.where, error.hint, error.cause


@given(ERRORS, NOISE, NOISE)
def test_an_error_crosses_whole_among_what_libraries_say(
    error: KitError, before: str, after: str
) -> None:
    text = before + ErrorDocument.of(error).to_json() + "\n" + after
    told = ErrorDocument.in_text(text)
    assert told is not None and parts(told.error()) == parts(error)
    assert told.error(by="bob").what == f"bob: {error.what}"


def test_of_two_the_last_counts() -> None:
    lines = [ErrorDocument.of(JobError(what)).to_json() for what in ("first", "last")]
    told = ErrorDocument.in_text("\n".join(lines))
    assert told is not None and told.what == "last"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "error: in words",
        "{}",
        "[]",
        "7",
        '{"error": null}',
        '{"error": "words"}',
        '{"error": {"what": "half"}}',
        '{"error": {"what": 7, "where": null, "hint": null, "exit_code": 1}}',
        '{"error": {"what": "a", "where": [], "hint": null, "exit_code": 1}}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_no_error_of_ours(text: str) -> None:
    assert ErrorDocument.in_text(text) is None


def test_who_is_read_by_a_process_writes_a_document_and_no_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command() -> None:
        raise InputError("bad", "here", "write it well")

    monkeypatch.setenv(AS_JSON, "1")
    assert guarded(command) == 2
    document = {"what": "bad", "where": "here", "hint": "write it well", "exit_code": 2}
    document["cause"] = "own-input"
    assert json.loads(capsys.readouterr().err) == {"error": document}
