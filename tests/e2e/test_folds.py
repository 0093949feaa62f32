"""What a run over folds says is what scikit-learn says of rows that its trainings have not seen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from deployer.local.run import Result, run_local
from party.agreement.job import Job, load_job
from party.models.evaluation.figures import Evaluation
from tests.harness import plaintext
from tests.harness.alignments import write_table
from tests.harness.optimum import logistic_optimum
from tests.harness.plans import cached
from tests.harness.processes import Processes
from tests.harness.relay import bob_killed

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]

ROWS = 601
"""One more than folds alike in size have."""

IN_THE_THIRD = 365_000
"""Bytes between Alice and Bob, of some 590,000: in the third of four trainings."""


def agreed(protocol: str, **change: Any) -> Job:
    given: dict[str, Any] = {
        "name": "folds",
        "protocol": protocol,
        "rows": ROWS,
        "features": {"alice": ("a", "b"), "bob": ("c",)},
        "label": {"bob": "y"},
        "result": "both",
        "training": {"passes": 60, "class_weight": {"0": 1.0, "1": 2.0}},
        "evaluation": {"folds": 3, "to": ("bob",)},
    }
    return Job.model_validate(given | change)


def tables(directory: Path, strength: float) -> tuple[dict[str, Path], Any, Any]:
    """Files, standardised columns with the ones at their place, and labels that follow them."""
    draw = np.random.default_rng(8)
    x = draw.normal([3, 0, -8], [1, 20, 0.5], (ROWS, 3))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    y = (draw.random(ROWS) < 1 / (1 + np.exp(-strength * z.sum(axis=1)))).astype(int)
    files = {}
    bobs = np.column_stack([x[:, 2], y])
    for party, names, columns in (("alice", "a,b", x[:, :2]), ("bob", "c,y", bobs)):
        files[party] = directory / f"{party}.csv"
        np.savetxt(files[party], columns, "%.9g", ",", header=names, comments="")
    return files, np.insert(z, 2, 1.0, axis=1), y


def held_out_scores(job: Job, x: Any, y: Any) -> Any:
    t = np.empty(job.rows)
    assert job.descent is not None
    for fold in range(job.folds):
        out = job.fold_of == fold
        classes: Any = job.descent.class_weight
        t[out] = x[out] @ logistic_optimum(x[~out], y[~out], job.descent.C, 2, classes)
    return t


def told(result: Result, party: Any) -> Evaluation:
    found = result.models[party].evaluation
    assert found is not None and found.figures is not None
    return found


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_each_row_is_counted_by_a_training_without_it_and_the_model_is_of_all(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    job = agreed(protocol)
    files, x, y = tables(tmp_path, 0.7)
    cached(job, cache)
    result = run_local(job, files, tmp_path / "out", cache=cache)
    assert result.models["alice"].evaluation is None
    found, t = told(result, "bob"), held_out_scores(job, x, y)
    assert (found.rows, found.folds) == (ROWS, 3) and found.figures is not None
    assert found.figures.positives == y.sum()
    assert found.figures.auc == pytest.approx(roc_auc_score(y, t), abs=0.004)
    assert found.figures.log_loss == pytest.approx(log_loss(y, 1 / (1 + np.exp(-t))), abs=3e-3)
    weights = plaintext.received(*(model.as_json() for model in result.models.values()))
    best = logistic_optimum(x, y, 1.0, 2, {"0": 1.0, "1": 2.0})
    secure = [weights[name] for name in ("a", "b", "intercept", "c")]
    assert np.linalg.norm(secure - best) < 0.02 * np.linalg.norm(best)


def test_folds_that_have_not_settled_are_named(tmp_path: Path, cache: Path) -> None:
    job = agreed("pond", training={"passes": 9, "tolerance": 1e-5})
    files, _, _ = tables(tmp_path, 0.7)
    cached(job, cache)
    result = run_local(job, files, tmp_path / "out", cache=cache)
    health = result.models["bob"].health
    said = "" if health is None else " ".join(health.warnings)
    assert "the steps of fold 1, fold 2, fold 3 had not become small" in said


def test_labels_that_say_nothing_are_told_as_that(tmp_path: Path, cache: Path) -> None:
    job = agreed("pond")
    files, _, y = tables(tmp_path, 0.0)
    cached(job, cache)
    found = told(run_local(job, files, tmp_path / "out", cache=cache), "bob").figures
    assert found is not None and found.positives == y.sum()
    assert abs(found.auc - 0.5) < 4 * found.auc_error


def test_rows_that_were_matched_are_dealt_by_their_place(tmp_path: Path, cache: Path) -> None:
    """The label follows the score: were a row counted twice, or with another's label, it showed."""
    draw, kinds = np.random.default_rng(8), {f"c{i}": float(i % 3 == 0) for i in range(400)}
    alice = [
        [name, kind + 0.1 * draw.normal()]
        for name, kind in [*kinds.items(), *((f"a{i}", i % 2) for i in range(300))]
    ]
    bob = [[name, kinds[name]] for name in draw.permutation([*kinds])]
    files = {
        "alice": write_table(tmp_path / "a.csv", ["customer", "x"], alice),
        "bob": write_table(tmp_path / "b.csv", ["customer", "y"], bob),
    }
    job = agreed(
        "aby3",
        rows=0,
        features=("x",),
        align={"key": "customer"},
        result="alice",
        evaluation={"folds": 3, "minimum": 5},
    )
    found = told(run_local(job, files, tmp_path / "out", cache=cache), "alice")
    assert found.figures is not None and found.rows == 400
    assert found.figures.positives == 134 and found.figures.auc > 0.98
    assert sum(group.rows for group in found.figures.groups) == 400


def test_a_party_that_is_killed_after_two_folds_goes_on_there(tmp_path: Path, cache: Path) -> None:
    """The counts of those two are shares in its checkpoint: rows are counted once each."""
    passes = 100
    processes = Processes(
        tmp_path,
        cache,
        training={"passes": passes, "tolerance": 0.0},
        evaluation={"folds": 3, "minimum": 5},
    )
    try:
        job = load_job(tmp_path / "job.yaml")
        cached(job, cache)
        options = {"rejoin_limit": "100", "checkpoint_every": "0.01"}
        half = 2 * passes * 2
        assert job.steps == 2 * half
        with bob_killed(processes, IN_THE_THIRD, **options) as now:
            now["bob"].reaches("running", step=half)
        went_on = re.search(r"go on at step (\d+)", now["bob"].log.read_text())
        assert went_on and half // 2 < int(went_on[1]) <= job.steps, "a fold at least is counted"
        processes.is_right()
        model = json.loads((tmp_path / "out/alice/model.json").read_text())
    finally:
        processes.close()
    x, y = plaintext.joined(job, plaintext.read_all(job, tmp_path))
    t = held_out_scores(job, x, y[:, 0])
    found = Evaluation.model_validate(model["evaluation"])
    assert found.figures is not None and (found.rows, found.folds) == (job.rows, 3)
    assert found.figures.positives == y.sum()
    assert found.figures.auc == pytest.approx(roc_auc_score(y[:, 0], t), abs=0.02)
