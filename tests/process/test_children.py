"""What lies in the directory where a party is started is not run by it, nor by what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.scene import PATIENCE_S, Scene

LURES = ("tensorflow", "numpy", "json", "party", "pyarrow", "sitecustomize")


@pytest.mark.slow
def test_no_module_in_the_current_directory_is_imported(scene: Scene, tmp_path: Path) -> None:
    """With an empty cache, so that the table is read and the plan built by processes of its own."""
    marker = tmp_path / "was run"
    for name in LURES:
        lure = f"open({str(marker)!r}, 'w').close()\nraise SystemExit(9)\n"
        (scene.directory / f"{name}.py").write_text(lure)
    party = Path(sys.executable).with_name("party")
    words = ["alice", "--job", "job.yaml", "--config", "config.json", "--keys", "keys/alice"]
    words += ["--table", "alice.csv", "--output", "out", "--cache", "fresh", "--wait", "0.5"]
    done = subprocess.run(
        [party, *words],
        cwd=scene.directory,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1 and "did not come within 0.5 s" in done.stderr, done.stderr
    assert not marker.exists()
    assert list((scene.directory / "fresh").glob("*-alice.schedule"))
