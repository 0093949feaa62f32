"""A model that is kept on shares is opened later, to whom a later job says, and by all three."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.estimate import estimate
from deployer.local.run import Result, run_local
from party.agreement.job import PARTIES, AlignedJob, Job, Sizes, load_job
from party.approval.ledger import NAME, Ledger
from party.process.errors import InputError
from party.reporting.documents import ModelDocument, SharesDocument
from tests.harness import plaintext
from tests.harness.optimum import logistic_optimum
from tests.harness.plans import cached

pytestmark = [pytest.mark.slow, pytest.mark.drawn, pytest.mark.in_turn]

ROWS = 300


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_a_kept_model_is_opened_to_whom_a_later_job_says(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    agreed: dict[str, Any] = {"name": "a", "rows": ROWS, "protocol": protocol, "label": "y"}
    agreed |= {"features": {"alice": ["p", "q"], "bob": ["r"]}, "result": "kept"}
    output = tmp_path / "out"
    draw = np.random.default_rng(1)
    x = draw.normal(size=(ROWS, 3))
    labels = draw.random(ROWS) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, 0.7])))
    files = {party: tmp_path / f"{party}.csv" for party in ("alice", "bob")}
    np.savetxt(files["alice"], 9.0 + x[:, :2], "%.9g", ",", header="p,q", comments="")
    bobs = np.column_stack([labels, x[:, 2]])
    np.savetxt(files["bob"], bobs, "%.9g", ",", header="y,r", comments="")

    def run(**change: Any) -> Result:
        job = Job.model_validate_json(json.dumps(agreed | change))
        cached(job, cache)
        return run_local(job, files, output, cache=cache, keys=tmp_path / "keys")

    def openings() -> int:
        found = Ledger(output / "server" / NAME).entries
        return sum(entry.event == "opening" for entry in found)

    kept = run()
    trained = Job.model_validate_json(json.dumps(agreed))
    clear = plaintext.fit(trained, plaintext.read_all(trained, tmp_path))
    parts = [report.kept for report in kept.report.parties.values()]
    (name,) = {part.name for part in parts if part is not None}
    assert len({part.sha256 for part in parts if part is not None}) == len(PARTIES)
    assert not kept.models and not openings()
    for party in PARTIES:
        there = {path.name for path in (output / party).iterdir()}
        assert not there & {ModelDocument.NAME, SharesDocument.NAME}
    for file in files.values():  # the holders' tables are not needed any more
        file.unlink()

    alices = run(kept=name, result="alice").models["alice"].as_json()
    assert plaintext.distance(plaintext.received(alices), clear) < 1e-2
    np.testing.assert_allclose(alices["mean"][:2], 9.0, atol=0.3)
    assert alices["mean"][2] is None, "Bob alone knows it"
    own = run(kept=name, result="own").models
    found = plaintext.received(*(model.as_json() for model in own.values()))
    assert found == plaintext.received(alices), "the same shares, and so the same numbers"
    assert openings() == 2

    with pytest.raises(InputError, match="differs in: training"):
        run(kept=name, result="alice", training={"C": 2.0})
    with pytest.raises(InputError, match=f"has no part of the kept model {'0' * 16}"):
        run(kept="0" * 64, result="alice")
    sealed = output / "bob" / "kept" / f"{name}.sealed"
    changed = bytearray(sealed.read_bytes())
    changed[-1] ^= 1
    sealed.write_bytes(changed)
    with pytest.raises(InputError, match=r"bob's part of the kept model .* is damaged"):
        run(kept=name, result="alice")
    sealed.unlink()
    with pytest.raises(InputError, match="bob has no part of the kept model"):
        run(kept=name, result="alice")
    assert openings() == 2


def test_a_kept_model_of_matched_rows_is_opened_and_begun_from(tmp_path: Path, cache: Path) -> None:
    """Of which an opening matches none again; a new training matches its own."""
    agreed: dict[str, Any] = {"name": "a", "label": "y", "align": {"key": "id"}}
    agreed |= {"features": {"alice": ["p", "q"], "bob": ["r"]}}
    sizes, output = Sizes(alice=ROWS, bob=ROWS, common=ROWS - 50), tmp_path / "out"
    draw = np.random.default_rng(1)
    x = draw.normal(size=(ROWS + 50, 3))
    labels = draw.random(len(x)) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, 0.7])))
    files = {party: tmp_path / f"{party}.csv" for party in ("alice", "bob")}
    ids = np.arange(len(x))
    for party, names, own in (
        ("alice", "id,p,q", np.column_stack([ids, 9.0 + x[:, :2]])[:ROWS]),
        ("bob", "id,y,r", np.column_stack([ids, labels, x[:, 2]])[50:]),
    ):
        np.savetxt(files[party], draw.permutation(own), "%.9g", ",", header=names, comments="")

    def run(**change: Any) -> Result:
        job = Job.model_validate_json(json.dumps(agreed | change))
        cached(AlignedJob.of(job, sizes) if job.matches else job, cache)
        return run_local(job, files, output, cache=cache, keys=tmp_path / "keys")

    def found(result: Result) -> dict[str, float]:
        return plaintext.received(*(model.as_json() for model in result.models.values()))

    kept = run(result="kept")
    parts = [report.kept for report in kept.report.parties.values()]
    (name,) = {part.name for part in parts if part is not None}
    begun = run(result="own", training={"start": name})
    assert begun.report.steps < kept.report.steps
    for file in files.values():
        file.unlink()
    opened = run(result="own", kept=name)
    models = {party: model.as_json() for party, model in opened.models.items()}
    assert all(model["health"]["rows"] == sizes.common for model in models.values())
    counts = [report.alignment for report in opened.report.parties.values()]
    assert [one.sizes for one in counts if one is not None] == [sizes] * len(PARTIES)
    said = estimate(load_job(output / "job.yaml"), cache, None)
    assert (said.plan, said.messages) == (opened.report.plan, 2), "as many as it opens, to each one"
    for party, report in opened.report.parties.items():
        assert report.traffic is not None
        assert said.parties[party].bytes_sent == report.traffic.bytes_sent
    mean, scale = (models["alice"][of] + models["bob"][of] for of in ("mean", "scale"))
    whole = x[50:ROWS] + np.array([9.0, 9.0, 0.0])
    rows = np.column_stack([(whole - mean) / scale, np.ones(len(whole))])
    best = logistic_optimum(rows, labels[50:ROWS].astype(float), 1.0, 3)
    clear = dict(zip(("p", "q", "r", "intercept"), best, strict=True))
    assert plaintext.distance(found(opened), clear) < 2e-2
    assert plaintext.distance(found(begun), clear) < 2e-2
