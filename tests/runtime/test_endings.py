"""However a party is ended, its status says so; and it goes on while it is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.processes import JOB, PATIENCE_S, Processes
from tests.harness.relay import RELAYED, standing_still

pytestmark = pytest.mark.slow


def words_of(processes: Processes, party: str) -> list[str]:
    words = [sys.executable, "-m", "party", party, "--job", "job.yaml", "--config", "config.json"]
    words += ["--keys", f"keys/{party}", "--output", f"out/{party}", "--wait", "110"]
    return [*words, "--cache", str(processes.cache), "--table", f"{party}.csv"]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path.cwd())}


@pytest.mark.drawn
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_closed_terminal_and_a_quit_are_stops(
    processes: Processes, number: signal.Signals
) -> None:
    processes.before = ("env", "--default-signal=HUP,QUIT")  # else as whoever runs the tests
    alice = processes.start("alice")
    alice.reaches("joining")
    alice.signal(number)
    assert alice.ends() == (1, "error: stopped while waiting for the others\n")
    assert alice.status()["phase"] == "failed"


def test_under_nohup_a_party_outlives_its_terminal(processes: Processes) -> None:
    processes.before = ("env", "--ignore-signal=HUP")
    alice = processes.start("alice")
    alice.reaches("joining")
    alice.signal(signal.SIGHUP)
    processes.completes()


def test_a_party_whose_parent_ended_before_it_could_say_so_ends(processes: Processes) -> None:
    """The kernel's signal at the parent's death does not come to who asks for it too late."""
    done = subprocess.run(
        words_of(processes, "alice"),
        cwd=processes.directory,
        env=environment() | {"TFE_KIT_PARENT": str(os.getppid())},  # not the one it has
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the process that started this one has ended")
    assert not (processes.directory / "out").exists()


def test_who_is_asked_to_end_goes_on_from_what_was_in_memory_alone(processes: Processes) -> None:
    """As where a disk is so slow that checkpoints are far apart: none is on it yet."""
    processes.write_job("job.yaml", training=JOB["training"] | {"epochs": 40})
    options = {"rejoin_limit": "100", "checkpoint_every": "3600"}
    with standing_still(processes, 100_000) as (goes_on,):
        others = [processes.start(party, **options) for party in ("alice", "server")]
        bob = processes.start("bob", config=RELAYED, **options)
        bob.reaches("running", step=100)
        bob.signal(signal.SIGTERM)
        assert bob.ends()[0] == 1
        bob = processes.start("bob", **options)
        bob.reaches("joining")
        assert bob.status()["checkpoint"] is not None
        goes_on.set()
        for one in (bob, *others):
            assert one.ends() == (0, ""), one.party
    assert bob.status()["checkpoint"] is not None
    (words,) = [e["event"] for e in bob.events() if "go on at step" in e["event"]]
    assert int(words.split()[-1]) > 0
    processes.is_right()


_STOPPED_WHEN_IT_LOSES = """
import signal, sys
from party import cli
from party.reporting.status import Status
enter = Status.enter

def enters(status, phase, *words, **fields):
    if phase == "rejoining":
        signal.raise_signal(signal.SIGTERM)
    enter(status, phase, *words, **fields)

Status.enter = enters
sys.argv = sys.argv[3:]
cli.main()
"""


def test_so_does_who_is_asked_to_end_in_the_moment_of_a_loss(processes: Processes) -> None:
    """As where all three are: the first one's end is the others' loss."""
    processes.write_job("job.yaml", training=JOB["training"] | {"epochs": 40})
    options = {"rejoin_limit": "100", "checkpoint_every": "3600"}
    with standing_still(processes, 100_000):
        processes.start("alice", **options)
        server = processes.start("server", **options)
        processes.before = (sys.executable, "-c", _STOPPED_WHEN_IT_LOSES)
        bob = processes.start("bob", config=RELAYED, **options)
        processes.before = ()
        bob.reaches("running", step=100)
        server.signal(signal.SIGKILL)
        assert bob.ends()[0] == 1
        assert bob.status()["cause"] == "stopped"
    assert list((bob.output / "checkpoints").glob("point-*.sealed"))


def test_a_party_goes_on_when_nobody_reads_its_log(processes: Processes) -> None:
    alice = subprocess.Popen(
        ["sh", "-c", '"$@" | head -c 1', "sh", *words_of(processes, "alice")],
        cwd=processes.directory,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    others = processes.start("bob"), processes.start("server")
    assert alice.communicate(timeout=PATIENCE_S)[1] == ""
    assert [other.ends() for other in others] == [(0, ""), (0, "")]
    processes.is_right()


def test_a_failed_job_has_no_result_of_the_one_before(processes: Processes) -> None:
    alice, *_ = processes.start_all()
    processes.completes()
    results = [alice.output / name for name in ("model.json", "report.json")]
    assert all(result.exists() for result in results)

    # What is refused before it begins leaves all as it is.
    (processes.directory / "wrong.yaml").write_text("name: 1")
    assert processes.start("alice", job="wrong.yaml").ends()[0] == 2
    assert all(result.exists() for result in results)

    processes.write_job("job.yaml", training=JOB["training"] | {"epochs": 6})
    assert processes.start("alice", wait="0.1").ends()[0] == 1
    assert not any(result.exists() for result in results)
    assert json.loads((alice.output / "status.json").read_text())["phase"] == "failed"
