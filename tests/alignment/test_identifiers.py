"""Identifiers: what counts as the same, and what a table is refused for."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, parquet

from deployer.commands.data import Owner, checked, split, write
from party.agreement.job import Job, parse_job
from party.agreement.yaml12 import write_yaml
from party.alignment.forms import NotADateError, as_date
from party.alignment.identifiers import canonical, load_identified, read_identifiers
from party.process.errors import InputError
from party.table.findings import UnfitTableError
from tests.harness.alignments import aligned_job, identifiers, write_table

pytestmark = pytest.mark.usefixtures("tables_read_here")

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


# -- days of the calendar


DAY = "2026-01-31"


@pytest.mark.parametrize(
    "order, cell",
    [
        (None, "2026-01-31"),
        (None, " 2026-1-31 "),
        (None, "31.1.2026"),
        (None, "31.01.2026"),
        (None, "2026-01-31 23:59:59.000"),
        (None, "2026-01-31T07:30"),
        (None, "2026-01-31 00:00:00.000000+0100"),
        (None, "2026-01-31 00:00:00Z"),
        (None, "３１.１.２０２６"),
        ("dmy", "31/1/2026"),
        ("dmy", "31-01-2026 10:15"),
        ("dmy", "2026-01-31"),
        ("mdy", "1/31/2026"),
        ("mdy", "01/31/2026 12:00 AM"),
        ("mdy", "2026-01-31"),
    ],
)
def test_a_day_is_one_however_it_is_written(order: Any, cell: str) -> None:
    assert as_date(order)(cell) == DAY


@pytest.mark.parametrize(
    "order, cell",
    [
        (None, "31/1/2026"),
        (None, "1.31.2026"),
        (None, "2026-02-30"),
        (None, "31.1.26"),
        (None, "2026-01-31 or so"),
        (None, "31.1.2026 2"),
        (None, "2026-01-31 5,5"),
        (None, "2026-01-30 23:00:00Z"),
        (None, "46053"),
        ("dmy", "1/31/2026"),
        ("mdy", "31/1/2026"),
        ("mdy", "1/31-2026"),
    ],
)
def test_what_may_be_another_day_or_none_is_refused(order: Any, cell: str) -> None:
    with pytest.raises(NotADateError):
        as_date(order)(cell)


@given(st.dates(min_value=date(1000, 1, 1)))
def test_every_day_is_read_in_every_form(day: date) -> None:
    d, m, y = day.day, day.month, day.year
    said = {None: f"{d}.{m}.{y}", "dmy": f"{d:02}/{m:02}/{y}", "mdy": f"{m}/{d}/{y}"}
    for order, cell in said.items():
        assert as_date(order)(cell) == as_date(order)(day.isoformat()) == day.isoformat()  # type: ignore[arg-type]


DATED: dict[str, Any] = {
    "key": {
        "alice": ("name", {"column": "born", "type": "date"}),
        "bob": ("who", {"column": "birth", "type": "date", "format": "mdy"}),
    }
}
DAYS = [date(1970, 1, 31), date(2001, 12, 1), date(1999, 2, 28)]


def tables_of_days(tmp_path: Path) -> dict[str, Path]:
    """The same three persons in tables of every form."""
    names, x = ["A", "b", "Ü"], [1.0, 2.0, 3.0]
    days = pa.array(DAYS, pa.date32())
    columns: dict[str, dict[str, Any]] = {
        "date": {"born": days},
        "moment": {"born": days.cast(pa.timestamp("us"))},
        "zone": {"born": days.cast(pa.timestamp("s")).cast(pa.timestamp("s", "UTC"))},
    }
    found = {}
    for form, born in columns.items():
        found[form] = tmp_path / f"{form}.parquet"
        parquet.write_table(pa.table({"x": x, "name": names} | born), found[form])
    found["arrow"] = tmp_path / "days.arrow"
    feather.write_feather(pa.table({"name": names, "x": x} | columns["date"]), str(found["arrow"]))
    dotted = [f"{day.day}.{day.month}.{day.year}" for day in DAYS]
    rows = list(zip(names, dotted, x, strict=True))
    found["dotted"] = write_table(tmp_path / "d.csv", ["name", "born", "x"], rows)
    found["dialect"] = tmp_path / "dialect.yaml"
    found["dialect"].write_text('file: e.csv\nseparator: ";"\ndecimal: ","\n')
    text = "".join(
        f"{name};{day};{float(one)}\n".replace(".0\n", ",0\n") for name, day, one in rows
    )
    (tmp_path / "e.csv").write_text("name;born;x\n" + text)
    with sqlite3.connect(tmp_path / "days.db") as database:
        database.execute("CREATE TABLE people (name TEXT, born TEXT, x REAL)")
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
    (tmp_path / "uri").write_text(str(tmp_path / "days.db"))
    found["query"] = tmp_path / "query.yaml"
    found["query"].write_text(
        "database: sqlite\nconnection: {file: uri}\n"
        "query: SELECT name, born, x FROM people ORDER BY rowid\n"
    )
    return found


@pytest.mark.parametrize("more", [{}, {"order": "same"}], ids=["any order", "the same"])
def test_a_day_is_one_in_tables_of_all_forms_of_either_holder(
    tmp_path: Path, more: dict[str, str]
) -> None:
    job = aligned_job(align=DATED | more, rows=3 if more else 0)
    rows = [(n, f"{d.month}/{d.day}/{d.year}", 1) for n, d in zip("aBü", DAYS, strict=True)]
    bob = read_identifiers(write_table(tmp_path / "b.csv", ["who", "birth", "y"], rows), job, "bob")
    for form, path in tables_of_days(tmp_path).items():
        table, alice = load_identified(path, job, "alice")
        assert alice.text.tobytes() == bob.text.tobytes(), form
        assert len(table.matrix) == 3 and not alice.doubts


def test_a_table_of_days_is_the_same_in_parts(tmp_path: Path) -> None:
    """The key's cells of a table that is no text are among what is packed."""
    job = aligned_job(align=DATED)
    files = tables_of_days(tmp_path)
    for form in ("moment", "query"):
        path = files[form]
        manifest, parts = split(path, job, Owner.alice)
        write(tmp_path / form, manifest, parts)
        one, other = (load_identified(p, job, "alice") for p in (path, tmp_path / form))
        assert one[1].text.tobytes() == other[1].text.tobytes()
        assert one[0].digest == other[0].digest


@pytest.mark.parametrize("form", ["date", "moment", "zone", "arrow"])
def test_dates_that_the_job_takes_for_text_are_refused(tmp_path: Path, form: str) -> None:
    job = aligned_job(align={"key": ("name", "born")})
    with pytest.raises(InputError) as raised:
        load_identified(tables_of_days(tmp_path)[form], job, "alice")
    assert "'born' of align.key is of type" in raised.value.what
    assert raised.value.hint is not None and "{column: born, type: date}" in raised.value.hint


def test_texts_that_look_like_dates_are_told(tmp_path: Path) -> None:
    job = aligned_job(align={"key": ("name", "born")})
    path = tables_of_days(tmp_path)["dotted"]
    (doubt,) = load_identified(path, job, "alice")[1].doubts
    assert "'born' has dates" in doubt and "{column: born, type: date}" in doubt
    assert checked(path, job, Owner.alice).warnings == (doubt,)


def test_cells_that_are_no_days_are_refused_with_their_rows(tmp_path: Path) -> None:
    rows = [*((f"n{i}", f"{i + 1}.1.2026", i) for i in range(9)), ("secret", "1/2/2026", 1)]
    error = unfit(
        tmp_path, [*rows, ("o", "", 1), ("n3", "2026-01-04", 2)], aligned_job(align=DATED),
        names=("name", "born", "x"),
    )  # fmt: skip
    days, missing, repeated = error.findings
    assert (days.kind, days.column, days.position, days.lines) == ("not-a-date", "born", 2, (11,))
    assert "dmy or mdy" in days.hint and "1/2" not in str(error) and "secret" not in str(error)
    assert (missing.kind, missing.lines) == ("missing-identifier", (12,))
    assert (repeated.kind, repeated.lines) == ("repeated-identifier", (13,)), "the same day"


@pytest.mark.parametrize(
    "key, words",
    [
        ([{"column": "born"}], "type"),
        ([{"column": "born", "type": "date", "format": "ymd"}], "dmy"),
        ([{"column": "born", "type": "number"}], "date"),
        (["born", {"column": "born", "type": "date"}], "a name more than once"),
        ([{"column": "x", "type": "date"}], "'x' is also a column to learn from"),
        (
            {"alice": ["born"], "bob": [{"column": "b", "type": "date"}]},
            "where one holder's column",
        ),
        (["name", {"colum": "born", "type": "date"}], "did you mean 'column'"),
    ],
)
def test_a_key_that_says_no_date_is_refused(key: Any, words: str) -> None:
    said = {"name": "s", "features": ["x"], "label": "y", "align": {"key": key}}
    with pytest.raises(InputError) as raised:
        parse_job(write_yaml(said), "job.yaml")
    assert words in f"{raised.value.what} {raised.value.hint}"


def test_the_digest_tells_a_date_from_a_text() -> None:
    keys: list[Any] = [("n", "born"), ("n", {"column": "born", "type": "date"})]
    keys.append(("n", {"column": "born", "type": "date", "format": "dmy"}))
    assert len({aligned_job(align={"key": key}).digest for key in keys}) == 3


def test_identifiers_are_no_numbers_in_another_dialect(tmp_path: Path) -> None:
    """A decimal comma is for numbers: what looks like one in a key stays what it is."""
    (tmp_path / "t.csv").write_text("id;x\n1.2;1,5\n3,4;2\n")
    path = tmp_path / "t.yaml"
    path.write_text('file: t.csv\nseparator: ";"\ndecimal: ","\n')
    _, found = load_identified(path, JOB, "alice")
    assert found.text.tobytes() == identifiers(["1.2", "3,4"]).text.tobytes()
