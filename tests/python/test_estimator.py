"""The estimator is one of scikit-learn's: its own checks say so, and its model is the same."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from party.agreement.job import Job
from party.process.errors import InputError
from tests.harness import datasets
from tests.python.conftest import in_clear
from tfe_kit import JointLogisticRegression, trial

EXCLUDED = {
    "check_class_weight_classifiers": "weighs a class with 0.0001; a job's least is 0.001",
}
"""Checks of scikit-learn's that do not apply, and why."""


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [JointLogisticRegression()], expected_failed_checks=lambda _: EXCLUDED
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_of_an_estimator(estimator: Any, check: Any, clear: None) -> None:
    check(estimator)


def split(holder: str = "alice") -> tuple[Any, Any, dict[str, list[int]]]:
    made = datasets.breast_cancer()
    other = "bob" if holder == "alice" else "alice"
    return made.x, made.y, {holder: list(range(0, 30, 2)), other: list(range(1, 30, 2))}


@pytest.mark.parametrize("label", ["alice", "bob"])
def test_weights_are_of_columns_in_their_own_units_and_order(label: Any, clear: None) -> None:
    x, y, columns = split()
    words = np.where(y > 0, "benign", "malign")
    own = JointLogisticRegression(columns=columns, label=label, C=0.5).fit(x, words)
    same = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, tol=1e-8, max_iter=1000))
    same.fit(x, words)
    assert list(own.classes_) == ["benign", "malign"]
    np.testing.assert_allclose(own.predict_proba(x), same.predict_proba(x), atol=2e-4)
    np.testing.assert_allclose(own.coef_, same[-1].coef_ / same[0].scale_, rtol=2e-2, atol=1e-3)
    assert (own.predict(x) == same.predict(x)).mean() > 0.99


def test_a_column_that_never_changes_takes_no_part(clear: None) -> None:
    x, y, _ = split()
    x = np.insert(x, 3, 7.0, axis=1)
    own = JointLogisticRegression().fit(x, y)
    assert own.coef_.shape == (1, 31) and own.coef_[0, 3] == 0.0
    with pytest.raises(ValueError, match="no column of X changes"):
        JointLogisticRegression().fit(np.ones((40, 2)), y[:40])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"alice": [0], "bob": [1, 2, 3]}, "4 has to be one holder's"),
        ({"alice": [0, 1], "bob": [1, 2, 3, 4]}, "1 has to be one holder's"),
        ({"alice": [0, 1, 2], "bob": [3, 4, 5]}, "X has no column 5"),
        ({"alice": [0, 1, 2], "carol": [3, 4]}, "'carol' is not a holder"),
    ],
)
def test_each_column_is_one_holders(columns: Any, words: str, clear: None) -> None:
    x, y, _ = split()
    with pytest.raises(ValueError, match=words):
        JointLogisticRegression(columns=columns).fit(x[:, :5], y)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"C": -1.0}, r"training\.C"),
        ({"protocol": "spdz"}, "protocol"),
        ({"max_iter": 0}, r"training\.passes"),
        ({"class_weight": {0: 1e9, 1: 1.0}}, r"training\.class_weight"),
        ({"held_out": 2.0}, r"evaluation\.held_out"),
        ({"folds": 11}, r"evaluation\.folds"),
        ({"folds": 2.9}, r"evaluation\.folds"),
        ({"folds": 3, "held_out": 0.2}, "with folds every row is held out once"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_key(wrong: Any, words: str, clear: None) -> None:
    x, y, _ = split()
    with pytest.raises(InputError, match=words):
        JointLogisticRegression(**wrong).fit(x, y)


def test_folds_are_those_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run over folds gives is held elsewhere."""
    seen = []

    def noted(job: Job, *rest: Any) -> Any:
        seen.append(job)
        return in_clear(job, *rest)

    monkeypatch.setattr(trial, "train", noted)
    x, y, columns = split()
    JointLogisticRegression(columns=columns, folds=3).fit(x, y)
    assert seen[0].folds == 3 and seen[0].held_out_rows == 0


def test_a_model_goes_to_a_file_and_comes_back(tmp_path: Path, clear: None) -> None:
    x, y, columns = split("bob")
    own = JointLogisticRegression(columns=columns).fit(x, y)
    read = JointLogisticRegression.from_model(own.save(tmp_path))
    at = [int(name[1:]) for name in read.feature_names_in_]
    with pytest.warns(UserWarning, match="feature names"):
        np.testing.assert_allclose(read.predict_proba(x[:, at]), own.predict_proba(x), atol=1e-9)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(own)).coef_, own.coef_)


def test_without_scikit_learn_the_import_says_what_to_install() -> None:
    lacking = "import sys; sys.modules['sklearn'] = None; import tfe_kit"
    done = subprocess.run(
        [sys.executable, "-c", lacking], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "pip install 'tfe-kit[party,python]'" in done.stderr
