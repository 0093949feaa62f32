"""Every model, with columns at both and with whichever receiver, is its plaintext reference's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deployer.local.run import Result
from party.agreement.job import Job, load_job
from party.models.registry import model_of
from party.table import read_table
from tests.harness import plaintext
from tests.harness.runs import run_planned

pytestmark = pytest.mark.drawn

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROTOCOLS = ("pond", "aby3", "securenn")
ALICE = EXAMPLES / "fraud/alice.csv"


def trained(name: str, directory: Path, cache: Path, **change: Any) -> tuple[Job, Result, Any]:
    """An example's job, what came of it, and the tables of both."""
    job = load_job(EXAMPLES / name / "job.yaml").model_copy(update=change)
    files = {"alice": ALICE, "bob": EXAMPLES / name / "bob.csv"}
    result = run_planned(job, files, directory, cache)
    return job, result, {party: read_table(files[party], job, party) for party in job.holders}


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_training_on_the_columns_of_both_gives_each_the_weights_of_its_own(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    job, result, tables = trained("joint", tmp_path, cache, protocol=protocol)
    models = {party: model.as_json() for party, model in result.models.items()}
    assert {*models} == {"alice", "bob"}
    for party, model in models.items():
        assert model["features"] == list(job.features_of(party))  # type: ignore[arg-type]
        assert None not in model["mean"]
    assert models["bob"]["intercept"] is None, "it goes with alice's columns"
    clear = plaintext.fit(job, tables)
    assert plaintext.distance(plaintext.received(*models.values()), clear) < 1e-2

    x, y = plaintext.joined(job, tables)
    weights = np.array(list(clear.values()))
    joint = roc_auc_score(y, model_of(job.parameters).predict(weights, x))
    assert joint == pytest.approx(0.685, abs=0.005), "and 0.657 with alice's columns alone"


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_linear_regression_gives_what_least_squares_gives(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    job, result, tables = trained("linear", tmp_path, cache, protocol=protocol)
    secure = plaintext.received(result.models["alice"].as_json())
    assert plaintext.distance(secure, plaintext.fit(job, tables)) < 1e-2
    x, y = plaintext.joined(job, tables)

    def explained(weights: Any) -> float:
        predicted = model_of(job.parameters).predict(np.asarray(weights), x)
        return float(1 - np.square(y[:, 0] - predicted).mean() / y.var())

    best = explained(np.linalg.lstsq(x.astype(float), y[:, 0].astype(float), rcond=None)[0])
    assert explained(list(secure.values())) > 0.9 * best > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("result", ["alice", "bob", "both", "nobody"])
def test_whom_the_job_names_gets_the_model_and_nobody_else(
    result: str, tmp_path: Path, cache: Path
) -> None:
    job, ran, tables = trained("joint", tmp_path, cache, result=result)
    clear = plaintext.fit(job, tables)
    receivers = {"both": {"alice", "bob"}, "nobody": set()}.get(result, {result})
    for party in ("alice", "bob", "server"):
        assert (tmp_path / party / "model.json").exists() is (party in receivers)
        assert (tmp_path / party / "shares.json").exists() is (
            result == "nobody" and party != "server"
        )
    for party in receivers:
        model = ran.models[party].as_json()
        assert plaintext.distance(plaintext.received(model), clear) < 1e-2
        known = [mean is not None for mean in model["mean"]]
        assert known == [holder == party for holder in model["holders"]]


@pytest.mark.slow
def test_shares_of_a_model_that_nobody_got_are_the_model_together(
    tmp_path: Path, cache: Path
) -> None:
    import json

    job, _, tables = trained("joint", tmp_path, cache, result="nobody")
    shares = [
        json.loads((tmp_path / party / "shares.json").read_text())["shares"]
        for party in ("alice", "bob")
    ]
    weights = []
    for value in ("weights.alice", "weights.bob"):
        parts = [np.array(one[f"{value}/0"], np.int64) for one in shares]
        # The weights themselves stay under 2**28.
        assert all(np.abs(part).max() > 2**40 for part in parts), "each alone is random"
        weights += list((parts[0] + parts[1]) / 2**20)
    clear = plaintext.fit(job, tables)
    secure = dict(zip(clear, weights, strict=True))
    assert plaintext.distance(secure, clear) < 1e-2
