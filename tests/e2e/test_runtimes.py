"""The published runtime and the kit's own train the same model from one plan."""

from __future__ import annotations

import json

import pytest

from deployer.local.run import run_local
from tests.deployer.local.commands import command_line, deployer
from tests.deployer.local.test_run import loaded
from tests.harness.plans import cached
from tests.harness.processes import Processes


@pytest.mark.slow
def test_the_tensorflow_runtime_gives_the_same_model_and_says_whom_it_trusts(
    processes: Processes,
) -> None:
    job, tables = loaded(processes)
    cached(job, processes.cache)
    sealed = run_local(job, tables, processes.directory / "a", cache=processes.cache)
    process = deployer(
        *command_line(processes), "--output", processes.directory / "b", "--runtime", "tensorflow"
    )
    _, words = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "warning: the tensorflow runtime trusts the coordinator" in words
    model = json.loads((processes.directory / "b/alice/model.json").read_text())
    same = sealed.models["alice"].as_json()
    assert model["plan"] == same["plan"]
    for a, b in zip(model["weights"], same["weights"], strict=True):
        assert abs(a - b) < 0.01
