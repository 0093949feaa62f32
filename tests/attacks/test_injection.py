"""No party can have another run something: there is nothing that would.

The published walk-through's runtime listens for graphs and runs them. The attack that succeeds
there, and with ``--runtime tensorflow`` here, is tried on the sealed runtime.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.conftest import Tried
from tests.attacks.stranger import DEEDS, does, gets
from tests.harness.network import speak
from tests.harness.processes import ENDLESS, ROWS, Processes, Running

HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of TensorFlow's servers begins."""


def all_deeds(processes: Processes) -> list[subprocess.CompletedProcess[str]]:
    """All that a stranger can do to the tensorflow runtime, done to Bob at once."""
    held = (1, "bob/table", "float32")
    about: dict[str, tuple[Any, ...]] = {
        "read a file": (1, str(processes.directory / "bob.csv")),
        "read": held,
        "add up": ({"1": "bob/share0"}, "int64"),
        "write": (*held, [[1.0]] * ROWS),
        "end": (1,),
    }
    assert about.keys() == DEEDS.keys()
    bob = processes.address("bob")
    with ThreadPoolExecutor(len(about)) as pool:
        return list(pool.map(lambda deed: does(deed, bob, *about[deed]), about))


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


@pytest.mark.slow(15)
def test_a_sealed_party_listens_for_its_peers_alone_and_runs_nothing(
    tmp_path: Path, cache: Path, tried: Tried
) -> None:
    processes = Processes(tmp_path, cache, **ENDLESS)
    try:
        (bob,) = processes.waits("bob")
        assert listening(bob) == {processes.address("bob").port}
        speak(processes.address("bob"), HTTP2).gave_nothing_away()
        file = str(processes.directory / "bob.csv")
        read = does("read a file", processes.address("bob"), 1, file)
        assert (read.returncode, read.stdout) == (1, "")

        alice, server = processes.start("alice"), processes.start("server")
        for one in (alice, bob, server):
            one.reaches("running", step=10)
            assert listening(one) <= {processes.address(one.party).port}
        done = all_deeds(processes)
        assert [(one.returncode, one.stdout) for one in done] == [(1, "")] * len(DEEDS)
        assert bob.process.poll() is None, "it trains on"
        tried(1 + len(DEEDS), "graphs sent to a sealed party")
    finally:
        processes.close()


@pytest.mark.slow(4)
def test_the_tensorflow_runtime_loses_to_the_same_attack(tmp_path: Path, cache: Path) -> None:
    """As its documentation says: the test of the test."""
    processes = Processes(tmp_path, cache, **ENDLESS)
    try:
        _, bob, _ = processes.start_all("--runtime", "tensorflow")
        bob.reaches("running")
        file = tmp_path / "bob.csv"
        assert gets("read a file", processes.address("bob"), 1, str(file)) == file.read_text()
    finally:
        processes.close()
