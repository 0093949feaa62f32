"""A job, its keys, its tables and its hosts in one directory, and real parties started from it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from deployer.certs import authority as certs
from deployer.local.run import free_ports
from party.agreement.hosts import Address, format_hosts
from party.agreement.job import PARTIES, load_job
from tests.harness import plaintext

ROWS = 64
JOB: dict[str, Any] = {
    "name": "tiny",
    "protocol": "pond",
    "rows": ROWS,
    "features": ["age", "amount"],
    "label": "fraud",
    "training": {"epochs": 5, "batch_size": 4, "learning_rate": 0.125},
}
ENDLESS = {"training": JOB["training"] | {"epochs": 1_000_000}}
"""Of the same plan, and longer than any test."""

PATIENCE_S = 120.0

FILES = 1024
"""How many files a process may have open where nobody has raised the usual limit."""


class Running:
    """A party's process."""

    def __init__(self, party: str, command: list[str], output: Path, directory: Path) -> None:
        self.party, self.output = party, output
        self.log, self.words = directory / f"{party}.log", directory / f"{party}.err"
        with self.log.open("wb") as log, self.words.open("wb") as words:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=words,
                env=os.environ | {"PYTHONPATH": str(Path.cwd())},
            )

    def ends(self, within_s: float = PATIENCE_S) -> tuple[int, str]:
        """Its exit code and what it said on stderr."""
        code = self.process.wait(within_s)
        return code, self.words.read_text()

    def status(self) -> dict[str, Any]:
        """Its status.json; empty while there is none."""
        file = self.output / "status.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def events(self) -> list[dict[str, Any]]:
        """What it logged: each line is a JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def reaches(self, phase: str, step: int = 0) -> None:
        """Wait until it is in a phase, and has done so many steps."""
        end = time.monotonic() + PATIENCE_S
        while True:
            status = self.status()
            if status.get("phase") == phase and status["step"] >= step:
                return
            assert self.process.poll() is None, self.words.read_text()
            assert time.monotonic() < end, status
            time.sleep(0.02)

    def says(self, words: str) -> None:
        """Wait until an event has these words."""
        end = time.monotonic() + PATIENCE_S
        while not any(words in event["event"] for event in self.events()):
            assert time.monotonic() < end, self.events()
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)


class Processes:
    """Everything three parties need, in a directory of its own.

    Attributes:
        before: words before each party's command, as ``env`` takes them.
    """

    before: tuple[str, ...] = ()

    def __init__(self, directory: Path, cache: Path, **change: Any) -> None:
        self.directory, self.cache = directory, cache
        self.running: list[Running] = []
        self.write_job("job.yaml", **change)
        self.write_tables()
        certs.make_all(JOB["name"], directory / "keys", days=1, authority_days=1)
        self.held = contextlib.ExitStack()
        ports = self.held.enter_context(free_ports(len(PARTIES)))
        alice, bob, server = (Address(f"127.0.0.{n}", port) for n, port in enumerate(ports, 1))
        self.hosts = (alice, bob, server)
        (directory / "config.json").write_text(format_hosts(self.hosts))

    def write_job(self, name: str, /, **change: Any) -> Path:
        """A job file that differs from the usual one."""
        path = self.directory / name
        path.write_text(yaml.safe_dump(JOB | change))
        return path

    def write_tables(self) -> None:
        """Alice's and Bob's CSV."""
        chance = random.Random(1)
        rows = [(chance.gauss(4000, 1000), chance.gauss(0, 300)) for _ in range(ROWS)]
        features = "\n".join(f"{age:.6f},{amount:.6f}" for age, amount in rows)
        labels = "\n".join(str(int(age + 4 * amount > 4000)) for age, amount in rows)
        (self.directory / "alice.csv").write_text(f"age,amount\n{features}\n")
        (self.directory / "bob.csv").write_text(f"fraud\n{labels}\n")

    def start(self, party: str, *more: str, job: str = "job.yaml", **change: str) -> Running:
        """Start a party, with its usual options or others."""
        options = {
            "job": job,
            "config": "config.json",
            "keys": f"keys/{party}",
            "output": f"out/{party}",
            "cache": str(self.cache),
            "wait": "110",
            "rejoin_limit": "0",
        }
        if party != "server":
            options["table"] = f"{party}.csv"
        options |= change
        command = [*self.before, sys.executable, "-m", "party", party, *more]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", value]
        output = self.directory / options["output"]
        running = Running(party, command, output, self.directory)
        self.running.append(running)
        return running

    def start_all(self, *more: str, **change: str) -> tuple[Running, Running, Running]:
        """Start all three."""
        alice, bob, server = (self.start(party, *more, **change) for party in PARTIES)
        return alice, bob, server

    def waits(self, *parties: str, **change: str) -> list[Running]:
        """Start parties, and see that they wait for the others with their ports open: for as long
        as a busy machine takes to try all that is tried on them meanwhile."""
        started = [self.start(party, **{"wait": "900"} | change) for party in parties]
        for one in started:
            one.reaches("joining")
            one.says("waiting for" if one.party == "server" else "is ready; joining")
            if one.party != "server":
                self._is_open(self.address(one.party))
        return started

    def address(self, party: str) -> Address:
        """Where a party listens."""
        return self.hosts[PARTIES.index(party)]

    def completes(self) -> None:
        """Let those start who have not, and see the job done with the right result."""
        here = {one.party for one in self.running if one.process.poll() is None}
        for party in PARTIES:
            if party not in here:
                self.start(party)
        for one in self.running[-3:]:
            assert one.ends() == (0, ""), one.party
        self.is_right()

    def is_right(self) -> None:
        """Alice's model is what training in the clear gives."""
        model = json.loads((self.directory / "out/alice/model.json").read_text())
        job = load_job(self.directory / "job.yaml")
        clear = plaintext.fit(job, plaintext.read_all(job, self.directory))
        assert plaintext.distance(plaintext.received(model), clear) < 1e-2

    @staticmethod
    def _is_open(address: Address) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection((address.host, address.port), 5).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < end
                time.sleep(0.02)

    def close(self) -> None:
        """End whatever still runs."""
        for one in self.running:
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()
        self.held.close()


def party_command(*words: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run ``party`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "party", *words],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )


def limit_files(running: Running) -> None:
    """Let a process have no more files open than is usual."""
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))


def resident_bytes(running: Running, field: str = "VmRSS") -> int:
    """A process's memory now (``VmRSS``) or at its highest (``VmHWM``)."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024
