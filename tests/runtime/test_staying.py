"""A party that stays waits for what it was not given, says so, and goes on once it is mended."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

from party.agreement.job import load_job
from party.approval import Ledger
from party.approval.ledger import NAME
from tests.attacks.canaries import may_look_into_processes
from tests.attacks.test_second_model import ask_for_approvals
from tests.deployer.local.commands import until
from tests.harness.dying import DIED, dying
from tests.harness.processes import ENDLESS, JOB, Processes, Running
from tests.harness.relay import RELAYED, standing_still


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize(
    ("lacking", "phase", "words"),
    [("keys/bob", "starting", "no ca.crt"), ("bob.csv", "table", "No such file")],
)
def test_what_comes_late_is_taken_when_it_comes(
    processes: Processes, lacking: str, phase: str, words: str
) -> None:
    aside = processes.directory / "aside"
    shutil.move(processes.directory / lacking, aside)
    bob = processes.start("bob", "--stay")
    bob.reaches(phase)
    bob.says(words)
    shutil.move(aside, processes.directory / lacking)
    bob.reaches("joining")
    status = bob.status()
    assert status["where"] is None and status["hint"] is None
    told = [event["event"] for event in bob.events() if words in event["event"]]
    assert len(told) == 1, "what is wrong is said once, however often it is looked at"


@pytest.mark.slow
def test_a_key_of_checkpoints_that_comes_late_with_the_others_is_used(
    tmp_path: Path, cache: Path
) -> None:
    processes = Processes(tmp_path, cache, **ENDLESS)
    try:
        shutil.move(tmp_path / "keys/bob", tmp_path / "aside")
        bob = processes.start("bob", "--stay", checkpoint_every="0.2")
        bob.says("no ca.crt")
        shutil.move(tmp_path / "aside", tmp_path / "keys/bob")
        for party in ("alice", "server"):
            processes.start(party, checkpoint_every="0.2")
        until(lambda: bob.status()["checkpoint"] is not None, lambda: "no checkpoint is written")
    finally:
        processes.close()


def test_without_staying_it_ends(processes: Processes) -> None:
    shutil.rmtree(processes.directory / "keys" / "bob")
    code, said = processes.start("bob").ends()
    assert code == 2 and "ca.crt" in said


@pytest.mark.slow
def test_no_result_goes_before_a_start_that_is_refused_and_who_stays_waits(tmp_path: Path) -> None:
    """By approvals that are missing, in the output of a party that was ended before it was done."""
    processes = Processes(tmp_path, tmp_path / "cache")
    try:
        ask_for_approvals(processes)
        model = tmp_path / "out/bob/model.json"
        point = tmp_path / "out/bob/checkpoints/point-0000000000000001.sealed"
        point.parent.mkdir(parents=True)
        model.write_text("{}")
        point.write_text("of another table")
        job = load_job(tmp_path / "job.yaml").digest
        facts = {"job": job, "plan": "1" * 64, "run": "2" * 64, "approvals": {}}
        Ledger(model.parent / NAME).append("opening", **facts)
        code, words = processes.start("bob").ends()
        assert code == 2 and "none are given" in words and model.read_text() == "{}"
        point.unlink()
        bob = processes.start("bob", "--stay")
        bob.says("none are given")
        assert bob.process.poll() is None and model.read_text() == "{}"
    finally:
        processes.close()


@pytest.mark.slow
def test_who_was_killed_when_it_was_done_has_no_checkpoint_left(processes: Processes) -> None:
    processes.before = dying("party.checkpoints:Store.clear")
    bob = processes.start("bob", rejoin_limit="100")
    processes.before = ()
    others = [processes.start(party, rejoin_limit="100") for party in ("alice", "server")]
    assert bob.ends()[0] == DIED and bob.status()["phase"] == "done"
    assert [one.ends() for one in others] == [(0, ""), (0, "")]
    points = bob.output / "checkpoints"
    assert list(points.iterdir())
    processes.start("bob", "--stay").says("this job was done before")
    assert not list(points.iterdir())


_WITHOUT_COLLECTOR = """
import gc, sys
from party import cli
gc.disable()
gc.collect = lambda: 0
sys.argv = sys.argv[3:]
cli.main()
"""


def tables_in(running: Running) -> set[str]:
    """The tables that a process has in its memory, by their file there."""
    maps = Path(f"/proc/{running.process.pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in maps if "memfd:table" in line}


@pytest.mark.slow
@pytest.mark.skipif(not may_look_into_processes(), reason="a party's memory is closed to others")
@pytest.mark.parametrize("before", [(), (sys.executable, "-c", _WITHOUT_COLLECTOR)])
def test_who_stays_has_no_table_any_more_though_a_peer_was_lost_on_the_way(
    processes: Processes, before: tuple[str, ...]
) -> None:
    """What went wrong on the way refers to all that the party had. It is gone without Python's
    collector, too, which looks when it likes."""
    processes.write_job("job.yaml", training=JOB["training"] | {"epochs": 40})
    options = {"rejoin_limit": "100", "checkpoint_every": "0.5"}
    with standing_still(processes, 100_000) as (goes_on,):
        processes.before = before
        alice = processes.start("alice", "--stay", **options)
        processes.before = ()
        server = processes.start("server", **options)
        bob = processes.start("bob", config=RELAYED, **options)
        bob.reaches("running", step=1)
        assert len(tables_in(alice)) == 1
        bob.signal(signal.SIGKILL)
        bob.ends()
        goes_on.set()
        bob = processes.start("bob", **options)
        for one in (bob, server):
            assert one.ends() == (0, ""), one.party
    alice.reaches("done")
    alice.says("looking for the others")
    until(lambda: not tables_in(alice), lambda: "its table is still there")
