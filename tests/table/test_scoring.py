"""What a model document says of a table is what its training read, and what the model then says."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from party.agreement.job import Job, parse_job
from party.models.interface import Scales
from party.models.registry import model_of
from party.process.errors import InputError
from party.reporting.result import columns_document, own_columns
from party.table import UnfitTableError, read_table
from party.table.scoring import predict, standardised, weighted_sum

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


def document_of(job: Job, table: Any, weights: dict[str, Any], party: Any = "alice") -> Any:
    """A model document, but for what scoring does not read."""
    own = model_of(job.parameters).document(job, party, weights, Scales(table.mean, table.scale))
    columns = columns_document(job, party, table)
    return {"model": "logistic-regression", "columns": columns, **own}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
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
    x = own_columns(job, "alice", table)
    weights = {"weights.alice": np.arange(1.0, x.shape[1] + 1), "weights.bob": np.ones(1)}
    document = document_of(job, table, weights)
    cells = dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))
    mine = standardised(document, cells)
    np.testing.assert_allclose(mine, x[:, :-1], rtol=1e-6, atol=1e-6)
    names = list(job.derived_of("alice"))
    words = [i for i, name in enumerate(names) if name.startswith("word")]
    assert table.scale is not None and table.mean is not None
    assert ((mine * table.scale + table.mean)[:, words].sum(axis=1) <= 1 + 1e-6).all()
    t = weighted_sum(document, cells)
    np.testing.assert_allclose(t, x @ weights["weights.alice"], rtol=1e-5, atol=1e-4)
    assert names == document["features"][: len(names)]


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


def test_a_model_of_two_holders_is_not_predicted_from_one_table() -> None:
    job, table = small("both")
    document = document_of(job, table, {"weights.alice": np.ones(2), "weights.bob": np.ones(1)})
    with pytest.raises(InputError, match="another holder"):
        predict(document | {"health": {"all_columns": False}}, {"a": ["1"]})
    assert weighted_sum(document, {"a": ["3"]}) == pytest.approx([1.0])


def test_wrong_cells_and_missing_columns_are_refused_by_name_and_row() -> None:
    job, table = small("own")
    document = document_of(job, table, {"weights.alice": np.ones(2)})
    with pytest.raises(InputError) as caught:
        standardised(document, {"a": ["1", "secret"]})
    assert caught.value.where == "row 2, column 'a'"
    assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match="does not have 'a'"):
        standardised(document, {"b": ["1"]})
