"""Identifiers: what counts as the same, and what a table is refused for."""

from __future__ import annotations

import gzip
import hashlib
import hmac
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.alignment.identifiers import canonical, load_identified, read_identifiers
from party.process.errors import InputError
from party.table.findings import UnfitTableError
from tests.harness.alignments import aligned_job, identifiers, write_table

JOB = aligned_job()


@pytest.mark.parametrize(
    "one, other",
    [
        ("Müller", "MU\u0308LLER"),
        (" C-17 ", "c-17"),
        ("ＡＢＣ１", "abc1"),
        ("STRASSE", "straße"),
        ("ﬁn\u00a0", "FIN"),
        ("ǰ", "J̌"),
        ("Ω", "\u2126"),
    ],
)
def test_these_are_the_same(one: str, other: str) -> None:
    assert canonical([one]) == canonical([other])


@pytest.mark.parametrize(
    "one, other",
    [
        (["1"], ["01"]),
        (["2026-01-31"], ["31.1.2026"]),
        (["a b"], ["ab"]),
        (["ab", "c"], ["a", "bc"]),
        (["a", "b"], ["b", "a"]),
        (["a"], ["a", "a"]),
        (["-"], [""]),
    ],
)
def test_these_are_not(one: list[str], other: list[str]) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("text", ["i", "ß", "ŉ", "ſ", "ΐ", "Ǆ", "ﷺ", "ͅ", "a\u0345", "İ"])
def test_the_form_of_a_form_is_itself(text: str) -> None:
    once = canonical([text + "x"])
    assert once is not None
    assert canonical([once[4:].decode()]) == once


@pytest.mark.parametrize("cell", ["", " ", "\t", "\u00a0", "\u3000"])
def test_white_space_is_no_identifier(cell: str) -> None:
    assert canonical([cell]) is None
    assert canonical(["a", cell]) is None


def test_a_tag_is_the_hash_of_the_form_under_the_key() -> None:
    names = ["Müller", "b", "c"]
    tags = identifiers(names).tags(b"k" * 32, np.array([2, 0]))
    wanted = [canonical([name]) for name in ("c", "müller")]
    assert tags == b"".join(
        hmac.new(b"k" * 32, form or b"", hashlib.sha256).digest()[:16] for form in wanted
    )


ROWS = [(f"c{i}", i * 1.5) for i in range(40)]


def test_a_table_of_any_number_of_rows_is_taken(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", ["id", "x"], ROWS)
    table, found = load_identified(path, JOB, "alice")
    assert table.matrix.shape == (40, 2) and len(found) == found.table_rows == 40
    assert found.tags(b"k", np.arange(40)) == identifiers([c for c, _ in ROWS]).tags(
        b"k", np.arange(40)
    )
    assert table.notice is None, "the identifier's column is not one that is ignored"


@pytest.mark.parametrize("form", ["quoted", "gzip", "crlf", "mark", "columns"])
def test_however_the_table_is_written(tmp_path: Path, form: str) -> None:
    path = write_table(tmp_path / "t.csv", ["id", "x"], ROWS)
    text = path.read_bytes()
    if form == "quoted":
        text = text.replace(b"c1,", b'"C1",').replace(b"id", b'"id"')
    elif form == "gzip":
        text = gzip.compress(text)
    elif form == "crlf":
        text = text.replace(b"\n", b"\r\n")
    elif form == "mark":
        text = b"\xef\xbb\xbf" + text
    else:
        lines = text.decode().splitlines()
        text = "\n".join(f'"a, note",{b},{a}' for a, b in (x.split(",") for x in lines)).encode()
    path.write_bytes(text)
    table, found = load_identified(path, JOB, "alice")
    wanted = identifiers([c for c, _ in ROWS])
    assert found.text.tobytes() == wanted.text.tobytes()
    assert table.matrix.shape == (40, 2)


def unfit(tmp_path: Path, rows: Any, job: Job = JOB, names: Any = ("id", "x")) -> UnfitTableError:
    path = write_table(tmp_path / "t.csv", names, rows)
    with pytest.raises(UnfitTableError) as raised:
        load_identified(path, job, "alice")
    return raised.value


def test_rows_without_an_identifier_are_refused_with_their_lines(tmp_path: Path) -> None:
    rows = [*ROWS, ("", 3), ("   ", 4)]
    error = unfit(tmp_path, rows)
    (found,) = error.findings
    assert (found.kind, found.count, found.lines) == ("missing-identifier", 2, (42, 43))
    assert (found.column, found.position) == ("id", 1)


def test_rows_with_anothers_identifier_are_refused_without_its_value(tmp_path: Path) -> None:
    rows = [("secret-7", 1), *ROWS, ("SECRET-7 ", 2), ("c3", 3)]
    error = unfit(tmp_path, rows)
    (found,) = error.findings
    assert (found.kind, found.lines) == ("repeated-identifier", (43, 44))
    assert "secret" not in str(error).lower() and "c3" not in str(error)


def test_with_duplicates_first_the_first_row_of_each_is_taken(tmp_path: Path) -> None:
    job = aligned_job(align={"key": "id", "duplicates": "first"})
    path = write_table(tmp_path / "t.csv", ["id", "x"], [*ROWS[:3], ("C1", 9), *ROWS[3:]])
    table, found = load_identified(path, job, "alice")
    assert (len(found), found.table_rows, len(table.matrix)) == (40, 41, 41)
    assert found.rows.tolist() == [0, 1, 2, *range(4, 41)]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    error = unfit(tmp_path, [*ROWS, ("c1", 3), ("", 4), ("d", "much")])
    kinds = [one.kind for one in error.findings]
    assert kinds == ["missing-identifier", "repeated-identifier", "not-a-number"]


def test_a_table_without_the_column_is_refused(tmp_path: Path) -> None:
    error = unfit(tmp_path, ROWS, names=("customer", "x"))
    assert "'id'" in str(error) and "line 1" in str(error)
    with pytest.raises(InputError, match="header"):
        path = tmp_path / "t.csv"
        path.write_text("1,2\n3,4\n")
        load_identified(path, JOB, "alice")


def test_several_columns_are_one_identifier_by_the_names_of_each_holder(tmp_path: Path) -> None:
    key = {"alice": ["name", "born"], "bob": ["who", "birth"]}
    job = aligned_job(align={"key": {k: tuple(v) for k, v in key.items()}})
    alice = write_table(
        tmp_path / "a.csv", ["born", "x", "name"], [("1970", 1, "A"), ("1971", 2, "A")]
    )
    bob = write_table(
        tmp_path / "b.csv", ["who", "birth", "y"], [("a", "1971", 1), ("a", "1970", 0)]
    )
    one, other = read_identifiers(alice, job, "alice"), read_identifiers(bob, job, "bob")
    assert one.tags(b"k", np.array([0, 1])) == other.tags(b"k", np.array([1, 0]))
