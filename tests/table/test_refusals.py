"""A bad table is refused with its place and without the value that stands there."""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from party.agreement.job import Descent, Job, Training
from party.process.errors import InputError
from party.table import Table, read_table

from .conftest import LABELS, ROWS, small_job

Refused = Callable[..., InputError]

CANARY = "4711.0815"  # stands wherever a value is wrong, and never in a message


def table(*, cell: str | None = None, row: int = 2, column: int = 1) -> str:
    """A good table but for one cell; ``row`` and ``column`` counted from 0."""
    rows = [line.split(",") for line in ROWS]
    if cell is not None:
        rows[row][column] = cell
    return "\n".join(",".join(cells) for cells in rows) + "\n"


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("nan", "the cell is not a finite number"),
        ("-Infinity", "the cell is not a finite number"),
        (CANARY.replace(".", "") + "e308", "the cell is not a finite number"),
        (CANARY.replace(".", "") * 40, "the cell is not a finite number"),
        ("", "the cell is empty"),
        ("  ", "the cell is empty"),
        ('""', "the cell is empty"),
        ("None", "the cell is not a number"),
        (CANARY + "x", "the cell is not a number"),
        ("0x" + CANARY.replace(".", ""), "the cell is not a number"),
        (CANARY.replace("1", "1_"), "the cell is not a number"),
        ("٤٧١١", "the cell is not a number"),
        (f'"{CANARY}" ', "the quotes in the line do not match"),
        (f'"{CANARY}"7', "the quotes in the line do not match"),
        (f'"{CANARY}', "the quotes in the line do not match"),
        (f'{CANARY[:4]}"{CANARY}"', "the cell is not a number"),
        (CANARY + "\0", "the line holds a NUL byte: this is not CSV text"),
        (CANARY + "\r", "there is a carriage return inside of the line"),
    ],
)
def test_a_wrong_cell(refused: Refused, cell: str, what: str) -> None:
    error = refused(table(cell=cell))
    assert error.what == what
    in_cell = error.what.startswith("the cell")
    assert error.where == ("FILE, line 3, column 2 ('f2')" if in_cell else "FILE, line 3")
    assert error.hint
    assert_hides(error)


@pytest.mark.parametrize("header", ["", "f1,f2,f3\r\n"])
def test_lines_are_counted_as_an_editor_counts_them(refused: Refused, header: str) -> None:
    text = header + table(cell=CANARY + "x", row=3, column=0).replace("\n", "\r\n")
    assert refused(text).where == f"FILE, line {5 if header else 4}, column 1 ('f1')"
    text = header + table(cell="inf", row=3, column=0).replace("\n", "\r\n")
    assert refused(text).where == f"FILE, line {5 if header else 4}, column 1 ('f1')"


def test_the_place_is_right_far_into_a_large_table(refused: Refused) -> None:
    rows = ["1,2,3", "4,5,7"] * 100_000
    for wrong in (f"{CANARY}x", "1e999"):
        rows[145_678] = f"1,2,{wrong}"
        error = refused("\n".join(rows), job=small_job(200_000))
        assert error.where == "FILE, line 145679, column 3 ('f3')"
        assert_hides(error)


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("", "the table is empty", "FILE"),
        ("\n\n", "the table is empty", "FILE"),
        ("\ufeff", "the table is empty", "FILE"),
        ("f1,f2,f3\n", "the table has a header and no rows", "FILE"),
        ("f1,f2,f3", "the table has a header and no rows", "FILE"),
        (table() + "\n", "the line is empty", "FILE, line 5"),
        ("\n" + table(), "the line is empty", "FILE, line 1"),
        (table(cell=f"2,{CANARY}"), "the row has 4 cells, and the job 3 columns", "FILE, line 3"),
        (
            table().replace("2,-3", CANARY),
            "the row has 2 cells, and the job 3 columns",
            "FILE, line 1",
        ),
        (
            table().replace("\n", f",{CANARY}\n"),
            "the row has 4 cells, and the job 3 columns",
            "FILE, lines 1, 2, 3, 4",
        ),
        (table() + f"{CANARY},1,1\n", "the table has 5 rows, and the job 4", "FILE"),
        (table() * 2, "the table has 8 rows, and the job 4", "FILE"),
        ("\n".join(ROWS[:-1]), "the table has 3 rows, and the job 4", "FILE"),
    ],
)
def test_a_wrong_shape(refused: Refused, text: str, what: str, where: str) -> None:
    error = refused(text)
    assert (error.what, error.where) == (what, where)
    assert_hides(error)


def test_a_job_of_more_rows_than_memory_holds_is_refused_by_its_rows(refused: Refused) -> None:
    error = refused(table(), job=small_job(2**31 - 1, protocol="aby3"))
    assert error.what == "the table has 4 rows, and the job 2147483647"


def test_counting_too_many_rows_ends(refused: Refused) -> None:
    error = refused("1,5,3\n2,1,4\n" * 1_000_000)
    assert error.what == "the table has more than 8 rows, and the job 4"


@pytest.mark.parametrize(
    ("header", "what", "where", "hint"),
    [
        ("f1,f2,ff3", "the header does not have 'f3'", "", "is column 3 meant? then rename"),
        ("f1,f2,secret", "the header does not have 'f3'", "", "every column that the job names"),
        ("f1,f2,f3,f2", "the header has 'f2' more than once", ", column 4 ('f2')", "keep one"),
        ("f1;f2;f3", "the cells are separated by semicolons", "", "separate cells by commas"),
        ("f1\tf2\tf3", "the cells are separated by tabs", "", "a settings file"),
    ],
)
def test_a_wrong_header(refused: Refused, header: str, what: str, where: str, hint: str) -> None:
    width = header.count(",") + 1
    rows = "".join(line + ",7" * (width - 3) + "\n" for line in ROWS[: 4 if width > 1 else 3])
    error = refused(header + "\n" + rows)
    assert error.what.startswith(what)
    assert error.where == "FILE, line 1" + where
    assert hint in (error.hint or "")
    # What looks like a header may be somebody's first row: a stranger's name is not repeated.
    assert "secret" not in str(error) and "ff3" not in str(error)


@pytest.mark.parametrize("label", ["2", "-1", "0.5", CANARY, "1e-300"])
def test_a_label_other_than_0_and_1(refused: Refused, label: str) -> None:
    error = refused("\n".join([*LABELS[:2], label, LABELS[3]]), "bob")
    assert error.what == "the label is neither 0 nor 1"
    assert error.where == "FILE, line 3, column 1 ('guilty')"
    assert_hides(error)


@pytest.mark.parametrize("label", ["0", "1"])
def test_labels_that_are_all_the_same(refused: Refused, label: str) -> None:
    assert refused(f"{label}\n" * 4, "bob").what == "all labels are the same"


@pytest.mark.parametrize("value", ["0", "0.1", CANARY, "1e300"])
def test_a_constant_column(refused: Refused, value: str) -> None:
    rows = [line.split(",") for line in ROWS]
    error = refused("\n".join(f"{a},{value},{c}" for a, _, c in rows))
    assert error.what.startswith("the column is constant")
    assert error.where == "FILE, column 2 ('f2')"
    assert_hides(error)


def test_a_column_that_varies_by_rounding_only(refused: Refused) -> None:
    rows = [f"{line},{float(np.nextafter(0.1, i % 2))}" for i, line in enumerate(ROWS)]
    error = refused("\n".join(rows), job=small_job(columns=4))
    assert error.what.startswith("the column is constant")


def test_values_too_large_to_square(refused: Refused) -> None:
    for value in ("1e200", "1.7e308"):
        error = refused(table(cell=value))
        assert error.what == "the column's values are too large to standardise"
        assert error.where == "FILE, column 2 ('f2')"


def test_an_outlier_beyond_the_fixed_point_range(refused: Refused) -> None:
    rows = 1_200_000
    text = "0\n1\n" * (rows // 2 - 1) + f"0\n{10**9}\n"
    job = small_job(rows, 1, "aby3")
    error = refused(text, job=job)
    assert error.what == "the value is more than 1024 standard deviations from the column's mean"
    assert error.where == f"FILE, line {rows}, column 1 ('f1')"


def test_an_outlier_that_one_step_would_throw_over_the_range_of_the_sigmoid(
    refused: Refused, read: Callable[..., Table]
) -> None:
    text = "f1,f2\n" + "0,1\n1,0\n" * 250 + f"{CANARY},1\n" + "0,1\n"
    job = small_job(502, 2)
    assert read(text, job=job).matrix.shape == (502, 3)
    wide = job.model_copy(update={"training": Training(epochs=1, batch_size=4, learning_rate=1.0)})
    error = refused(text, job=wide)
    assert "the range in which training holds together" in error.what
    assert error.where == "FILE, line 502, column 1 ('f1')"
    assert_hides(error)
    # The job decides: passes over all rows have no step of one batch.
    whole = job.model_copy(update={"training": Descent()})
    assert read(text, job=whole).matrix.shape == (502, 3)


def test_text_that_is_not_utf8(refused: Refused) -> None:
    error = refused(table(cell=CANARY + "é").encode("latin-1"))
    assert (error.what, error.where) == ("the line is not UTF-8", "FILE, line 3")
    assert_hides(error)


def test_what_is_no_readable_file(job: Job, tmp_path: Path) -> None:
    def refusal(path: Path) -> InputError:
        with pytest.raises(InputError) as caught:
            read_table(path, job, "alice")
        assert caught.value.where and caught.value.where.startswith(str(path))
        return caught.value

    assert refusal(tmp_path / "none").what == "cannot read the table: No such file or directory"
    assert refusal(tmp_path).what == "the directory holds no table"
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo").what == "the table is neither a file nor a directory"
    assert refusal(Path("/dev/zero")).what == "the table is neither a file nor a directory"
    assert "Not a directory" in refusal(Path(__file__) / "table").what


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.touch(mode=0)
    with pytest.raises(InputError, match="Permission denied"):
        read_table(path, job, "alice")


def test_a_damaged_gzip_file(refused: Refused) -> None:
    packed = gzip.compress(table().encode())
    for damaged in (
        packed[:-9],
        packed[:12],
        packed[:20] + b"\xff\xff" + packed[22:],
        packed + b"x",
    ):
        assert refused(damaged).what == "the gzip file is damaged or cut off"


def test_a_gzip_bomb_is_refused_before_it_unfolds(refused: Refused) -> None:
    without_end = io.BytesIO()
    with gzip.GzipFile(fileobj=without_end, mode="wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"0" * 2**20)
    error = refused(without_end.getvalue())
    assert error.what == "the line has more than 1048576 bytes"
    assert error.where == "FILE, line 1"


cells = st.text(alphabet="0123456789+-.eEnaifINF_x \t\"'é\0\r;", max_size=8)


@given(st.lists(cells, min_size=2, max_size=2))
@example(["+1", "-1."])
@example([" .5\t", "1e-400"])
@example(['"1"', '"2"'])
@example(["1e999", "nan(1)"])
@example(['"1"2', '1""2'])
def test_every_cell_is_read_as_python_reads_it_or_refused_by_its_place(values: list[str]) -> None:
    """The quick reading and the exact one, which finds the place, agree on what a number is."""
    text = f"3,9\n{values[0]},{values[1]}\n5,4\n7,2\n"
    job = small_job(4, 2, "aby3")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "t.csv"
        path.write_bytes(text.encode())
        try:
            table = read_table(path, job, "alice")
        except InputError as error:
            places = re.findall(r"lines? [0-9, ]*[0-9]", f"{error.what} {error.where}")
            assert set(places) <= {"line 2"} and error.hint
            assert places or "constant" in error.what
            return
    assert table.mean is not None
    columns = np.array([[3, 9], [float(v.strip('"')) for v in values], [5, 4], [7, 2]])
    np.testing.assert_allclose(table.mean, columns.mean(axis=0), rtol=1e-14)


@given(st.integers(0, 2**32))
def test_a_damaged_table_is_read_or_refused_and_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    damaged = bytearray(table().encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(damaged) + 1)
        damaged[at : at + rng.randint(0, 2)] = rng.choice(
            [
                b"\n",
                b"\r",
                b'"',
                b",",
                b"\0",
                b"\xff",
                b"\x1f\x8b",
                b"9" * 400,
                b"-",
                rng.randbytes(3),
            ]
        )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "t.csv"
        path.write_bytes(damaged)
        try:
            read = read_table(path, small_job(protocol="aby3"), "alice")
        except InputError as error:
            assert str(path) in (error.where or "")
        else:
            assert np.isfinite(read.matrix).all()


def assert_hides(error: InputError) -> None:
    for digits in (CANARY, CANARY.replace(".", ""), "1e200"):
        assert digits not in re.sub(r"[_, ]", "", str(error))
