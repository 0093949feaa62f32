"""Columns with gaps, words and dates become what the job says of them, at their holder."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.job import Job, parse_job
from party.process.errors import InputError
from party.table import Table, UnfitTableError, load, read_table

ReadTable = Callable[..., Table]


def job_of(columns: str, rows: int, **more: str) -> Job:
    """A job of Alice's columns in a YAML mapping, read as a job file is."""
    lines = [
        "name: typed",
        f"rows: {rows}",
        "features: [" + ", ".join(more.pop("features", "a").split()) + "]",
        f"label: {more.pop('label', 'y')}",
        f"columns: {columns}",
    ]
    return parse_job("\n".join(lines), "JOB")


@pytest.fixture
def table(tmp_path: Path) -> ReadTable:
    """Reads some lines of Alice's as a table of one column ``a``, or of those named."""

    def table(columns: str, *cells: str, features: str = "a", party: str = "alice") -> Table:
        path = tmp_path / "table.csv"
        head = ",".join(features.split())
        path.write_text("\n".join([head, *cells]) + "\n", encoding="utf-8")
        job = job_of(columns, len(cells), features=features)
        read = read_table(path, job, party)  # type: ignore[arg-type]
        return read

    return table


def test_words_are_the_same_however_they_were_typed(table: ReadTable) -> None:
    """Decomposed, full-width, and with white space around them; but case counts."""
    columns = "{a: {type: category, values: [Z\u00fcrich, Bern], other: column}}"
    cells = ["Zu\u0308rich", " Z\u00fcrich\u00a0", "\uff22ern", "Bern", "bern"]
    assert_columns(table(columns, *cells), [0, 0, 1, 1, 0], [0, 0, 0, 0, 1])
    answers = "{a: {type: boolean, positive: [s\u00ed], negative: [no]}}"
    assert_columns(table(answers, "SI\u0301", "no\u00a0", "s\u00ed"), [1, 0, 1])


def test_values_that_are_the_same_word_are_refused() -> None:
    with pytest.raises(InputError, match="stands more than once"):
        job_of("{a: {type: category, values: [Z\u00fcrich, Zu\u0308rich]}}", 3)


def raw(table: Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The features as they were before they were standardised: [rows, features]."""
    assert table.mean is not None and table.scale is not None
    own = table.matrix[:, : len(table.mean)].astype(np.float64)
    return own * table.scale + table.mean


def assert_columns(table: Table, *columns: list[float]) -> None:
    np.testing.assert_allclose(raw(table).T, columns, atol=1e-6)


def test_gaps_are_filled_with_the_median_and_told_by_an_indicator(table: ReadTable) -> None:
    found = table("{a: {missing: median, indicator: true}}", "1", '""', "9", " 2 ")
    assert_columns(found, [1, 2, 9, 2], [0, 1, 0, 0])
    assert found.counts[0].gaps == 1


def test_gaps_are_filled_with_the_mean_or_a_constant(table: ReadTable) -> None:
    assert_columns(table("{a: {missing: mean}}", "1", '""', "5"), [1, 3, 5])
    assert_columns(table("{a: {missing: -7}}", "1", '""', "5"), [1, -7, 5])


def test_a_category_has_a_column_for_each_value_and_none_for_the_rest(table: ReadTable) -> None:
    schema = "{a: {type: category, values: [Paris, 'Rome, IT'], missing: other}}"
    found = table(schema, "Paris", '"Rome, IT"', "Oslo", " Paris", '""')
    assert_columns(found, [1, 0, 0, 1, 0], [0, 1, 0, 0, 0])
    assert (found.counts[0].gaps, found.counts[0].other) == (1, 1)


def test_where_the_rest_has_a_column_the_first_value_is_the_baseline(table: ReadTable) -> None:
    schema = "{a: {type: category, values: [x, y], other: column, missing: column}}"
    assert_columns(
        table(schema, "x", "y", "z", '""', "y"), [0, 1, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]
    )


def test_a_boolean_may_be_spelt_in_any_case(table: ReadTable) -> None:
    assert_columns(table("{a: boolean}", "yes", "FALSE", "True", "n", "1"), [1, 0, 1, 0, 1])


def test_a_date_counts_from_its_origin_and_drops_the_time(table: ReadTable) -> None:
    schema = "{a: {type: date, origin: 2000-01-01}}"
    assert_columns(table(schema, "2000-01-02", "2000-03-01T23:59:59Z", "1999-12-31"), [1, 60, -1])
    years = "{a: {type: date, origin: 2000-01-01, unit: years, missing: 2000-01-01}}"
    assert_columns(table(years, "2400-01-01", '""'), [400, 0])


def test_logarithms_are_clipped_at_their_own_quantiles(table: ReadTable) -> None:
    cells = [float(i) for i in range(101)]
    found = table("{a: {log1p: true, clip: [0.1, 0.9]}}", *map(str, cells))
    assert_columns(found, list(np.clip(np.log1p(cells), np.log1p(10), np.log1p(90))))


def test_robust_scale_is_by_median_and_interquartile_range(table: ReadTable) -> None:
    found = table("{a: {scale: robust}}", "1", "2", "3", "4", "500")
    np.testing.assert_allclose(found.matrix[:, 0], [-1, -0.5, 0, 0.5, 248.5])


def test_a_label_may_be_two_words(tmp_path: Path) -> None:
    path = tmp_path / "bob.csv"
    path.write_text("y\nguilty\nno\nno\n")
    job = job_of("{y: {type: boolean, positive: [guilty], negative: [no]}}", 3)
    assert read_table(path, job, "bob").matrix.tolist() == [[1.0], [0.0], [0.0]]


def test_the_order_of_a_tables_columns_does_not_matter(tmp_path: Path) -> None:
    schema = "{a: {missing: mean}, b: {type: category, values: [u]}}"
    job = job_of(schema, 3, features="a b c")
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text('a,b,c\n1,u,4\n,v,5\n3,"w,w",7\n')
    other.write_text('c,more,b,a\n4,?,u,1\n5,?,v,\n7,?,"w,w",3\n')
    first, second = read_table(one, job, "alice"), load(other, job, "alice")
    assert (first.matrix == second.matrix).all()
    assert first.digest == second.digest
    assert first.fitted == second.fitted


@settings(max_examples=30)
@given(st.permutations(range(6)), st.permutations(range(6)), st.randoms(use_true_random=False))
def test_any_order_of_columns_and_more_of_them_is_the_same_table(
    one: list[int], other: list[int], chance: Random
) -> None:
    job = job_of(
        "{a: {missing: median, clip: [0.2, 0.8]}, b: {type: category, values: [u, 'v,']},"
        " c: boolean, d: {type: date, missing: mean}}",
        20,
        features="a b c d e",
    )
    columns = {
        "a": [chance.choice(["", "1", "2.5", "-7", "40"]) for _ in range(18)] + ["1", "3"],
        "b": [chance.choice(["u", "v,", "", 'w"']) or "x" for _ in range(17)] + ["u", "v,", "x"],
        "c": [chance.choice(["yes", "No"]) for _ in range(18)] + ["t", "f"],
        "d": [chance.choice(["", "2001-01-31"]) for _ in range(18)] + ["2000-02-29", "1970-01-01"],
        "e": [repr(chance.gauss(0, 1)) for _ in range(20)],
        "f": [chance.choice(["", '"', "x,y", "\t"]) for _ in range(20)],
    }
    found: list[Any] = []
    with tempfile.TemporaryDirectory() as directory:
        for order in (one, other):
            names = [sorted(columns)[i] for i in order]
            path = Path(directory) / "table.csv"
            with path.open("w", newline="") as file:
                rows = zip(*(columns[name] for name in names), strict=True)
                csv.writer(file, lineterminator="\n").writerows([names, *rows])
            try:
                found.append(read_table(path, job, "alice"))
            except UnfitTableError as error:
                found.append(sorted((one.kind, one.column or "") for one in error.findings))
    if isinstance(found[0], Table):
        assert (found[0].matrix == found[1].matrix).all()
        assert (found[0].digest, found[0].fitted) == (found[1].digest, found[1].fitted)
    else:
        assert found[0] == found[1]


@pytest.mark.parametrize(
    ("schema", "cell", "kind"),
    [
        ("{a: number}", '""', "empty"),
        ("{a: number}", "few", "not-a-number"),
        ("{a: {missing: mean}}", "nan", "not-finite"),
        ("{a: {log1p: true}}", "-1.5", "no-logarithm"),
        ("{a: boolean}", "perhaps", "not-a-boolean"),
        ("{a: date}", "2001-02-30", "not-a-date"),
        ("{a: date}", "31.12.2001", "not-a-date"),
        ("{a: {type: category, values: ['1', '0'], other: refused}}", "vuw", "not-a-value"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_refused_with_its_row_and_column_and_never_shown(
    table: ReadTable, schema: str, cell: str, kind: str
) -> None:
    good = ["2001-01-01", "2002-01-01"] if "date" in schema else ["1", "0"]
    with pytest.raises(UnfitTableError) as caught:
        table(schema, good[0], cell, good[1], cell)
    (finding,) = (one for one in caught.value.findings if one.kind == kind)
    assert (finding.column, finding.position, finding.lines) == ("a", 1, (3, 5))
    assert cell == '""' or cell not in str(caught.value)


def test_faults_of_several_columns_are_told_at_once(table: ReadTable) -> None:
    with pytest.raises(InputError) as caught:
        table("{a: boolean, b: date}", "x,x", "1,2001-01-01", "0,y", features="a b")
    kinds = [one.kind for one in caught.value.findings]  # type: ignore[attr-defined]
    assert {"not-a-boolean", "not-a-date"} <= set(kinds)


def test_a_job_of_more_rows_than_memory_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a\n1\n2\n")
    job = job_of("{a: {missing: median}}", 2**31 - 1)
    with pytest.raises(UnfitTableError, match="the table has 2 rows"):
        read_table(tmp_path / "table.csv", job, "alice")


@pytest.mark.parametrize(
    ("schema", "cells", "what"),
    [
        ("{a: {missing: mean, indicator: true}}", ["1", "2"], "'a:missing'"),
        ("{a: {type: category, values: [x, y]}}", ["x", "z"], "'a=y'"),
        ("{a: boolean}", ["1", "yes"], "the column is constant"),
        ("{a: {scale: robust}}", ["1", "1", "1", "1", "2"], "interquartile range is zero"),
        ("{a: {missing: median}}", ['""', '""'], "every cell of the column is empty"),
    ],
)
def test_what_never_changes_is_refused(
    table: ReadTable, schema: str, cells: list[str], what: str
) -> None:
    with pytest.raises(UnfitTableError) as caught:
        table(schema, *cells)
    assert what in caught.value.what


PRIVATE = """\
name: private
rows: 3
features: [a, b]
label: y
columns: {a: {scale: {mean: 10, deviation: 2}}, b: {type: category, values: [yes]}}
training: {tolerance: 0, C: 0.01}
privacy: {weights: {epsilon: 9, delta: 1e-3, norm: 1.5}}
"""


def test_where_weights_are_private_a_row_is_read_by_itself_and_cut(tmp_path: Path) -> None:
    """What another row holds, the bound on a row knows nothing of."""
    path, job = tmp_path / "table.csv", parse_job(PRIVATE, "JOB")
    found = []
    for other in ("1e9,yes", "-4,no"):
        path.write_text(f"a,b\n{other}\n12,yes\n14,no\n")
        found.append(read_table(path, job, "alice"))
    for one in found:
        length = 2**0.5 / 1.5
        first = [1.0, 1.0, 1.0] if length <= 1 else [1 / length, 1 / length, 1.0]
        np.testing.assert_allclose(one.matrix[1:], [first, [1.5, 0.0, 1.0]], rtol=1e-6)
        assert one.mean is not None and list(one.mean) == [10.0, 0.0]
        assert one.scale is not None and list(one.scale) == [2.0, 1.0]
    np.testing.assert_allclose(found[0].matrix[0], [1.5, 0.0, 1.0], atol=1e-6)
    assert load(path, job, "alice").matrix.tobytes() == found[1].matrix.tobytes()


def test_what_is_to_be_done_fits_the_columns_own_words(table: ReadTable, tmp_path: Path) -> None:
    filled = "{a: {missing: median}}"
    with pytest.raises(InputError, match="not a finite number") as caught:
        table(filled, "1", "nan", "3")
    assert caught.value.hint == "leave the cell empty, as the gaps that the job fills"
    with pytest.raises(InputError, match="constant") as caught:
        table("{a: {type: category, values: [gold]}}", "Gold", "silver", "Gold")
    assert "agree on values that are there, spelt as in the table" in (caught.value.hint or "")
    path = tmp_path / "bob.csv"
    path.write_text('y\nyes\n""\nno\n')
    with pytest.raises(InputError, match="empty") as caught:
        read_table(path, job_of("{y: boolean}", 3), "bob")
    assert (
        caught.value.hint == "every row needs a label: fill it in, or all parties leave the row out"
    )


def test_a_column_of_lines_that_cannot_be_read_is_not_constant(tmp_path: Path) -> None:
    path = tmp_path / "alice.csv"
    path.write_bytes(b"a,b\n" + b"x,M\xfcller\n" * 3)
    with pytest.raises(InputError, match="not UTF-8") as caught:
        read_table(path, job_of("{a: {type: category, values: [x, z]}}", 3), "alice")
    assert "constant" not in caught.value.what
