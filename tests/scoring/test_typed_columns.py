"""Columns that are no plain numbers are read for scoring as they were for training."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from party.agreement.columns import schema_of
from party.agreement.job import Job, parse_job
from party.models.interface import Scales
from party.models.registry import model_of
from party.process.errors import InputError
from party.reporting.documents import LinearDocument
from party.reporting.result import columns_document, own_columns
from party.scoring.rows import batches
from party.scoring.scorer import Scorer
from party.scoring.service import rows_in
from party.table import UnfitTableError, read_table
from tests.scoring.models import document

JOB = """
name: scored
rows: {rows}
features: {{alice: [plain, number, word, flag, day], bob: [other]}}
label: {{bob: y}}
result: both
columns:
  number: {{missing: {missing}, indicator: true, log1p: true, clip: [0.05, 0.9], scale: {scale}}}
  word: {{type: category, values: [one, "two, or so", {third}], other: {other}, missing: column}}
  flag: {{type: boolean, missing: positive, indicator: true}}
  day: {{type: date, origin: 1999-12-31, unit: {unit}, missing: median}}
  other: {{type: category, values: [x]}}
"""

jobs = st.fixed_dictionaries(
    {
        "missing": st.sampled_from(["mean", "median", "3.5"]),
        "scale": st.sampled_from(["standard", "robust"]),
        "other": st.sampled_from(["baseline", "column"]),
        "unit": st.sampled_from(["days", "years"]),
        "third": st.sampled_from(["'3'", "ü", "'\"'"]),
    }
)
number = st.floats(-0.9, 1e6).map(repr)
rows_of_cells = st.lists(
    st.tuples(
        number,
        number | st.just("") | st.just(" "),
        st.sampled_from(["one", "two, or so", "3", "ü", '"', "else", "", " one "]),
        st.sampled_from(["yes", "NO", "0", "True", ""]),
        st.dates().map(str) | st.just("") | st.just("2020-02-02 10:00"),
    ),
    min_size=8,
    max_size=40,
)


def written(rows: list[tuple[str, ...]], path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([NAMES, *rows])
    path.write_text(text.getvalue(), encoding="utf-8")


NAMES = ("plain", "number", "word", "flag", "day")


def scorer_of(job: Job, table: Any) -> Scorer:
    """The model of Alice's columns alone whose weights are 1, 2, 3, …, the last the intercept's."""
    width = len(job.derived_of("alice")) + 1
    weights = {"weights.alice": np.arange(1.0, width + 1)}
    own = model_of(job.parameters).document(job, "alice", weights, Scales(table.mean, table.scale))
    told = document() | own | {"columns": columns_document(job, "alice", table)}
    return Scorer.of(LinearDocument.model_validate(told), Path("model.json"))


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.filter_too_much],
)
@given(rows_of_cells, jobs)
def test_transforms_of_a_document_give_what_training_saw(
    rows: list[tuple[str, ...]], choice: dict[str, str]
) -> None:
    job = parse_job(JOB.format(rows=len(rows), **choice), "JOB")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "alice.csv"
        written(rows, path)
        try:
            table = read_table(path, job, "alice")
        except UnfitTableError as error:
            assert {one.kind for one in error.findings} <= {"constant", "outlier", "too-large"}
            return
        scorer = scorer_of(job, table)
        (batch,) = batches(path, scorer.schemas)
    x = own_columns(job, "alice", table)
    mine = scorer.standardised(batch.codes)
    np.testing.assert_allclose(mine, x[:, :-1], rtol=1e-6, atol=1e-6)
    words = [i for i, name in enumerate(scorer.features) if name.startswith("word")]
    one_hot = (mine * scorer.scale + scorer.mean)[:, words]
    assert (one_hot.sum(axis=1) <= 1 + 1e-6).all()
    t = x.astype(np.float64) @ np.arange(1.0, x.shape[1] + 1)
    np.testing.assert_allclose(
        scorer.predict(batch.codes), 1 / (1 + np.exp(-t)), rtol=1e-4, atol=1e-5
    )
    # A request of the service says the same, with its numbers as numbers and gaps as null.
    asked = [dict(zip(NAMES, map(_as_json, row), strict=True)) for row in rows]
    for row in asked:
        row["plain"] = float(row["plain"])
    codes = rows_in(json.dumps({"rows": asked}).encode(), scorer.schemas)
    np.testing.assert_array_equal(codes, batch.codes)


def _as_json(cell: str) -> Any:
    return None if cell == "" else cell


def small(result: str) -> tuple[Any, Any]:
    text = "name: s\nrows: 3\nfeatures: {alice: [a], bob: [b]}\nlabel: {bob: y}\n"
    job = parse_job(text + f"result: {result}\ncolumns: {{a: {{missing: mean}}}}", "JOB")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "alice.csv"
        path.write_text('a\n1\n""\n5\n')
        return job, read_table(path, job, "alice")


def test_another_holders_columns_are_known_by_the_job_alone() -> None:
    job, table = small("both")
    assert columns_document(job, "alice", table)["a"]["fitted"] == {"fill": 3.0}
    assert columns_document(job, "bob", table)["a"]["fitted"] is None
    assert columns_document(job, "bob", table)["a"]["missing"] == "mean"


def test_wrong_cells_are_refused_by_column_and_row_and_with_their_reason(tmp_path: Path) -> None:
    job, table = small("own")
    path = tmp_path / "rows.csv"
    path.write_text('a\n1\n"4711 EUR"\n7\n"4711 EUR"\n"1,5"\n')
    with pytest.raises(InputError) as caught:
        list(batches(path, scorer_of(job, table).schemas))
    assert "column 'a': rows 2, 4, 5: the cell is not a number" in caught.value.what
    assert "4711" not in str(caught.value)


def test_parquet_gives_what_its_text_would(tmp_path: Path) -> None:
    job = parse_job(
        JOB.format(
            rows=9, missing="mean", scale="standard", other="column", unit="days", third="x"
        ),
        "JOB",
    )
    schemas = {name: schema_of(job.columns[name]) for name in ("number", "word", "flag", "day")}
    columns = {
        "number": [1.5, None, 3.0],
        "word": ["one", None, "else"],
        "flag": [True, None, False],
        "day": [date(2001, 2, 3), None, date(1999, 12, 31)],
    }
    packed, text = tmp_path / "rows.parquet", tmp_path / "rows.csv"
    parquet.write_table(pa.table(columns), packed)
    text.write_text("number,word,flag,day\n1.5,one,true,2001-02-03\n,,,\n3,else,false,1999-12-31\n")
    (one,), (other,) = batches(packed, schemas), batches(text, schemas)
    np.testing.assert_array_equal(one.codes, other.codes)
    assert np.isnan(one.codes[1]).all()
