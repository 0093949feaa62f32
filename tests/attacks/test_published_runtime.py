"""What the published walk-through's runtime loses to, and the sealed runtime does not.

``--runtime tensorflow`` is that runtime. Each attack here succeeds; beside it stands the test in
which the sealed runtime withstands the same. ``test_injection`` has the one that runs a graph.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import PARTIES, Party, load_job
from party.models.linear_predictor import weights_of
from party.table import read_table
from tests.attacks.stranger import does, gets
from tests.harness.processes import ENDLESS, FILES, JOB, Processes, limit_files
from tests.harness.relay import RELAYED, as_it_comes, relayed

pytestmark = [pytest.mark.slow(6), pytest.mark.drawn("file")]

HOLDERS: tuple[Party, Party] = ("alice", "bob")
SCALE = 2**20
"""What Pond's fixed point has for one."""


@pytest.fixture
def processes(tmp_path: Path, cache: Path) -> Iterator[Processes]:
    made = Processes(tmp_path, cache, **ENDLESS)
    yield made
    made.close()


def table(processes: Processes, party: Party) -> Any:
    """What a party holds."""
    job = load_job(processes.directory / "job.yaml")
    return read_table(processes.directory / f"{party}.csv", job, party).matrix


def right(processes: Processes, weights: Any) -> float:
    """The part of the rows whose labels a model tells."""
    return float(
        np.mean((table(processes, "alice") @ weights > 0) == table(processes, "bob").ravel())
    )


def all_end_well(processes: Processes) -> None:
    """As far as they can see."""
    for one in processes.running:
        code, said = one.ends()
        assert code == 0, (one.party, said)


def test_a_stranger_without_a_certificate_reads_both_tables(processes: Processes) -> None:
    """Sealed: ``test_outsiders.test_no_other_certificate_gets_in``."""
    for one in processes.start_all("--runtime", "tensorflow"):
        one.reaches("running")
    for task, party in enumerate(HOLDERS):
        got = gets("read", processes.address(party), task, f"{party}/table", "float32")
        assert np.array_equal(got, table(processes, party))


def test_a_stranger_has_the_model_before_alice_does(processes: Processes) -> None:
    """It is the sum of what lies in two processes.

    Sealed: ``test_leaks.test_the_model_is_in_one_file_of_alices_and_nowhere_else``.
    """
    alice, *_ = processes.start_all("--runtime", "tensorflow")
    alice.reaches("running", step=800)
    names = {str(task): f"{party}/{weights_of(0)}/0" for task, party in enumerate(HOLDERS)}
    # Of which some fall between two steps, and read both of the same.
    for shares in gets("add up", processes.address("alice"), names, "int64", 500):
        weights = np.array(shares, np.int64).ravel() / SCALE
        if np.abs(weights).max() < 100:
            break
    assert right(processes, weights) > 0.9


def test_a_stranger_chooses_what_is_learnt_and_nobody_notices(processes: Processes) -> None:
    """He turns Bob's labels round where they lie. All three end as if all were well.

    Sealed: ``test_injection``.
    """
    processes.write_job("job.yaml")
    bob, _ = (processes.start(party, "--runtime", "tensorflow") for party in ("bob", "server"))
    bob.says("waiting for alice")
    labels = 1 - table(processes, "bob")
    gets("write", processes.address("bob"), 1, "bob/table", "float32", labels.tolist())
    alice = processes.start("alice", "--runtime", "tensorflow")
    all_end_well(processes)
    model = json.loads((alice.output / "model.json").read_text())
    assert right(processes, np.array([*model["weights"], model["intercept"]])) < 0.1


def test_a_stranger_ends_a_party_as_if_its_work_were_done(processes: Processes) -> None:
    """Whoever looks after Bob's process sees that it has ended with exit code 0.

    Sealed: ``test_injection``.
    """
    alice, bob, _ = processes.start_all("--runtime", "tensorflow")
    alice.reaches("running")
    does("end", processes.address("bob"), 1)
    assert bob.ends()[0] == 0
    code, words = alice.ends()
    assert code == 1 and "went away" in words
    assert bob.status()["phase"] == "running", "for ever"


def test_who_is_on_the_way_reads_and_changes_what_he_likes_and_nobody_knows(
    processes: Processes,
) -> None:
    """Bob is told other rows than Alice, so that their shares do not belong together. Bob and the
    third server end as if all were well; what Alice finds at home looks like her own setting.

    Sealed: ``test_network``.
    """
    processes.write_job("job.yaml")
    job = load_job(processes.directory / "job.yaml")
    batches = [
        batch.astype("<i4").tobytes() for epoch in range(job.epochs) for batch in job.batches(epoch)
    ]
    wrong = np.arange(job.batches(0).shape[1]).astype("<i4").tobytes()

    def other_rows(piece: bytes, to_alice: bool) -> bytes:
        for batch in () if to_alice else batches:
            piece = piece.replace(batch, wrong)
        return piece

    with relayed(processes, as_it_comes) as relay:
        relay.change = other_rows
        for party in PARTIES:
            config = RELAYED if party == "bob" else "config.json"
            processes.start(party, "--runtime", "tensorflow", config=config)
        alice, *others = (one.ends() for one in processes.running)
    assert alice[0] == 1 and "the job's training.learning_rate" in alice[1]
    assert [code for code, _ in others] == [0, 0]
    asked, told = bytes(relay.carried[True]), bytes(relay.carried[False])
    assert b"/job:tfe/replica:0/task:0" in asked, "nothing is encrypted"
    assert sum(batch in told for batch in batches) > len(batches) // 2


def test_parties_that_agreed_on_different_jobs_do_not_notice(processes: Processes) -> None:
    """Sealed: ``test_changed_party``."""
    processes.write_job("job.yaml")
    processes.write_job("other.yaml", training=JOB["training"] | {"learning_rate": 0.25})
    for party in ("alice", "bob", "server"):
        job = "other.yaml" if party == "bob" else "job.yaml"
        processes.start(party, "--runtime", "tensorflow", job=job)
    all_end_well(processes)
    processes.is_right()  # what Alice asked for, whatever Bob had agreed on


def test_connections_that_say_nothing_end_a_party(processes: Processes) -> None:
    """Each holds a file open, as many as come: where the usual 1,024 are allowed, the process dies
    of the next that it would open.

    Sealed: ``test_outsiders.test_connections_held_open_keep_nobody_out``, within the same limit.
    """
    bob = processes.start("bob", "--runtime", "tensorflow")
    limit_files(bob)
    bob.reaches("joining")
    bob.says("waiting for alice")
    address = processes.address("bob")
    with contextlib.ExitStack() as stack:
        for _ in range(2 * FILES):
            try:
                one = socket.create_connection((address.host, address.port), 5)
            except OSError:
                break
            stack.enter_context(one)
        code, _ = bob.ends()
    assert code == -signal.SIGABRT
