"""What lies in the directory where a party is started is not run by it, nor by what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.processes import PATIENCE_S, Processes

LURES = ("tensorflow", "numpy", "json", "party", "pyarrow", "sitecustomize")


@pytest.mark.slow
def test_no_module_in_the_current_directory_is_imported(
    processes: Processes, tmp_path: Path
) -> None:
    """With an empty cache, so that the table is read and the plan built by processes of its own."""
    marker = tmp_path / "was run"
    for name in LURES:
        lure = f"open({str(marker)!r}, 'w').close()\nraise SystemExit(9)\n"
        (processes.directory / f"{name}.py").write_text(lure)
    party = Path(sys.executable).with_name("party")
    words = ["alice", "--job", "job.yaml", "--config", "config.json", "--keys", "keys/alice"]
    words += ["--table", "alice.csv", "--output", "out", "--cache", "fresh", "--wait", "0.5"]
    done = subprocess.run(
        [party, *words],
        cwd=processes.directory,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1 and "did not come within 0.5 s" in done.stderr, done.stderr
    assert not marker.exists()
    assert list((processes.directory / "fresh").glob("*-alice.schedule"))
