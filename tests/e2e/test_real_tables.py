"""On the real tables, training on shares gives what training in clear gives."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from party.agreement.job import Job, load_job
from party.models.registry import model_of
from party.table import read_table
from tests.harness.runs import run_planned

pytestmark = pytest.mark.drawn

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/fraud"
TABLES = {"alice": EXAMPLE / "alice.csv", "bob": EXAMPLE / "bob.csv"}
PROTOCOLS = ("pond", "aby3", "securenn")


def example(protocol: str) -> Job:
    return load_job(EXAMPLE / "job.yaml").model_copy(update={"protocol": protocol})


@functools.cache
def clear_tables() -> tuple[Any, Any]:
    """Features with the intercept's ones, and labels: what no one of the parties has."""
    job = example("aby3")
    alice = read_table(TABLES["alice"], job, "alice")
    return alice.matrix, read_table(TABLES["bob"], job, "bob").matrix


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_model_is_the_plaintext_references_and_ranks_as_plain_logistic_regression(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    job = example(protocol)
    x, y = clear_tables()
    model = run_planned(job, TABLES, tmp_path, cache).models["alice"].as_json()
    secure = np.array([*model["weights"], model["intercept"]])

    reference = model_of(job.parameters).fit(job, x, y)
    assert np.linalg.norm(secure - reference) <= 1e-2 * np.linalg.norm(reference)

    plain = LogisticRegression(C=1e9, max_iter=1000).fit(x[:, :-1], y[:, 0])
    best = roc_auc_score(y, plain.decision_function(x[:, :-1]))
    assert abs(roc_auc_score(y, x @ secure) - best) <= 0.005


def test_two_runs_of_a_job_differ_by_rounding_alone(tmp_path: Path, cache: Path) -> None:
    """Their masks are others, so their last bits are."""
    job = example("pond")
    one, other = (
        np.array(ran.models["alice"].as_json()["weights"])
        for ran in (run_planned(job, TABLES, tmp_path / name, cache) for name in ("one", "other"))
    )
    assert 0 < np.linalg.norm(one - other) <= 1e-2 * np.linalg.norm(one)


def test_the_model_says_what_it_was_trained_on_and_how_to_use_it(
    tmp_path: Path, cache: Path
) -> None:
    job = example("pond")
    model = run_planned(job, TABLES, tmp_path, cache).models["alice"].as_json()
    raw = np.loadtxt(TABLES["alice"], delimiter=",")
    np.testing.assert_allclose(model["mean"], raw.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(model["scale"], raw.std(axis=0), rtol=1e-9)
    assert model["features"] == list(job.features_of("alice"))
    assert model["job"] == job.digest
    assert model["protocol"] == "pond"
    assert len(model["plan"]) == 64


def test_memory_beyond_the_table_is_flat_in_rows(tmp_path: Path, cache: Path) -> None:
    """A party's memory beyond its own table does not grow with the rows."""
    draw = np.random.default_rng(7)
    beyond = []
    for rows in (2_000, 40_000):
        x = draw.normal(size=(rows, 50))
        y = (x[:, :1] + draw.normal(size=(rows, 1)) > 0).astype(int)
        folder = tmp_path / str(rows)
        folder.mkdir()
        np.savetxt(folder / "alice.csv", x, delimiter=",", fmt="%.3f")
        np.savetxt(folder / "bob.csv", y, delimiter=",", fmt="%d")
        training = {"epochs": 1, "batch_size": 1000, "learning_rate": 0.125, "order_seed": 1}
        job = Job.model_validate(
            {
                "name": "rows",
                "rows": rows,
                "features": tuple(f"x{i}" for i in range(50)),
                "label": "y",
                "training": training,
            }
        )
        tables = {party: folder / f"{party}.csv" for party in ("alice", "bob")}
        report = run_planned(job, tables, folder / "out", cache).report
        alice = report.parties["alice"]
        beyond.append(alice.peak_bytes - alice.table_bytes)
    assert beyond[1] <= beyond[0] + (4 << 20)
    assert max(beyond) <= 80 << 20
