"""What other tools read gives the same scores."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.columns import from_plain
from party.process.errors import InputError
from party.scoring import Scorer
from party.scoring.export import joblib, onnx, sklearn, skops
from party.scoring.rows import batches
from tests.scoring.models import rows, written

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

KINDS = [{"kind": "logistic-regression"}, {"kind": "linear-regression", "unit": 40.0}]


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_gives_the_same_scores(tmp_path: Path, kind: dict[str, Any]) -> None:
    import onnxruntime

    scorer, x = Scorer.read(written(tmp_path, width=16, **kind)), rows(500, 16)
    session = onnxruntime.InferenceSession(onnx(scorer))
    (scores,) = session.run(None, {"features": x})
    np.testing.assert_allclose(scores, scorer.predict(x), rtol=1e-9, atol=1e-9)
    told = session.get_modelmeta().custom_metadata_map
    assert told["features"].split("\n") == list(scorer.features)


@pytest.mark.parametrize("kind", KINDS)
def test_skops_reads_a_pipeline_that_runs_no_code_and_scores_alike(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    from skops.io import get_untrusted_types, loads

    scorer, x = Scorer.read(written(tmp_path, width=16, **kind)), rows(500, 16)
    text = skops(scorer)
    assert get_untrusted_types(data=text) == []
    _assert_alike(loads(text), scorer, x)


@pytest.mark.parametrize("kind", KINDS)
def test_joblib_reads_a_pipeline_that_scores_alike(tmp_path: Path, kind: dict[str, Any]) -> None:
    from joblib import load

    scorer, x = Scorer.read(written(tmp_path, width=16, **kind)), rows(500, 16)
    _assert_alike(load(io.BytesIO(joblib(scorer))), scorer, x)


# -- columns that are more than plain numbers

COLUMNS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "amount": (
        {"type": "number", "missing": "median", "indicator": True, "log1p": True},
        {"fill": 2.5, "low": 0.5, "high": 4.0},
    ),
    "age": ({"type": "number", "missing": 40.0}, {"fill": 40.0}),
    "height": ({"type": "number"}, {"low": 1.0, "high": 2.0}),
    "plain": ({}, {}),
    "city": ({"type": "category", "values": ["Paris", "Ürümqi", "a, b"]}, {}),
    "kind": (
        {"type": "category", "values": ["x", "y"], "other": "column", "missing": "column"},
        {},
    ),
    "unit": ({"type": "category", "values": ["x", "y", "z"], "missing": "other"}, {"fill": 3.0}),
    "size": ({"type": "category", "values": ["S", "M", "L"], "other": "refused"}, {}),
    "member": ({"type": "boolean", "missing": "negative", "indicator": True}, {"fill": 0.0}),
    "active": ({"type": "boolean", "positive": ["ja"], "negative": ["nein"]}, {}),
}
"""What each column is, and what was learnt from it."""

NUMBERS = [name for name, (schema, _) in COLUMNS.items() if schema.get("type") in (None, "number")]

CELLS = {
    "amount": ["", "0", "1.5", "1e6", "-0.9"],
    "age": ["", "17", "99.5"],
    "height": ["0.2", "1.7", "3"],
    "plain": ["-4", "1e3", "0.001"],
    "city": ["Paris", "Ürümqi", "a, b", "elsewhere"],
    "kind": ["x", "y", "z", ""],
    "unit": ["x", "y", "z", "else", ""],
    "size": ["S", "M", "L"],
    "member": ["Yes", "no", "T", "0", "", "FALSE"],
    "active": ["ja", "Nein", "JA"],
}


def typed(directory: Path, kind: dict[str, Any]) -> Scorer:
    """A model of all of them, with weights that are made up."""
    columns, features = {}, []
    for name, (schema, fitted) in COLUMNS.items():
        derived = list(from_plain(schema).derived(name)) if schema else [name]
        features += derived
        if schema:
            whole = from_plain(schema).model_dump(mode="json")
            columns[name] = {"holder": "alice", "derived": derived, **whole, "fitted": fitted}
    draw, width = np.random.default_rng(3), len(features)
    numbers = {name: draw.normal(size=width).tolist() for name in ("mean", "weights")}
    numbers["scale"] = draw.uniform(0.5, 40, width).tolist()
    given = {"features": features, "holders": ["alice"] * width, "columns": columns, **numbers}
    return Scorer.read(written(directory, **given, **kind))


def cells(count: int) -> list[dict[str, str]]:
    draw = np.random.default_rng(4)
    return [{name: str(draw.choice(some)) for name, some in CELLS.items()} for _ in range(count)]


def scores_of(scorer: Scorer, rows: list[dict[str, str]], directory: Path) -> Any:
    """What ``deployer score`` says."""
    table = directory / "rows.csv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(COLUMNS))
        writer.writeheader()
        writer.writerows(rows)
    return np.concatenate([scorer.predict(one.codes) for one in batches(table, scorer.schemas)])


def number_of(cell: str) -> float:
    return float(cell) if cell else np.nan


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_reads_cells_as_the_kit_does(tmp_path: Path, kind: dict[str, Any]) -> None:
    scorer, some = typed(tmp_path, kind), cells(400)
    scores = run_onnx(scorer, some)
    np.testing.assert_allclose(scores, scores_of(scorer, some, tmp_path), rtol=1e-9, atol=1e-9)


def run_onnx(scorer: Scorer, some: list[dict[str, str]]) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx(scorer))
    told = session.get_modelmeta().custom_metadata_map
    names = {name: told[name].split("\n") for name in ("features", "texts")}
    assert names["features"] == NUMBERS
    given = {
        "features": np.array([[number_of(r[n]) for n in names["features"]] for r in some]),
        "texts": np.array([[r[n] for n in names["texts"]] for r in some], dtype=object),
    }
    return session.run(None, given)[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"plain": "inf"},
        {"height": ""},
        {"amount": "-1"},
        {"amount": "-inf"},
        {"size": "XL"},
        {"city": ""},
        {"member": "perhaps"},
        {"active": ""},
    ],
    ids=str,
)
def test_in_onnx_a_cell_that_its_column_cannot_take_has_no_score(
    tmp_path: Path, wrong: dict[str, str]
) -> None:
    (right,) = cells(1)
    scores = run_onnx(typed(tmp_path, {}), [right, right | wrong])
    assert np.isfinite(scores).tolist() == [True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_reads_cells_as_the_kit_does(tmp_path: Path, kind: dict[str, Any]) -> None:
    from skops.io import get_untrusted_types, loads

    scorer, some = typed(tmp_path, kind), cells(400)
    text = skops(scorer)
    assert get_untrusted_types(data=text) == []
    given = pipelines(some)
    pipeline = loads(text)
    found = pipeline.predict(given) if "unit" in kind else pipeline.predict_proba(given)[:, 1]
    np.testing.assert_allclose(found, scores_of(scorer, some, tmp_path), rtol=1e-9, atol=1e-9)


def pipelines(some: list[dict[str, str]]) -> Any:
    """Rows as the pipeline takes them: the table's columns in the model's order."""
    given = [[number_of(r[n]) if n in NUMBERS else r[n] for n in COLUMNS] for r in some]
    return np.array(given, dtype=object)


@pytest.mark.parametrize(
    "wrong",
    [{"plain": "inf"}, {"height": ""}, {"amount": "-2"}, {"size": "XL"}, {"active": ""}],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_pipeline_refuses_a_cell_that_its_column_cannot_take(
    tmp_path: Path, wrong: dict[str, str]
) -> None:
    (right,) = cells(1)
    pipeline = sklearn(typed(tmp_path, {}))
    pipeline.predict_proba(pipelines([right]))
    with pytest.raises(ValueError):
        pipeline.predict_proba(pipelines([right | wrong]))


@pytest.mark.parametrize("form", [onnx, skops])
def test_dates_are_refused_by_name(tmp_path: Path, form: Any) -> None:
    day = {"type": "date", "holder": "alice", "derived": ["c0"], "fitted": {}}
    scorer = Scorer.read(written(tmp_path, width=2, columns={"c0": day}))
    with pytest.raises(InputError, match="columns of dates, 'c0'"):
        form(scorer)


def _assert_alike(pipeline: Any, scorer: Scorer, x: Any) -> None:
    if scorer.kind == "logistic-regression":
        scores = pipeline.predict_proba(x)[:, 1]
    else:
        scores = pipeline.predict(x)
    np.testing.assert_allclose(scores, scorer.predict(x), rtol=1e-9, atol=1e-9)
    assert list(pipeline.feature_names_in_) == list(scorer.features)
