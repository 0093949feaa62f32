"""Who installs the package and has no checkout can do all that it is for."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow(5)
def test_an_installed_package_trains_its_example(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    one = os.environ | {"TFE_KIT_CPU": "baseline"}  # of the executor's variants: enough here
    subprocess.run([*install, "--target", tmp_path / "site", ROOT], env=one, check=True)
    done = subprocess.run(
        [sys.executable, "-c", "from deployer.cli import main; main()", "run", "--output", "out"],
        cwd=tmp_path,
        env=one | {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "feature_16" in done.stdout
    assert str(ROOT) not in done.stdout + done.stderr
    job = tmp_path / "site/deployer/examples/fraud/job.yaml"
    command = "from deployer.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", command, "report", job, "out", "--no-audit"],
        cwd=tmp_path,
        env=one | {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)},
        check=True,
    )
    assert "feature_16" in (tmp_path / "report.html").read_text()
    read = (
        "from tfe_kit import JointLogisticRegression as M; import tfe_kit; print(tfe_kit.__file__)"
    )
    read += "; print(*M.from_model('out/alice/model.json').feature_names_in_)"
    done = subprocess.run(
        [sys.executable, "-c", read],
        cwd=tmp_path,
        env=one | {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path / "site/tfe_kit/")) and "feature_16" in done.stdout
    assert not (tmp_path / "site/deployer/python").exists(), "it is there once"


def test_a_plain_installation_gets_one_tensorflow() -> None:
    """tf-encrypted asks for the package ``tensorflow``; another of the same files beside it would
    break both."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = " ".join([*project["dependencies"], *project["optional-dependencies"]["party"]])
    assert "tf-encrypted==" in asked and "tensorflow-cpu" not in asked
