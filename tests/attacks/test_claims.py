"""Each claim of the documentation names an attack that there is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def test_every_attack_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+|party/[\w/.]+)`", PAGE))
    assert len(named) > 20
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_row_of_claims_names_an_attack() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and "---" not in line]
    tables = [row.count("|") - 1 for row in rows]
    assert set(tables) == {3}
    attacked = [row for row in rows if "tests/" in row]
    assert len(attacked) > 20
