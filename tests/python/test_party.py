"""A party that Python runs is the party of the command line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from party.agreement.job import PARTIES
from party.process.errors import InputError
from tests.harness.processes import Processes
from tfe_kit import Party


def seat(processes: Processes, party: Any) -> Party:
    at = processes.directory
    return Party(
        party,
        job=at / "job.yaml",
        config=at / "config.json",
        keys=at / f"keys/{party}",
        output=at / f"out/{party}",
        cache=processes.cache,
        wait_s=110,
    )


@pytest.mark.slow
def test_three_parties_train_and_the_receiver_predicts(processes: Processes) -> None:
    seats = {party: seat(processes, party) for party in PARTIES}
    tables = {party: processes.directory / f"{party}.csv" for party in ("alice", "bob")}
    with ThreadPoolExecutor(len(PARTIES)) as pool:
        list(pool.map(lambda party: seats[party].fit(tables.get(party)), PARTIES))
    processes.is_right()
    rows = np.loadtxt(tables["alice"], delimiter=",", skiprows=1)
    labels = np.loadtxt(tables["bob"], skiprows=1)
    model = seats["alice"].estimator()
    assert list(model.feature_names_in_) == ["age", "amount"]
    with pytest.warns(UserWarning, match="feature names"):
        assert model.score(rows, labels) > 0.8
    assert all(one.report_ is not None for one in seats.values())
    with pytest.raises(InputError, match="bob has received no model"):
        seats["bob"].estimator()


def test_a_partys_error_is_raised_as_it_was_said(processes: Processes) -> None:
    with pytest.raises(InputError, match="cannot read the table") as caught:
        seat(processes, "alice").fit(processes.directory / "nowhere.csv")
    assert caught.value.hint
