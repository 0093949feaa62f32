"""A file that is no CSV is told by what it is, and what to do about it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from party.process.errors import InputError
from party.table import read_table

from .conftest import small_job

Refused = Callable[..., InputError]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"PK\x03\x04\x14\0\x08\0[Content_Types].xml", "an Excel workbook (.xlsx)"),
        (b"PK\x03\x04\x14\0\x08\0\0\0xl/workbook.xml", "an Excel workbook (.xlsx)"),
        (b"PK\x03\x04\x14\0\x08\0alice.csv", "a zip archive"),
        (b"BZh91AY&SY\x01\x02", "a bzip2 file"),
        (b"\xfd7zXZ\0\0\x04", "an xz file"),
        (b"\x28\xb5\x2f\xfd\x04\0", "a zstd file"),
        (b"PAR1\x15\x04\x15", "a Parquet file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an Excel workbook (.xls)"),
        ("\ufefff1,f2\n".encode("utf-16-le"), "text in UTF-16"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_another_form_of_file_is_told_by_its_name(
    refused: Refused, content: bytes, name: str, packed: bool
) -> None:
    error = refused(gzip.compress(content) if packed else content)
    assert (error.what, error.where) == (f"the table is {name}, not CSV text", "FILE")
    assert error.hint


def test_who_has_a_part_of_a_parquet_file_is_asked_for_the_whole(refused: Refused) -> None:
    assert "whole" in (refused(b"PAR1\x15\x04\x15").hint or "")


def test_a_header_may_begin_as_another_form_does(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("PAR1,BZh9,%PDF-\n1,2,3\n4,9,7\n")
    job = small_job(2).model_copy(update={"features": ("PAR1", "BZh9", "%PDF-")})
    assert read_table(path, job, "alice").matrix.shape == (2, 4)
