"""Who holds the one authority can be any party; pins in the job take that power away.

Real processes. The attacker has the authority's key and makes itself a second third server.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from party.agreement.job import PARTIES
from party.identity import key_digest, read_certificates
from tests.attacks.conftest import Tried
from tests.harness.processes import Processes, Running

IGNORING_PINS = """
import runpy
from party.agreement.pins import Pin
Pin.broken_by = lambda self, key, authority: None
runpy.run_module("party", run_name="__main__", alter_sys=True)
"""
"""A party that takes anybody for anybody, itself too."""


def second_server(processes: Processes) -> Path:
    """Keys that the authority's holder has made and signed for itself."""
    holder = certs.read_authority(processes.directory / "keys/authority")
    rogue = processes.directory / "keys/rogue"
    certs.write_files(rogue, certs.make_party(holder, "server"))
    return rogue


def key_of(folder: Path) -> str:
    return key_digest(read_certificates(folder / "tls.crt")[0])


def pin_keys(processes: Processes) -> None:
    """The job names each party's key."""
    keys = processes.directory / "keys"
    pins = {party: {"key": key_of(keys / party)} for party in PARTIES}
    processes.write_job("job.yaml", identities=pins)


@pytest.mark.slow
def test_without_pins_the_authoritys_holder_is_the_third_server(processes: Processes) -> None:
    rogue = second_server(processes)
    started = [
        processes.start("alice"),
        processes.start("bob"),
        processes.start("server", keys=str(rogue)),
    ]
    for one in started:
        assert one.ends() == (0, ""), one.party
    processes.is_right()


@pytest.mark.slow
def test_with_pins_it_gets_no_word_and_the_right_server_is_awaited(
    processes: Processes, tried: Tried
) -> None:
    rogue = second_server(processes)
    pin_keys(processes)
    alice, bob = processes.waits("alice", "bob")
    impostor = impersonate(processes, rogue)
    right = key_of(processes.directory / "keys/server")
    words = f"its key is {key_of(rogue)}, and the job pins {right}"
    for one in (alice, bob):
        one.says(words)
    assert impostor.status()["phase"] == "joining"
    impostor.process.kill()
    impostor.process.wait()
    processes.running.remove(impostor)
    processes.completes()
    tried(1, "second servers with a certificate of the one authority, against pins")


def impersonate(processes: Processes, rogue: Path) -> Running:
    """Start the attacker's party, which ignores pins."""
    options = ["--job", "job.yaml", "--config", "config.json", "--keys", str(rogue)]
    options += ["--output", "out/rogue", "--cache", str(processes.cache), "--wait", "110"]
    command = [sys.executable, "-c", IGNORING_PINS, "server", *options]
    directory = processes.directory
    running = Running("server", command, directory / "out/rogue", directory)
    processes.running.append(running)
    return running
