"""``deployer score`` and ``deployer export``, as their user sees them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from party.scoring import Scorer
from tests.deployer.conftest import Deployer
from tests.scoring.models import rows, written

SECRET = "4711.0815"


def table(directory: Path, cell: str = "") -> Path:
    path = directory / "rows.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["customer", "c2", "c0", "c1"])
        for number, (a, b, c) in enumerate(rows(30).tolist()):
            writer.writerow([f"No. {number}, Berlin", c, a, cell or b])
    return path


def test_scores_stand_beside_the_columns_that_are_kept(tmp_path: Path, deployer: Deployer) -> None:
    model, output = written(tmp_path), tmp_path / "scores.csv"
    done = deployer("score", model, table(tmp_path), "--keep", "customer", "--output", output)
    assert (done.code, done.out, done.err) == (0, "", "")
    head, *lines = csv.reader(output.open(newline=""))
    assert head == ["customer", "score"]
    assert [line[0] for line in lines] == [f"No. {number}, Berlin" for number in range(30)]
    scores = np.array([float(line[1]) for line in lines])
    np.testing.assert_allclose(scores, Scorer.read(model).predict(rows(30)), rtol=0, atol=1e-12)
    assert output.stat().st_mode & 0o777 == 0o600
    assert deployer("score", model, table(tmp_path)).out.splitlines()[1:] == [
        line[1] for line in lines
    ]


def test_a_wrong_row_leaves_what_was_there(tmp_path: Path, deployer: Deployer) -> None:
    output = tmp_path / "scores.csv"
    output.write_text("of yesterday\n")
    wrong = table(tmp_path, cell=f"{SECRET} EUR")
    for arguments in (["--output", output], []):
        done = deployer("score", written(tmp_path), wrong, *arguments)
        assert (done.code, done.out) == (2, "")
        assert "column 'c1': rows 1, 2, 3, 4, 5 and 25 more" in done.err
        assert SECRET not in done.err
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
def test_wrong_usage_is_said(
    tmp_path: Path, arguments: list[str], says: str, deployer: Deployer
) -> None:
    done = deployer("score", written(tmp_path), table(tmp_path), *arguments)
    assert done.code == 2
    assert says in done.err


def test_what_is_read_is_not_written_over(tmp_path: Path, deployer: Deployer) -> None:
    model, read = written(tmp_path), table(tmp_path)
    before = {path: path.read_bytes() for path in (model, read)}
    for words in (
        ("score", model, read, "--output", read),
        ("score", model, read, "--output", model),
        ("export", model, model),
        ("report", model, tmp_path, "--output", model),
        ("receipt", "merge", read, model, "--output", model),
    ):
        done = deployer(*words)
        assert done.code == 2 and "it would replace what it is made of" in done.err
    for wrong in (
        ("score", model, read, "--output", Path("/dev/null")),
        ("report", model, tmp_path, "--output", Path("/dev/null")),
        ("data", "label-key", tmp_path / "no/label.key"),
    ):
        done = deployer(*wrong)
        assert done.code == 2 and "cannot write the" in done.err
    assert {path: path.read_bytes() for path in (model, read)} == before
    assert Path("/dev/null").is_char_device()


def test_the_help_names_the_extra_that_an_export_needs(deployer: Deployer) -> None:
    assert "pip install 'tfe-kit[export]'" in deployer("export", "--help").out


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "skops", "joblib"])
def test_a_model_is_written_in_each_form(tmp_path: Path, form: str, deployer: Deployer) -> None:
    output = tmp_path / f"model.{form}"
    done = deployer("export", written(tmp_path), output, "--to", form)
    assert (done.code, done.err) == (0, "")
    assert f"logistic-regression of 3 features, as {form}" in done.out
    assert output.stat().st_size > 200


def test_a_package_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deployer: Deployer
) -> None:
    found = {"onnx": None}
    monkeypatch.setattr("party.scoring.export.find_spec", lambda name: found.get(name, True))
    done = deployer("export", written(tmp_path), tmp_path / "model.onnx")
    assert done.code == 2
    assert "the package onnx is not installed" in done.err
    assert "pip install 'tfe-kit[export]'" in done.err
