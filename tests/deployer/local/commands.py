"""``deployer run`` as real processes: what it starts, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from party.agreement.job import PARTIES
from tests.harness.processes import PATIENCE_S, Processes

CODE = "from deployer.cli import main; main()"

HEEDS = ("env", "--default-signal=HUP,QUIT")
"""Before a command: it heeds these signals, although whoever runs the tests may ignore them."""


def deployer(
    *words: object,
    room: Path | None = None,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a ``deployer`` command."""
    place = {} if room is None else {"TMPDIR": str(room)}
    return subprocess.Popen(
        [*HEEDS, sys.executable, "-c", CODE, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())} | place | (env or {}),
    )


def command_line(processes: Processes, cache: Path | None = None) -> list[object]:
    """The words of a usual run."""
    files = processes.directory
    line: list[object] = ["run", files / "job.yaml", "--cache", cache or processes.cache]
    return [*line, "--alice", files / "alice.csv", "--bob", files / "bob.csv"]


def until(true: Callable[[], Any], said: Callable[[], object] = lambda: None) -> Any:
    """Wait until something is so, and return it."""
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end, said()
        time.sleep(0.02)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has asked how."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def child_of(parent: int, word: str) -> int | None:
    """The child of a process with this word in its command line."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                line = (directory / "cmdline").read_bytes().split(b"\0")
                above = (directory / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(above) == parent and word.encode() in line:
                return int(directory.name)
    return None


class Run:
    """A ``deployer run``."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process, self.output = process, output

    def status(self, party: str) -> dict[str, Any]:
        """A party's status.json; empty while there is none."""
        file = self.output / party / "status.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def is_running(self) -> dict[str, int]:
        """Wait until all parties run; return their process ids."""

        def all_run() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return all(self.status(party).get("phase") == "running" for party in PARTIES)

        until(all_run, lambda: [self.status(party) for party in PARTIES])
        found: dict[str, int | None] = {
            party: child_of(self.process.pid, party) for party in PARTIES
        }
        pids = {party: pid for party, pid in found.items() if pid is not None}
        assert len(pids) == len(PARTIES)
        return pids

    def ends(self) -> tuple[int, str, str]:
        """Its exit code, and what it wrote to stdout and stderr."""
        said, words = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said, words


class Commands(Processes):
    """Everything that runs on one machine need, and a place for their keys. A context manager."""

    def __init__(self, directory: Path, cache: Path, **change: Any) -> None:
        super().__init__(directory, cache, **change)
        self.room = directory / "room"
        self.room.mkdir()
        self.runs: list[Run] = []

    def run(self, output: str = "out", *more: object, cache: Path | None = None, **env: str) -> Run:
        """Start one."""
        line = command_line(self, cache)
        target = self.directory / output
        process = deployer(*line, "--output", target, *more, room=self.room, env=env)
        self.runs.append(Run(process, target))
        return self.runs[-1]

    def shell(self, script: str, output: str = "out") -> Run:
        """Start one by a shell's script, in which ``"$@"`` is the command."""
        command: Sequence[object] = [sys.executable, "-c", CODE, *command_line(self)]
        target = self.directory / output
        process = subprocess.Popen(
            ["sh", "-c", script, "sh", *map(str, command), "--output", str(target)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path.cwd()), "TMPDIR": str(self.room)},
        )
        self.runs.append(Run(process, target))
        return self.runs[-1]

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        for run in self.runs:
            if run.process.poll() is None:
                run.process.send_signal(signal.SIGINT)
                run.process.communicate(timeout=PATIENCE_S)
        self.close()
