"""A model scores by its formula, and a file that is no whole model is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.process.errors import InputError
from party.scoring import Scorer
from tests.scoring.models import document, rows, written


def test_a_logistic_regression_gives_the_chance_of_label_1(tmp_path: Path) -> None:
    scorer, x, told = Scorer.read(written(tmp_path)), rows(200), document()
    z = (x - told["mean"]) / told["scale"]
    expected = 1 / (1 + np.exp(-(z @ told["weights"] + told["intercept"])))
    np.testing.assert_allclose(scorer.predict(x), expected, rtol=0, atol=1e-12)


def test_a_linear_regression_gives_the_label_in_its_own_unit(tmp_path: Path) -> None:
    told = document(kind="linear-regression", unit=250.0)
    scorer, x = Scorer.read(written(tmp_path, kind="linear-regression", unit=250.0)), rows(50)
    z = (x - told["mean"]) / told["scale"]
    np.testing.assert_allclose(scorer.predict(x), (z @ told["weights"] - 0.7) * 250, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mean": [0.0, None, 1.0], "holders": ["alice", "bob", "alice"]}, "bob has a part of it"),
        ({"intercept": None}, "another party has a part of it"),
        ({"health": None}, "another party has a part of it"),
        ({"columns": {"c0": {"type": "number", "derived": ["d"]}}}, "not those it was trained on"),
        ({"columns": {"c0": {"type": "what", "derived": ["c0"]}}}, "not those it was trained on"),
        ({"weights": [1.0, 2.0]}, "not of one length"),
        ({"scale": [1.0, 0.0, 1.0]}, "a number that is none"),
        ({"model": "forest"}, "no model of the kit's"),
        ({"features": []}, "no model of the kit's"),
        ({"version": 2}, "another version (2)"),
    ],
)
def test_what_is_no_whole_model_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as error:
        Scorer.read(written(tmp_path, **change))
    assert says in error.value.what
    assert error.value.hint


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"4"], ids=range(6))
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match="no model"):
        Scorer.read(path)


def test_a_model_with_a_number_too_large_for_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document()).replace("-0.7", "1e999"))
    with pytest.raises(InputError):
        Scorer.read(path)
