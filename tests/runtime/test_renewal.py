"""A certificate that is renewed within a run is shown when the party has to join again."""

from __future__ import annotations

import json
import shutil

import pytest

from deployer.certs import authority as certs
from party.identity import load_keys
from tests.harness.processes import JOB, Processes
from tests.harness.relay import bob_killed

LONG = JOB["training"] | {"epochs": 40}
SOMEWHERE = 100_000
"""Bytes between Alice and Bob, in the middle of it."""


@pytest.mark.slow
def test_a_renewed_certificate_is_taken_without_a_restart(processes: Processes) -> None:
    processes.write_job("job.yaml", training=LONG)
    keys = processes.directory / "keys"
    # A directory that is replaced in one moment, as Kubernetes does with a Secret's.
    shutil.move(keys / "alice", keys / "alice-1")
    (keys / "alice").symlink_to("alice-1")
    authority = certs.read_authority(keys / "authority")
    certs.write_files(keys / "alice-2", certs.make_party(authority, "alice"))
    shutil.copy2(keys / "alice-1/checkpoint.key", keys / "alice-2/checkpoint.key")
    former, renewed = (load_keys(keys / f"alice-{n}", JOB["name"], "alice") for n in (1, 2))

    options = {"rejoin_limit": "100", "checkpoint_every": "0.5"}
    with bob_killed(processes, SOMEWHERE, **options) as now:
        now["bob"].reaches("running", step=1)
        (keys / "coming").symlink_to("alice-2")
        (keys / "coming").replace(keys / "alice")
    for party in ("bob", "server"):
        report = json.loads((now[party].output / "report.json").read_text())
        assert report["peer_keys"]["alice"] == renewed.key_digest != former.key_digest
    assert "the keys were replaced, and the new ones are in use" in now["alice"].log.read_text()
    processes.is_right()
