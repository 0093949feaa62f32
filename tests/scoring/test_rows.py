"""Rows to score are found by name, and wrong ones are refused without showing them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from party.process.errors import InputError
from party.scoring.rows import batches

SECRET = "4711.0815 EUR"


def table(directory: Path, text: str | bytes) -> Path:
    path = directory / "rows.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def numbers(path: Path, *columns: str) -> list[list[float]]:
    return [row for batch in batches(path, dict.fromkeys(columns)) for row in batch.codes.tolist()]


def test_columns_are_found_by_name_whatever_stands_between_them(tmp_path: Path) -> None:
    path = table(tmp_path, 'b,name,a\n1,"x, y",2\n-3.5e1,"z ""q""",4\n')
    (batch,) = batches(path, {"a": None, "b": None}, ["name"])
    assert batch.codes.tolist() == [[2, 1], [4, -35]]
    assert batch.kept == [["x, y", 'z "q"']]


def test_without_a_header_columns_stand_as_in_the_model(tmp_path: Path) -> None:
    assert numbers(table(tmp_path, "1,2\n3,4\n"), "a", "b") == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match="the first row is not one of names"):
        numbers(table(tmp_path, "1,2,3\n"), "a", "b")


def test_gzip_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    expected = [[1.5, 2.0], [3.0, -4.0]]
    packed = table(tmp_path, gzip.compress(b"a,b\n1.5,2\n3,-4\n"))
    assert numbers(packed, "a", "b") == expected
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"b": [2, -4], "a": [1.5, 3.0], "c": ["x", "y"]}), path)
    assert numbers(path, "a", "b") == expected


def test_many_rows_come_in_batches_and_in_order(tmp_path: Path) -> None:
    count = 400_000
    path = table(tmp_path, "a\n" + "\n".join(map(str, range(count))) + "\n")
    found = [batch.codes[:, 0] for batch in batches(path, {"a": None})]
    assert len(found) > 1
    np.testing.assert_array_equal(np.concatenate(found), np.arange(count))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"a,b\n1,2\n3,{SECRET}\n5,\n", "column 'b': rows 2, 3: the cell is no finite number"),
        ("a,b\nnan,2\n1,inf\n1,0x10\n1,1_000\n", "column 'b': rows 2, 3, 4"),
        ("a,c\n1,2\n", "has no column 'b'"),
        ("a;b\n1;2\n", "its cells are separated by semicolons"),
        ("a,b,b\n1,2,3\n", "the first row is not one of names"),
        (f"a,b\n1,2\n{SECRET}\n", "the row has 1 cells, and the first row 2 names"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-4], "damaged or cut off"),
        ("a,b\n", "no rows"),
        ("", "no rows"),
        (b"PK\x03\x04xl/", "Excel workbook"),
        (b"PAR1 and nothing more\x00", "Parquet"),
    ],
)
def test_what_cannot_be_scored_is_refused_without_showing_it(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    with pytest.raises(InputError) as error:
        numbers(table(tmp_path, text), "a", "b")
    assert says in error.value.what
    assert error.value.hint
    assert "4711" not in str(error.value)
