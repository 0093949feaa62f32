"""``deployer score`` and ``deployer export``, as their user sees them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from party.scoring import Scorer
from tests.scoring.models import rows, written

SECRET = "4711.0815"


def deployer(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = "import sys; from deployer.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def table(directory: Path, cell: str = "") -> Path:
    path = directory / "rows.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["customer", "c2", "c0", "c1"])
        for number, (a, b, c) in enumerate(rows(30).tolist()):
            writer.writerow([f"No. {number}, Berlin", c, a, cell or b])
    return path


def test_scores_stand_beside_the_columns_that_are_kept(tmp_path: Path) -> None:
    model, output = written(tmp_path), tmp_path / "scores.csv"
    done = deployer("score", model, table(tmp_path), "--keep", "customer", "--output", output)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    head, *lines = csv.reader(output.open(newline=""))
    assert head == ["customer", "score"]
    assert [line[0] for line in lines] == [f"No. {number}, Berlin" for number in range(30)]
    scores = np.array([float(line[1]) for line in lines])
    np.testing.assert_allclose(scores, Scorer.read(model).predict(rows(30)), rtol=0, atol=1e-12)
    assert output.stat().st_mode & 0o777 == 0o600
    assert deployer("score", model, table(tmp_path)).stdout.splitlines()[1:] == [
        line[1] for line in lines
    ]


def test_a_wrong_row_leaves_what_was_there(tmp_path: Path) -> None:
    output = tmp_path / "scores.csv"
    output.write_text("of yesterday\n")
    wrong = table(tmp_path, cell=f"{SECRET} EUR")
    for arguments in (["--output", output], []):
        done = deployer("score", written(tmp_path), wrong, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "column 'c1': rows 1, 2, 3, 4, 5 and 25 more" in done.stderr
        assert SECRET not in done.stderr
    assert output.read_text() == "of yesterday\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.json",
        "rows.csv",
        "scores.csv",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--keep", "score"], "there is a column 'score' already"),
        (["--keep", "age"], "has no column 'age'"),
        (["--output", "/none/scores.csv"], "cannot write the scores: No such file or directory"),
    ],
)
def test_wrong_usage_is_said(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = deployer("score", written(tmp_path), table(tmp_path), *arguments)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize("form", ["onnx", "skops", "joblib"])
def test_a_model_is_written_in_each_form(tmp_path: Path, form: str) -> None:
    output = tmp_path / f"model.{form}"
    done = deployer("export", written(tmp_path), output, "--to", form)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"logistic-regression of 3 features, as {form}" in done.stdout
    assert output.stat().st_size > 200


def test_a_package_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hide").mkdir()
    hide = "import importlib.util as u; f = u.find_spec\n"
    hide += "u.find_spec = lambda n, *a: None if n == 'onnx' else f(n, *a)\n"
    (tmp_path / "hide/sitecustomize.py").write_text(hide)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hide"))
    done = deployer("export", written(tmp_path), tmp_path / "model.onnx")
    assert done.returncode == 2
    assert "the package onnx is not installed" in done.stderr
    assert "pip install 'tfe-kit[export]'" in done.stderr
