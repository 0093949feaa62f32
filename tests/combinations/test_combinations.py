"""Random jobs on random tables come to what is computed in clear, or are refused as the docs say.

``python -m tests.combinations`` tries as many as it is told.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.combinations import home, joined, plainly, private, runs, scores
from tests.combinations.draws import FindingError, draw
from tests.combinations.kinds import KINDS, ON_SHARES
from tests.harness.plans import MADE

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

WHOLE = (1, 2)
"""Seeds of jobs that are run by three parties: of some 1.5 s each, beside their plans."""

AT_HOME = 10
"""Seeds of a case of what parties do at home."""

OTHERS = [kind for kind in KINDS if kind not in ("plain", *ON_SHARES)]
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
        home.run(KINDS[kind](seed), tmp_path / str(seed))


def test_other_pairs_are_told(tmp_path: Path) -> None:
    case = joined.draw(4)
    assert case.pairs is not None
    assert home.run(case, tmp_path / "right").code == 0
    other = case.pairs.copy()
    other[:, 1] = np.roll(other[:, 1], 1)
    with pytest.raises(FindingError, match="other rows are matched"):
        home.run(replace(case, pairs=other), tmp_path / "other")
    clear = plainly.clear(case.job, case.tables, other)
    compared = runs.Compared(case, clear, tmp_path / "right", "60 rows were", noisy=False)
    with pytest.raises(FindingError, match="with a loss of"):
        compared.all(tmp_path)


def test_what_is_computed_in_clear_tells_a_wrong_result(tmp_path: Path) -> None:
    """Here of another penalty."""
    case = draw(44)
    assert home.run(case, tmp_path / "right").code == 0
    said = f"{case.job['rows']} rows were used"
    job = case.job | {"training": {"C": 1e-3}}
    clear = plainly.clear(job, case.tables)
    other = runs.Compared(replace(case, job=job), clear, tmp_path / "right", said, noisy=False)
    with pytest.raises(FindingError, match="with a loss of"):
        other.all(tmp_path)


def test_scores_of_other_rows_are_told(tmp_path: Path) -> None:
    """Here the other's are of another order, and one has lost its partner."""
    case = scores.draw_left(7)
    assert home.run(case, tmp_path / "right").code == 0 and case.people is not None
    clear, _ = runs.in_clear(case, {})
    assert clear is not None
    (right,) = {"alice", "bob"} - {case.job["result"]}
    own, others = case.people[right], set(case.people[case.job["result"]])
    one = next(who for who in own if who in others)
    for change in (own[::-1], [-1 if who == one else who for who in own]):
        other = replace(case, people=case.people | {right: change})
        with pytest.raises(FindingError, match="times the bound"):
            runs.see_to_scores(other, clear, tmp_path / "right" / "former", tmp_path / "right")


def test_labels_that_were_turned_round_by_another_key_are_told(tmp_path: Path) -> None:
    case, other = private.draw_labels(1), private.draw_labels(4)
    assert home.run(case, tmp_path / "right").code == 0
    files = case.write(tmp_path)
    clear, _ = runs.in_clear(replace(case, label_key=other.label_key), files)
    assert clear is not None
    compared = runs.Compared(case, clear, tmp_path / "right", "60 rows were", noisy=False)
    with pytest.raises(FindingError, match="with a loss of"):
        compared.all(tmp_path)


def test_noise_that_is_too_small_or_not_there_is_told(tmp_path: Path) -> None:
    case = private.draw_weights(2)
    assert home.run(case, tmp_path / "right").code == 0
    clear, _ = runs.in_clear(case, {})
    assert clear is not None
    said = f"{case.job['rows']} rows were"
    with pytest.raises(FindingError, match="weights are off by"):  # there is no noise at home
        runs.Compared(case, clear, tmp_path / "right", said).all(tmp_path)
    for file in (tmp_path / "right").glob("*/model.json"):
        model = json.loads(file.read_text())
        model["health"]["private"]["noise"] /= 3
        file.write_text(json.dumps(model))
    with pytest.raises(FindingError, match="has a delta of"):
        runs.Compared(case, clear, tmp_path / "right", said, noisy=False).all(tmp_path)
