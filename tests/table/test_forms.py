"""A table in another form is the same table: the same numbers, checks and messages."""

from __future__ import annotations

import datetime
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from party.agreement.job import Job, parse_job
from party.process.errors import InputError
from party.table import Table, UnfitTableError, load, read_table

pytestmark = pytest.mark.usefixtures("tables_read_here")

JOB = """
name: forms
rows: 4
features: [plain, gap, word, flag, day]
label: y
columns:
  gap: {missing: median, indicator: true}
  word: {type: category, values: [one, "two, three"], missing: other}
  flag: boolean
  day: date
"""

CSV = """\
day,word,plain,more,gap,flag
2001-01-02,one,1.5,x,,true
2001-01-03,"two, three",-2,y,4,false
2001-01-05,,1e3,z,5,true
2001-02-01,"a ""word"" ",0.25,,9,true
"""

COLUMNS = {
    "day": [datetime.date(2001, 1, 2), datetime.date(2001, 1, 3), datetime.date(2001, 1, 5),
            datetime.date(2001, 2, 1)],
    "word": ["one", "two, three", None, 'a "word" '],
    "plain": [1.5, -2.0, 1000.0, 0.25],
    "more": [b"x", b"y", None, b"z"],
    "gap": [None, 4, 5, 9],
    "flag": [True, False, True, True],
}  # fmt: skip


@pytest.fixture
def job() -> Job:
    return parse_job(JOB, "JOB")


@pytest.fixture
def plain(tmp_path: Path, job: Job) -> Table:
    (tmp_path / "plain.csv").write_text(CSV)
    return read_table(tmp_path / "plain.csv", job, "alice")


def write_parquet(path: Path, columns: dict[str, Any]) -> None:
    parquet.write_table(pa.table(columns), path, row_group_size=2)


def write_arrow(path: Path, columns: dict[str, Any]) -> None:
    feather.write_feather(pa.table(columns), str(path), chunksize=3)


Write = Callable[[Path, dict[str, Any]], None]


@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_parquet_and_arrow_read_as_the_same_numbers(
    write: Write, plain: Table, job: Job, tmp_path: Path
) -> None:
    write(tmp_path / "table", COLUMNS)
    found = load(tmp_path / "table", job, "alice")
    assert (found.matrix == plain.matrix).all()
    assert found.fitted == plain.fitted
    assert found.ignored == (4,)


@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_what_does_not_fit_is_told_with_rows(write: Write, job: Job, tmp_path: Path) -> None:
    wrong = COLUMNS | {"flag": ["true", "maybe", "false", "perhaps"], "plain": [1.0, 2.0, None, 4]}
    write(tmp_path / "table", wrong)
    with pytest.raises(UnfitTableError) as caught:
        load(tmp_path / "table", job, "alice")
    told = {(one.kind, one.column): (one.unit, one.lines) for one in caught.value.findings}
    assert told["not-a-boolean", "flag"] == ("row", (2, 4))
    assert told["empty", "plain"] == ("row", (3,))
    assert "rows 2, 4, column 6 ('flag')" in str(caught.value)
    assert "maybe" not in str(caught.value)


@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_a_missing_column_is_told_by_name(write: Write, job: Job, tmp_path: Path) -> None:
    columns = {("wort" if name == "word" else name): own for name, own in COLUMNS.items()}
    write(tmp_path / "table", columns)
    with pytest.raises(InputError, match="does not have 'word'") as caught:
        load(tmp_path / "table", job, "alice")
    assert "column 2 meant" in str(caught.value.hint)


@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_a_damaged_file_is_refused(write: Write, job: Job, tmp_path: Path) -> None:
    path = tmp_path / "table"
    write(path, COLUMNS)
    content = path.read_bytes()
    path.write_bytes(content[:20] + content[40:])
    with pytest.raises(InputError, match="damaged"):
        load(path, job, "alice")


@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_a_file_whose_columns_names_are_no_text_is_refused(
    write: Write, job: Job, tmp_path: Path
) -> None:
    path = tmp_path / "table"
    write(path, COLUMNS)
    path.write_bytes(path.read_bytes().replace(b"word", b"\xfford"))
    with pytest.raises(InputError, match="damaged"):
        load(path, job, "alice")


def test_a_column_without_a_text_is_refused(job: Job, tmp_path: Path) -> None:
    write_parquet(tmp_path / "table", COLUMNS | {"word": [[1], [2], [3], [4]]})
    with pytest.raises(InputError, match="'word' is of type list"):
        load(tmp_path / "table", job, "alice")


# --- dialects -----------------------------------------------------------------------------------

GERMAN = """\
day;word;plain;more;gap;flag
2001-01-02;one;1,5;x;NA;true
2001-01-03;two, three;-2;ü;4,0;false
2001-01-05;-;1e3;"z;z";5;true
2001-02-01;"a ""word"" ";0,25;;9;true
"""

DIALECT = """\
file: table.txt
separator: ";"
decimal: ","
encoding: cp1252
gaps: [NA, "-"]
"""


@pytest.fixture
def german(tmp_path: Path, job: Job) -> Callable[..., Table]:
    """Reads a text in another dialect; as ``DIALECT`` says it if nothing else is said."""

    def german(text: str = GERMAN, said: str = DIALECT, encoding: str = "cp1252") -> Table:
        (tmp_path / "table.txt").write_bytes(text.encode(encoding))
        (tmp_path / "table.yaml").write_text(said)
        return load(tmp_path / "table.yaml", job, "alice")

    return german


def test_another_dialect_reads_as_the_same_numbers(
    german: Callable[..., Table], plain: Table
) -> None:
    found = german()
    assert (found.matrix == plain.matrix).all()
    assert found.digest == plain.digest or found.fitted == plain.fitted
    assert (german(GERMAN.replace("\n", "\r\n")).matrix == plain.matrix).all()
    wide = german("\ufeff" + GERMAN, DIALECT.replace("cp1252", "utf-16"), "utf-16")
    assert (wide.matrix == plain.matrix).all()


def test_a_point_among_decimal_commas_is_refused(german: Callable[..., Table]) -> None:
    """1.234 is a thousand and more to whoever writes decimal commas."""
    with pytest.raises(UnfitTableError) as caught:
        german(GERMAN.replace("0,25", "1.234"))
    (finding,) = (one for one in caught.value.findings if one.kind == "not-a-number")
    assert (finding.column, finding.lines) == ("plain", (5,))
    assert "thousands" in finding.hint and "1.234;" not in str(caught.value)


def test_lines_keep_their_numbers(german: Callable[..., Table]) -> None:
    with pytest.raises(UnfitTableError) as caught:
        german(GERMAN.replace("5;true", "5;true;").replace("4,0;false", "4,0;never"))
    told = {one.kind: one.lines for one in caught.value.findings}
    assert told["cells"] == (4,)
    assert told["not-a-boolean"] == (3,)


def test_another_encoding_is_refused(german: Callable[..., Table]) -> None:
    with pytest.raises(InputError, match="the text is not utf-8") as caught:
        german(GERMAN, DIALECT.replace("cp1252", "utf-8"))
    assert "cp1252" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("file: table.txt\nseperator: tab\n", "seperator: unknown key"),
        ("file: table.txt\nencoding: klingon\n", "encoding: 'klingon' is no encoding"),
        ("file: table.txt\nencoding: zip\n", "encoding: 'zip' is no encoding"),
        ("file: table.txt\ndecimal: ','\n", "separator: cells and decimals"),
        ("- file\n", "no mapping"),
        ("query: DELETE FROM t\ndatabase: sqlite\nconnection: {env: A}\n", "SELECT or WITH"),
        ("query: SELECT 1\ndatabase: sqlite\nconnection: {env: A}\n", "ORDER BY"),
        ("query: SELECT 1\ndatabase: sqlite\nconnection: {}\n", "in the environment"),
    ],
)
def test_wrong_settings_are_refused_by_key(
    german: Callable[..., Table], said: str, what: str
) -> None:
    with pytest.raises(InputError) as caught:
        german(said=said)
    assert what in caught.value.what


cells = st.text(st.characters(codec="cp1252", exclude_characters="\r\n\0"), max_size=6)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), cells), min_size=2, max_size=8),
    st.sampled_from([";", "tab", "|"]),
)
def test_words_and_numbers_come_out_of_any_dialect_as_they_went_in(
    rows: list[tuple[float, str]], separator: str
) -> None:
    import csv
    import io

    from party.table.text import Text

    sign = "\t" if separator == "tab" else separator
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sign, lineterminator="\n")
    writer.writerows([("n", "w"), *((repr(n).replace(".", ","), word) for n, word in rows)])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "t.yaml"
        path.with_name("t.txt").write_bytes(text.getvalue().encode("cp1252"))
        path.write_text(f"file: t.txt\nseparator: '{separator}'\ndecimal: ','\nencoding: cp1252\n")
        job = parse_job(
            f"name: j\nrows: {len(rows)}\nfeatures: [n, w]\nlabel: y\n"
            "columns: {w: {type: category, values: [x]}}",
            "JOB",
        )
        from party.table.expected import Expected

        found = b"".join(block.text for block in Text(path, Expected.of(job, "alice")))
    read = list(csv.reader(io.StringIO(found.decode()), strict=True))
    assert [(float(n), word) for n, word in read[1:]] == rows


def test_lines_taken_one_by_one_are_those_taken_together() -> None:
    from party.table.forms.dialect import Dialect

    dialect = Dialect(";", ",", "utf-8", ("NA", "-"))
    odd = [
        "1,5",
        " -,5e3 ",
        "1.5",
        "1.234.567",
        "NA",
        " - ",
        "",
        "a,b",
        "1,2,3",
        ".",
        ",",
        "+1,0e-2",
    ]
    lines = "".join(f"{cell};{cell}\n" for cell in odd)
    together = dialect._quickly(lines, [True, False])
    alone = [dialect._exactly(line, [True, False]) for line in lines.splitlines(keepends=True)]
    assert together == b"".join(alone)
    assert together is not None and b'"1,2,3","1,2,3"' in together


# --- queries ------------------------------------------------------------------------------------

QUERY = """\
database: sqlite
connection: {env: TABLE_DATABASE}
query: SELECT day, word, plain, gap, flag FROM people ORDER BY id
gaps: ["?"]
"""


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of SQLite with the same table."""
    path = tmp_path / "people secret.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE people (id INTEGER, day TEXT, word TEXT, plain REAL, gap INTEGER, flag)"
        )
        rows = list(
            zip(*(COLUMNS[n] for n in ("day", "word", "plain", "gap", "flag")), strict=True)
        )
        for i, (day, *rest) in reversed(list(enumerate(rows))):
            database.execute("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?)", (i, str(day), *rest))
    database.close()
    monkeypatch.setenv("TABLE_DATABASE", str(path))
    (tmp_path / "people.yaml").write_text(QUERY)
    return path


def test_a_query_reads_as_the_same_numbers(
    people: Path, plain: Table, job: Job, tmp_path: Path
) -> None:
    found = load(tmp_path / "people.yaml", job, "alice")
    assert (found.matrix == plain.matrix).all()
    (tmp_path / "uri").write_text(f"file:{str(people).replace(' ', '%20')}?mode=rwc\n")
    (tmp_path / "people.yaml").write_text(QUERY.replace("env: TABLE_DATABASE", "file: uri"))
    assert (load(tmp_path / "people.yaml", job, "alice").matrix == plain.matrix).all()


def test_a_database_is_opened_for_reading_alone(people: Path, job: Job, tmp_path: Path) -> None:
    """One that is not there is not made, and nothing can be written through a query."""
    people.rename(people.with_name("elsewhere"))
    with pytest.raises(InputError, match="cannot open the database") as caught:
        load(tmp_path / "people.yaml", job, "alice")
    assert not people.exists()
    assert "secret" not in str(caught.value)


def test_a_query_that_fails_shows_nothing_of_the_database(
    people: Path, job: Job, tmp_path: Path
) -> None:
    (tmp_path / "people.yaml").write_text(QUERY.replace("people", "strangers"))
    with pytest.raises(InputError, match="cannot run the query") as caught:
        load(tmp_path / "people.yaml", job, "alice")
    assert "strangers" not in str(caught.value) and "secret" not in str(caught.value)


def test_wrong_rows_of_a_query_are_told(people: Path, job: Job, tmp_path: Path) -> None:
    with sqlite3.connect(people) as database:
        database.execute("UPDATE people SET day = '1.1.2001' WHERE id = 2")
    database.close()
    with pytest.raises(UnfitTableError, match="not a date") as caught:
        load(tmp_path / "people.yaml", job, "alice")
    assert "row 3, column 1 ('day')" in str(caught.value)


def test_without_the_driver_it_is_said_what_to_install(
    people: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite.dbapi", None)
    with pytest.raises(InputError, match="driver of the database is not installed") as caught:
        read_table(tmp_path / "people.yaml", job, "alice")
    assert "tfe-kit[tables]" in str(caught.value.hint)
