"""The kit from Python, with three parties behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.python.test_estimator import split
from tfe_kit import JointLogisticRegression


@pytest.mark.slow
def test_three_parties_give_scikit_learns_model(tmp_path: Path) -> None:
    """The estimator as it stands, no training in clear: what it leaves can be reported on."""
    x, y, columns = split()
    own = JointLogisticRegression(
        columns=columns,
        held_out=0.2,
        max_iter=16,
        output=tmp_path / "out",
        cache=tmp_path / "cache",
    )
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        own.fit(x, y)
    assert own.n_iter_[0] == 16
    assert own.evaluation_ is not None and own.evaluation_.figures is not None
    assert own.evaluation_.figures.auc > 0.97
    same = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    assert (own.predict(x) == same.predict(x)).mean() > 0.96
    assert own.score(x, y) > 0.95
    assert (tmp_path / "out/job.yaml").exists() and own.report_ is not None
