"""The example notebook runs from top to bottom, and holds no output of anybody's run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELLS = json.loads((ROOT / "examples/notebook/joint.ipynb").read_text("utf-8"))["cells"]


def test_it_holds_no_output() -> None:
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert code and all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow(7)
def test_its_cells_run_one_after_the_other(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    here = tmp_path / "examples/notebook"
    cells = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
    (here / "cells.py").write_text("\n".join(cells), "utf-8")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "cells.py"],
        cwd=here,
        env=os.environ | {"PATH": path, "MPLBACKEND": "Agg", "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    areas = [float(line.partition("AUC ")[2][:5]) for line in said if "AUC" in line][-2:]
    assert 0.6 < areas[0] < areas[1] < 0.75
    assert float(said[-1]) < 1e-9
    for name in ("plots.png", "report.html", "model.onnx", "scores.csv"):
        assert (here / name).stat().st_size > 100, name
