"""What the published walk-through's runtime loses to, and the sealed runtime does not.

``--runtime tensorflow`` is that runtime. Each attack here succeeds; beside it stands the test in
which the sealed runtime withstands the same. ``test_injection`` has the one that runs a graph.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from party.job import load_job
from party.models.order import order
from party.table import read_table
from tests.attacks.relay import RELAYED, as_it_comes, relayed
from tests.attacks.siege import Siege
from tests.runtime.scene import ENDLESS, JOB, PATIENCE_S

pytestmark = pytest.mark.slow

STEAL = """
import json
import sys
import tensorflow as tf
v1 = tf.compat.v1
v1.disable_eager_execution()
task, address, name, dtype = sys.argv[1:]
with tf.device(f"/job:tfe/task:{task}"):
    held = tf.raw_ops.VarHandleOp(dtype=dtype, shape=tf.TensorShape(None), shared_name=name)
    value = tf.raw_ops.ReadVariableOp(resource=held, dtype=dtype)
config = v1.ConfigProto(device_filters=[f"/job:tfe/task:{task}"], operation_timeout_in_ms=15000)
with v1.Session("grpc://" + address, config=config) as session:
    print(json.dumps(session.run(value).tolist()))
"""
"""A stranger's program: reads what a party's process holds in its memory."""


@pytest.fixture
def siege(tmp_path: Path, cache: Path) -> Iterator[Siege]:
    made = Siege(tmp_path, cache, **ENDLESS)
    yield made
    made.close()


def steal(siege: Siege, party: str, name: str, dtype: str) -> np.ndarray:
    task, address = str(("alice", "bob").index(party)), str(siege.address(party))
    command = [sys.executable, "-c", STEAL, task, address, f"{party}/{name}", dtype]
    got = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert got.returncode == 0, got.stderr[-1000:]
    return np.array(json.loads(got.stdout))


def test_a_stranger_without_a_certificate_reads_both_tables(siege: Siege) -> None:
    """Sealed: ``test_outsiders.test_no_other_certificate_gets_in``."""
    for one in siege.start_all("--runtime", "tensorflow"):
        one.reaches("running")
    job = load_job(siege.directory / "job.yaml")
    for party in ("alice", "bob"):
        table = read_table(siege.directory / f"{party}.csv", job, party)  # type: ignore[arg-type]
        assert np.array_equal(steal(siege, party, "table", "float32"), table.matrix)


def test_who_is_on_the_way_reads_and_changes_what_he_likes_and_nobody_notices(
    siege: Siege,
) -> None:
    """Bob is told other rows than Alice, so that her features meet others' labels. All three end as
    if all were well, and the model is worthless.

    Sealed: ``test_network``.
    """
    siege.write_job("job.yaml")
    job = load_job(siege.directory / "job.yaml")
    batches = [
        batch.astype("<i4").tobytes()
        for epoch in range(job.training.epochs)
        for batch in order(job, epoch).reshape(-1, job.training.batch_size)
    ]
    wrong = np.arange(job.training.batch_size).astype("<i4").tobytes()

    def other_rows(piece: bytes, to_alice: bool) -> bytes:
        for batch in () if to_alice else batches:
            piece = piece.replace(batch, wrong)
        return piece

    with relayed(siege, as_it_comes) as relay:
        relay.change = other_rows
        for party in ("alice", "bob", "server"):
            config = RELAYED if party == "bob" else "config.json"
            siege.start(party, "--runtime", "tensorflow", config=config)
        for one in siege.running:
            code, said = one.ends()
            assert code == 0, (one.party, said)
    asked, told = bytes(relay.carried[True]), bytes(relay.carried[False])
    assert b"/job:tfe/replica:0/task:0" in asked, "nothing is encrypted"
    assert sum(batch in told for batch in batches) > len(batches) // 2
    with pytest.raises(AssertionError):
        siege.is_right()


def test_parties_that_agreed_on_different_jobs_do_not_notice(siege: Siege) -> None:
    """Sealed: ``test_changed_party``."""
    siege.write_job("job.yaml")
    siege.write_job("other.yaml", training=JOB["training"] | {"learning_rate": 0.25})
    for party in ("alice", "bob", "server"):
        job = "other.yaml" if party == "bob" else "job.yaml"
        siege.start(party, "--runtime", "tensorflow", job=job)
    for one in siege.running:
        code, said = one.ends()
        assert code == 0, (one.party, said)
    siege.is_right()  # what Alice asked for, whatever Bob had agreed on
