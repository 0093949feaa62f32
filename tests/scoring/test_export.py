"""What other tools read gives the same scores."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.scoring import Scorer
from party.scoring.export import joblib, onnx, skops
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


def _assert_alike(pipeline: Any, scorer: Scorer, x: Any) -> None:
    if scorer.kind == "logistic-regression":
        scores = pipeline.predict_proba(x)[:, 1]
    else:
        scores = pipeline.predict(x)
    np.testing.assert_allclose(scores, scorer.predict(x), rtol=1e-9, atol=1e-9)
    assert list(pipeline.feature_names_in_) == list(scorer.features)
