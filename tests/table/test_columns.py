"""Under a header the job takes its own columns by their names, and nothing else of the table."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.commands.data import Owner, join, split, write
from party.process.errors import InputError
from party.table import Table, load, read_table
from party.table.findings import UnfitTableError

from .conftest import ROWS, small_job

pytestmark = pytest.mark.usefixtures("tables_read_here")

Read = Callable[..., Table]
Refused = Callable[..., InputError]

PLAIN = "f1,f2,f3\n" + "".join(f"{row}\n" for row in ROWS)
SECRET = "Müller, Anna"


def written(header: list[str], *, quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """The plain table, its columns in another order and among others."""
    rows = list(csv.DictReader(io.StringIO(PLAIN)))
    others = {"name": SECRET, "note": 'said "no"', "id": "17", "": "3"}
    text = io.StringIO()
    lines = csv.writer(text, quoting=quoting, lineterminator="\r\n")
    lines.writerow(header)
    lines.writerows([[(others | row).get(name, "x") for name in header] for row in rows])
    return text.getvalue()


ORDERS = (
    ["f3", "f1", "f2"],
    ["f1", "f2", "f3", "id"],
    ["", "f1", "f2", "f3"],
    ["name", "f2", "note", "f3", "id", "f1"],
    ["2023", "f3", "f2", "f1", "2023"],
)


@pytest.mark.parametrize("header", ORDERS, ids=",".join)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_order_does_not_matter_and_other_columns_are_ignored(
    read: Read, header: list[str], quoting: Any
) -> None:
    plain, other = read(PLAIN), read(written(header, quoting=quoting))
    np.testing.assert_array_equal(other.matrix, plain.matrix)
    np.testing.assert_array_equal(other.mean, plain.mean)
    assert plain.ignored == ()
    wanted = {"f1", "f2", "f3"}
    assert other.ignored == tuple(i for i, name in enumerate(header, 1) if name not in wanted)


@pytest.mark.parametrize("header", ORDERS, ids=",".join)
def test_what_is_put_is_the_jobs_columns_alone(header: list[str], tmp_path: Path) -> None:
    """What the job does not name stays at home; the digests are of what is taken."""
    path, job = tmp_path / "alice.csv", small_job()
    path.write_text(written(header))
    manifest, contents = split(path, job, Owner.alice)
    write(tmp_path / "parts", manifest, contents)
    text = join(tmp_path / "parts", job, Owner.alice)
    assert text == PLAIN.encode()
    assert SECRET.encode() not in gzip.decompress(b"".join(contents))
    digests = {load(one, job, "alice").digest for one in (path, tmp_path / "parts")}
    assert digests == {manifest.sha256} == {hashlib.sha256(PLAIN.encode()).hexdigest()}


def test_a_table_with_just_the_jobs_columns_is_put_byte_for_byte(tmp_path: Path) -> None:
    path, job = tmp_path / "alice.csv", small_job()
    for text in ("\ufeff" + PLAIN, PLAIN.replace("\n", "\r\n"), "\n".join(ROWS)):
        path.write_bytes(text.encode())
        manifest, _ = split(path, job, Owner.alice)
        assert manifest.sha256 == hashlib.sha256(text.encode()).hexdigest()


@given(st.permutations(["f1", "f2", "f3", "a", "b"]), st.text(max_size=20))
def test_any_text_may_stand_in_a_column_that_is_ignored(order: list[str], other: str) -> None:
    import tempfile

    other = other.translate(dict.fromkeys(map(ord, "\r\n\0")))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(order)
    for i in range(3):
        values = {"f1": i, "f2": i * i, "f3": -i, "a": other, "b": '"'}
        lines.writerow([values[name] for name in order])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "t.csv"
        path.write_bytes(text.getvalue().encode("utf-8", "replace"))
        table = read_table(path, small_job(3, protocol="aby3"), "alice")
    assert table.mean is not None
    np.testing.assert_allclose(table.mean, [1, 5 / 3, -1])


def test_many_blocks_with_other_columns(read: Read) -> None:
    values = np.random.default_rng(3).normal(5, 2, (60_000, 3))
    rows = [f"{c!r},u{i},{a!r},{b!r}" for i, (a, b, c) in enumerate(values.tolist())]
    text = "f3,user,f1,f2\n" + "\n".join(rows)
    assert len(text) > 2 * 2**20
    table = read(text, job=small_job(60_000))
    expected = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(table.matrix[:, :-1], expected, rtol=1e-6, atol=1e-6)


def test_missing_columns_are_refused_by_name(refused: Refused) -> None:
    error = refused("f2,name\n" + "1,x\n" * 4)
    assert isinstance(error, UnfitTableError)
    missing = [one.column for one in error.findings if one.kind == "missing-column"]
    assert missing == ["f1", "f3"]
    assert "columns that the header does not have: line 1, 'f1'; line 1, 'f3'" in error.what
    assert [one.kind for one in error.findings][-1] == "constant", "and the rest is looked at"


def test_a_column_that_stands_twice_is_refused(refused: Refused) -> None:
    error = refused("f1,f2,f3,f1\n" + "".join(f"{row},1\n" for row in ROWS))
    assert error.what == "the header has 'f1' more than once"
    assert error.where == "FILE, line 1, column 4 ('f1')"


def test_places_are_those_in_the_table_itself(refused: Refused) -> None:
    text = written(["name", "f2", "note", "f3", "id", "f1"]).replace("-3e2", "")
    error = refused(text)
    assert error.what == "the cell is empty"
    assert error.where == "FILE, line 2, column 4 ('f3')"
    assert "Anna" not in str(error)


def test_a_cell_of_two_lines_is_refused_in_an_ignored_column_too(refused: Refused) -> None:
    error = refused('note,f1,f2,f3\n"a\nb",1,2,3\nc,2,5,1\nd,3,9,2\ne,4,8,8\n')
    assert error.what == "the quotes in the line do not match"
    assert error.where == "FILE, line 2"


@pytest.mark.parametrize("other", [b"\0", b"\xff"])
def test_an_ignored_column_is_text_all_the_same(refused: Refused, other: bytes) -> None:
    error = refused(b"note,f1,f2,f3\na,1,2,3\n%b,2,5,1\nc,3,9,2\nd,4,8,8\n" % other)
    assert error.where == "FILE, line 3" and error.hint


def test_a_row_of_another_width_than_the_header(refused: Refused) -> None:
    error = refused(written(["f3", "f1", "f2", "id"]).replace("7,0.25,4,17", "7,0.25,4"))
    assert error.what == "the row has 3 cells, and the header 4 columns"
    assert error.where == "FILE, line 3"


@pytest.mark.parametrize("cell", ['"1,5"', '"""1"""', "1\t\t2", "nan", "\xff"])
def test_a_wrong_cell_among_other_columns_is_refused(refused: Refused, cell: str) -> None:
    text = f"id,f2,f1,f3\n1,2,{cell},4\n2,5,6,9\n3,1,1,1\n4,0,7,2\n"
    assert (refused(text.encode("latin-1")).where or "").startswith("FILE, line 2")
