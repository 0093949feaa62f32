"""A model that is kept on shares is opened later, to whom a later job says, and by all three."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.local.run import Result, run_local
from party.agreement.job import PARTIES, Job
from party.approval.ledger import NAME, Ledger
from party.process.errors import InputError
from party.reporting.documents import ModelDocument, SharesDocument
from tests.harness import plaintext
from tests.harness.plans import cached

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

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
