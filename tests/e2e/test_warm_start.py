"""A training that begins from a former model ends at the same optimum, in fewer passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.local.run import Result, run_local
from party.agreement.job import Job
from party.process.errors import InputError
from tests.harness import plaintext
from tests.harness.plans import cached

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]

ROWS = 900


def tables(directory: Path, seed: int) -> dict[str, Path]:
    """A sample of one population, in units of its own."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(ROWS, 3))
    labels = draw.random(ROWS) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, 0.7] - 0.3)))
    directory.mkdir()
    files = {party: directory / f"{party}.csv" for party in ("alice", "bob")}
    np.savetxt(files["alice"], 40.0 + 5.0 * x[:, :2], "%.9g", ",", header="p,q", comments="")
    bobs = np.column_stack([labels, 0.01 * x[:, 2]])
    np.savetxt(files["bob"], bobs, "%.9g", ",", header="y,r", comments="")
    return files


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_a_warm_start_ends_at_the_same_optimum_in_fewer_passes(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    agreed: dict[str, Any] = {"name": "a", "rows": ROWS, "protocol": protocol, "label": "y"}
    agreed |= {"features": {"alice": ["p", "q"], "bob": ["r"]}, "result": "own"}
    new = tables(tmp_path / "new", 2)

    def run(name: str, files: dict[str, Path], start: Path | None = None) -> Result:
        training = {} if start is None else {"training": {"start": "model"}}
        job = Job.model_validate_json(json.dumps(agreed | training))
        cached(job, cache)
        return run_local(job, files, tmp_path / name, cache=cache, start=start)

    def weights(of: Result) -> dict[str, float]:
        return plaintext.received(*(model.as_json() for model in of.models.values()))

    former = run("former", tables(tmp_path / "old", 1))
    cold = run("cold", new)
    # Its own output may be what it begins from: both parts are read before it is replaced.
    warm = run("former", new, former.output)
    assert plaintext.distance(weights(warm), weights(cold)) < 2e-3
    assert plaintext.distance(weights(former), weights(cold)) > 2e-2
    assert warm.report.steps < cold.report.steps


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_each_month_begins_from_a_model_that_nobody_has_seen(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    agreed: dict[str, Any] = {"name": "a", "rows": ROWS, "protocol": protocol, "label": "y"}
    agreed |= {"features": {"alice": ["p", "q"], "bob": ["r"]}}
    output, keys = tmp_path / "out", tmp_path / "keys"

    def run(files: dict[str, Path], **change: Any) -> Result:
        job = Job.model_validate_json(json.dumps(agreed | change))
        cached(job, cache)
        return run_local(job, files, output, cache=cache, keys=keys)

    def name_of(run: Result) -> str:
        kept = run.report.parties["server"].kept
        assert not run.models and kept is not None
        return kept.name

    new = tables(tmp_path / "new", 2)
    first = run(tables(tmp_path / "old", 1), result="kept")
    begins = {"training": {"start": name_of(first)}, "result": "kept"}
    second = run(new, **begins)
    assert name_of(second) != name_of(first)
    assert second.report.steps < first.report.steps
    opened = run({}, **begins | {"kept": name_of(second), "result": "own"})
    found = plaintext.received(*(model.as_json() for model in opened.models.values()))
    cold = Job.model_validate_json(json.dumps(agreed))
    clear = plaintext.fit(cold, plaintext.read_all(cold, new["alice"].parent))
    assert plaintext.distance(found, clear) < 1e-2

    third = {"training": {"start": name_of(second), "passes": 1}, "result": "own"}
    told = run(new, **third).models.values()
    again = plaintext.received(*(model.as_json() for model in told))
    assert plaintext.distance(again, found) < 2e-3, "one pass is enough, where nothing is new"
    with pytest.raises(InputError, match="of a job that differs in: model"):
        run(new, **third | {"model": "linear-regression"})
    with pytest.raises(InputError, match=f"has no part of the kept model {'0' * 16}"):
        run(new, training={"start": "0" * 64})


def test_a_start_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    files = tables(tmp_path / "new", 2)
    agreed = {"name": "a", "rows": ROWS, "label": "y", "features": ["p", "q"]}
    cold = Job.model_validate_json(json.dumps(agreed))
    warm = Job.model_validate_json(json.dumps(agreed | {"training": {"start": "model"}}))
    for job, start, told in (
        (warm, None, "begins from a former model"),
        (cold, tmp_path, "takes no former model"),
        (warm, tmp_path, "alice received no model there"),
    ):
        with pytest.raises(InputError, match=told) as refused:
            run_local(job, files, tmp_path / "out", start=start)
        assert refused.value.hint
