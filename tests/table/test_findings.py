"""All that is wrong with a table is told at once: by kind and column, with places and no values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import Training
from party.process.errors import InputError
from party.table import Table, load, read_table
from party.table.findings import UnfitTableError

from .conftest import small_job

CANARY = "4711.0815"
Refused = Callable[..., InputError]


def told(error: InputError) -> list[tuple[str, str | None, int, tuple[int, ...]]]:
    assert isinstance(error, UnfitTableError)
    return [(one.kind, one.column, one.count, one.lines) for one in error.findings]


def test_everything_is_told_at_once(refused: Refused) -> None:
    """Empty cells in two columns, words in one, a constant column, an outlier, a short row."""
    rng = np.random.default_rng(1)
    rows = [[f"{value:.3f}" for value in row] for row in rng.normal(size=(400, 6))]
    for row in range(400):
        rows[row][3] = CANARY
    for row in (3, 7, 11, 12, 13, 14, 15):
        rows[row][0] = ""
    rows[9][1] = " "
    rows[20][2] = f"{CANARY}€"
    rows[30][5] = f"{CANARY}e9"
    del rows[40][5]
    rows[50][4] = "-inf"
    text = "\n".join(map(",".join, rows))
    wide = {"training": Training(epochs=1, batch_size=4, learning_rate=1.0)}
    error = refused(text, job=small_job(400, 6).model_copy(update=wide))
    assert told(error) == [
        ("cells", None, 1, (41,)),
        ("empty", "f1", 7, (4, 8, 12, 13, 14)),
        ("empty", "f2", 1, (10,)),
        ("not-a-number", "f3", 1, (21,)),
        ("constant", "f4", 0, ()),
        ("not-finite", "f5", 1, (51,)),
        ("far-row", "f6", 1, (31,)),
    ]
    assert error.what == (
        "the table does not fit the job:\n"
        "  rows with too few or too many cells: line 41\n"
        "  empty cells: lines 4, 8, 12, 13, 14 and 2 more, column 1 ('f1'); "
        "line 10, column 2 ('f2')\n"
        "  cells that are not numbers: line 21, column 3 ('f3')\n"
        "  constant columns, which cannot be standardised: column 4 ('f4')\n"
        "  cells that are not finite: line 51, column 5 ('f5')\n"
        "  rows too far from the others for the steps of this job: line 31, column 6 ('f6')"
    )
    assert error.where == "FILE"
    hints = (error.hint or "").split("\n")
    assert len(hints) == len(set(hints)) == 5
    assert CANARY not in str(error)


def test_a_process_tells_what_a_call_does(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("1,,3\n2,5,x\n3,7,4\n")
    with pytest.raises(UnfitTableError) as here:
        read_table(path, small_job(3), "alice")
    with pytest.raises(UnfitTableError) as there:
        load(path, small_job(3), "alice")
    assert str(here.value) == str(there.value)
    assert here.value.findings == there.value.findings
    assert [one.kind for one in here.value.findings] == ["empty", "not-a-number"]


def test_one_kind_in_many_columns_is_cut_short_for_people_alone(refused: Refused) -> None:
    text = "\n".join([",".join(["7"] * 40)] * 3)
    error = refused(text, job=small_job(3, 40))
    assert isinstance(error, UnfitTableError) and len(error.findings) == 40
    assert error.what.endswith("column 12 ('f12'); and 28 more columns")


def test_faults_far_apart_in_a_large_table(refused: Refused) -> None:
    rows = ["1,2,3", "4,5,7"] * 100_000
    rows[12], rows[145_678], rows[199_999] = "1,,3", "1,2,1e999", "1,2,x"
    assert told(refused("\n".join(rows), job=small_job(200_000))) == [
        ("empty", "f2", 1, (13,)),
        ("not-finite", "f3", 1, (145_679,)),
        ("not-a-number", "f3", 1, (200_000,)),
    ]


@pytest.mark.parametrize(
    ("lines", "kind", "words"),
    [
        ("f1;f2\n0,5;0,25\n1,5;3,5\n", "separator", "separated by semicolons"),
        ("0,5;0,25\n1,5;3,5\n", "separator", "commas stand in the numbers"),
        ("0,5;7\n0,5;8\n", "separator", "commas stand in the numbers"),
        ("0.5;0.25\n1.5;3.5\n", "separator", "separated by semicolons"),
        ("0.5\t0.25\n1.5\t3.5\n", "separator", "separated by tabs"),
        ('"0,5","0,25"\n"1,5","3,5"\n', "not-a-number", "with a point"),
        ("0,5,0,25\n1,5,3,5\n", "cells", "with a point"),
        ('"1.234,5",2\n1,3\n', "not-a-number", "with a point"),
    ],
)
def test_other_separators_and_decimal_commas(
    refused: Refused, lines: str, kind: str, words: str
) -> None:
    error = refused(lines, job=small_job(2, 2))
    assert {one[0] for one in told(error)} == {kind}
    assert words in str(error)


@pytest.mark.parametrize("words", [("true", "false"), ("yes", "no"), ("1", "-1"), ("ja", "0")])
def test_labels_that_are_words_get_the_labels_that_are_wanted(
    refused: Refused, words: tuple[str, str]
) -> None:
    error = refused("guilty\n" + "\n".join(words * 2), "bob")
    assert error.hint == "write labels as 0 and 1"
    assert (error.where or "").endswith("column 1 ('guilty')")


@pytest.mark.parametrize("header", ["0,1,2", ",0,1,2"])
@pytest.mark.parametrize("rows", [3, 4])
def test_a_header_of_numbers_is_not_taken_for_a_row(
    refused: Refused, header: str, rows: int
) -> None:
    index = header.startswith(",")
    lines = [f"{i}," * index + f"{i},{i * i},{-i}.5" for i in range(3)]
    error = refused("\n".join([header, *lines]), job=small_job(rows))
    assert isinstance(error, UnfitTableError)
    assert error.findings[0].kind == "numeric-header"
    assert "header=False" in (error.hint or "")
    assert not [one for one in error.findings if one.kind == "rows"] or rows == 3


def test_one_row_too_many_may_be_a_header(refused: Refused) -> None:
    """A single column of pandas' own has the header 0, which is a label too."""
    error = refused("0\n1\n0\n0\n1\n", "bob")
    assert error.what == "the table has 5 rows, and the job 4"
    assert "is the first row a header?" in (error.hint or "")


def test_a_row_that_counts_is_one_under_a_header(read: Callable[..., Table]) -> None:
    """As the hint says."""
    assert read("f1,f2,f3\n0,1,2\n1,0,2.5\n2,3,4\n3,3,9\n").matrix.shape == (4, 4)
