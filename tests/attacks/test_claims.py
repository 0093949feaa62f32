"""Each claim of the documentation names attacks that there are, by commands that work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
CLAIM = re.compile(r"^\| ([A-Z]\d+) \| (.*)$", re.MULTILINE)
CLAIMS = dict(CLAIM.findall(PAGE))


def test_the_claims_are_numbered_without_a_gap() -> None:
    assert len(CLAIMS) == len(CLAIM.findall(PAGE)) > 25
    for letter in "OPL":
        numbers = [int(name[1:]) for name in CLAIMS if name[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_names_tests_that_there_are(claim: str) -> None:
    commands = re.findall(r"`pytest ([^`]+)`", CLAIMS[claim])
    assert commands
    for target in (word for command in commands for word in shlex.split(command)):
        path, _, name = target.partition("::")
        assert (ROOT / path).exists(), target
        if name:
            assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), target
        assert ("tests/kind/" in path) is bool(
            re.search(rf"\*kind\* `pytest [^`]*{re.escape(path)}", CLAIMS[claim])
        ), target


def test_what_else_is_named_is_there() -> None:
    named = set(re.findall(r"`((?:tests|party)/[\w/.]+)`", PAGE))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()
