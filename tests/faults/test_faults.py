"""Connections are cut and parties killed, at random: every run ends well, with the same model."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from party.agreement.job import PARTIES, load_job
from party.native.channel import UNANSWERED_S
from tests.faults.relays import Fault
from tests.faults.runs import MOST_BYTES, ROUNDING, TRAINING, WITHIN_S, Ended, faulty
from tests.harness import plaintext
from tests.harness.processes import Processes
from tests.harness.relay import RELAYED, standing_still

pytestmark = pytest.mark.slow

CUT, KILLED, RARE = (2, 4), (1, 3), (6, 5)
"""Seeds of runs in which connections are cut, of such in which parties are killed, too, and of such
with full disks, changed checkpoints and connections in disorder: three tests, of which each commit
tries a case. ``python -m tests.faults`` tries as many as it is told."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Ended:
    """A run without faults."""
    with faulty(tmp_path_factory.mktemp("undisturbed") / "0", cache, 0, None) as run:
        return run.end()


@pytest.mark.drawn
@pytest.mark.parametrize("seed", CUT)
def test_a_run_whose_connections_are_cut_ends_well_and_gives_the_same_model(
    tmp_path: Path, cache: Path, undisturbed: Ended, seed: int
) -> None:
    with faulty(tmp_path / "run", cache, seed, undisturbed.weights, 12, 0.15) as run:
        ended = run.end()
    assert ended.faults and not any(_is_death(fault) for fault in ended.faults)


@pytest.mark.drawn
@pytest.mark.parametrize("seed", KILLED)
def test_a_run_whose_parties_are_killed_ends_well_and_gives_the_same_model(
    tmp_path: Path, cache: Path, undisturbed: Ended, seed: int
) -> None:
    with faulty(tmp_path / "run", cache, seed, undisturbed.weights, 12, 0.15) as run:
        ended = run.end()
    assert any(_is_death(fault) for fault in ended.faults)


@pytest.mark.drawn
@pytest.mark.parametrize("seed", RARE)
def test_a_run_with_full_disks_and_changed_checkpoints_ends_well_and_gives_the_same_model(
    tmp_path: Path, cache: Path, undisturbed: Ended, seed: int
) -> None:
    with faulty(tmp_path / "run", cache, seed, undisturbed.weights, rare=1) as run:
        ended = run.end()
    assert any("is full" in fault for fault in ended.faults)


def _is_death(fault: str) -> bool:
    return fault.startswith("SIG")


MISSED_WITHIN_S = 60.0
"""On a busy machine; and half of the silence that a peer which is alive may keep."""


def test_a_machine_that_is_gone_without_a_word_is_missed_and_the_run_goes_on_when_it_is_back(
    tmp_path: Path, cache: Path, undisturbed: Ended
) -> None:
    """Nobody closes or resets Bob's connections: what is sent over them is not acknowledged."""
    gone = Event()
    with faulty(tmp_path / "run", cache, 0, undisturbed.weights, most=0) as run:
        of_bob = [run.links["bob", "alice"], run.links["server", "bob"]]

        def vanish() -> None:
            for link in of_bob:
                link.vanish()
            gone.set()

        of_bob[0].faults.append(Fault(MOST_BYTES["bob-alice"] // 2, "vanish", "Bob's is", vanish))
        run.begin()
        assert gone.wait(WITHIN_S)
        began = time.monotonic()
        for party in PARTIES:
            run.now[party].reaches("rejoining")
        assert UNANSWERED_S - 1 < time.monotonic() - began < MISSED_WITHIN_S
        run.now["alice"].says("bob")  # of whose machine it is
        assert run.now["alice"].status()["since"]
        for link in of_bob:
            link.come_back()
        ended = run.end()
    assert ended.rejoins == 1


def test_a_process_that_stands_still_is_waited_for(tmp_path: Path, cache: Path) -> None:
    """For longer than a machine may leave an answer out: its machine gives that."""
    processes = Processes(tmp_path, cache, training=TRAINING)
    try:
        with standing_still(processes, MOST_BYTES["bob-alice"] // 2) as (go_on,):
            options = {"rejoin_limit": "100"}
            alice, server = (processes.start(party, **options) for party in ("alice", "server"))
            bob = processes.start("bob", config=RELAYED, **options)
            bob.reaches("running", step=1)
            bob.signal(signal.SIGSTOP)
            go_on.set()
            time.sleep(UNANSWERED_S + 4)
            bob.signal(signal.SIGCONT)
            for one in (alice, bob, server):
                assert one.ends() == (0, ""), one.party
                assert one.status()["rejoins"] == 0
        processes.is_right()
    finally:
        processes.close()


def test_a_step_that_is_left_out_or_done_twice_would_be_seen(tmp_path: Path, cache: Path) -> None:
    """In clear, any one of them moves the weights by more than is allowed for rounding."""
    processes = Processes(tmp_path, cache, training=TRAINING)
    processes.close()
    job = load_job(tmp_path / "job.yaml")
    features, label = plaintext.joined(job, plaintext.read_all(job, tmp_path))
    x, y, width = features.astype(float), label[:, 0].astype(float), job.step_width.value
    batches = [batch for epoch in range(job.epochs) for batch in job.batches(epoch)]

    def fitted(course: list[np.ndarray]) -> np.ndarray:
        weights = np.zeros(x.shape[1])
        for batch in course:
            rows = x[batch]
            weights -= width * (rows.T @ (1 / (1 + np.exp(-rows @ weights)) - y[batch]))
        return weights

    right = fitted(batches)
    for k in range(0, len(batches), 23):
        for changed in (batches[:k] + batches[k + 1 :], batches[: k + 1] + batches[k:]):
            assert np.linalg.norm(fitted(changed) - right) > 2 * ROUNDING * np.linalg.norm(right)
