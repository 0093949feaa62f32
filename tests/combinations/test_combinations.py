"""Random jobs on random tables come to what is computed in clear, or are refused as the docs say.

``python -m tests.combinations`` tries as many as it is told.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.combinations import home, joined, plainly, runs, warm
from tests.combinations.draws import draw
from tests.combinations.runs import FindingError
from tests.harness.plans import MADE

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

WHOLE = (1, 2)
"""Seeds of jobs that are run by three parties: of some 1.5 s each, beside their plans."""

AT_HOME = 10
"""Seeds of a case of what parties do at home."""

OTHERS = {"joined": joined.draw, "warm": warm.draw, "warm-joined": warm.draw_joined}
"""Cases of a kind of their own."""


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize("seed", WHOLE)
def test_a_run_comes_to_what_is_computed_in_clear(tmp_path: Path, seed: int) -> None:
    MADE.mkdir(parents=True, exist_ok=True)
    assert runs.run(draw(seed), tmp_path / "run", MADE).code == 0


@pytest.mark.drawn
@pytest.mark.parametrize("tens", range(3))
def test_so_does_what_parties_do_at_home(tmp_path: Path, tens: int) -> None:
    for seed in range(AT_HOME * tens, AT_HOME * (tens + 1)):
        home.run(draw(seed), tmp_path / str(seed))


@pytest.mark.drawn
@pytest.mark.parametrize("kind", OTHERS)
def test_so_do_cases_of_a_kind_of_their_own_at_home(tmp_path: Path, kind: str) -> None:
    for seed in range(AT_HOME):
        home.run(OTHERS[kind](seed), tmp_path / str(seed))


def test_other_pairs_are_told(tmp_path: Path) -> None:
    case = joined.draw(4)
    assert case.pairs is not None
    assert home.run(case, tmp_path / "right").code == 0
    other = case.pairs.copy()
    other[:, 1] = np.roll(other[:, 1], 1)
    with pytest.raises(FindingError, match="other rows are matched"):
        home.run(replace(case, pairs=other), tmp_path / "other")
    clear = plainly.clear(case.job, case.tables, other)
    compared = runs.Compared(case, clear, tmp_path / "right", "60 rows were", counted=False)
    with pytest.raises(FindingError, match="with a loss of"):
        compared.all(tmp_path)


def test_what_is_computed_in_clear_tells_a_wrong_result(tmp_path: Path) -> None:
    """Here of another penalty."""
    case = draw(44)
    assert home.run(case, tmp_path / "right").code == 0
    said = f"{case.job['rows']} rows were used"
    job = case.job | {"training": {"C": 1e-3}}
    clear = plainly.clear(job, case.tables)
    other = runs.Compared(replace(case, job=job), clear, tmp_path / "right", said, counted=False)
    with pytest.raises(FindingError, match="with a loss of"):
        other.all(tmp_path)
