"""The receiver takes the model, closes the connection before the end, and asks for another one.

Real processes. Bob's work has failed as far as he can tell, so that his machine starts him again.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from party.agreement.job import PARTIES, load_job
from party.approval import Approval, moment, public_digest, write_approval
from party.channel import versions
from party.compiler import prepared
from party.identity import load_keys
from party.table import load
from tests.attacks.conftest import Tried
from tests.harness.dying import DIED, dying
from tests.harness.processes import Processes, Running

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

LEAVING = """
import json, os, runpy, signal
from party.runtime.course import Course
from party.schedule import opened_values
honest = Course._run
def run(self, stretch, name, *rest):
    honest(self, stretch, name, *rest)
    if name == "open":
        stolen = {k: v.tolist() for k, v in opened_values(self.schedule, self.room, name).items()}
        with open("stolen.json", "w") as file:
            json.dump(stolen, file)
        os.kill(os.getpid(), signal.SIGKILL)
Course._run = run
runpy.run_module("party", run_name="__main__", alter_sys=True)
"""
"""Alice, until she has the weights. She counts no openings of her own."""


def leaving_alice(processes: Processes, table: str, *more: str) -> Running:
    options = ["--job", "job.yaml", "--config", "config.json", "--keys", "keys/alice", *more]
    options += ["--output", "out/alice", "--cache", str(processes.cache), "--wait", "110"]
    command = [sys.executable, "-c", LEAVING, "alice", *options, "--table", table]
    directory = processes.directory
    running = Running("alice", command, directory / "out/alice", directory)
    processes.running.append(running)
    return running


def stolen(processes: Processes) -> str:
    """What she has got hold of since it was looked for last."""
    file = processes.directory / "stolen.json"
    text = file.read_text() if file.exists() else ""
    file.unlink(missing_ok=True)
    return text


def another_table(processes: Processes) -> str:
    """Features of Alice's choice, by which another model tells her more of Bob's labels."""
    lines = (processes.directory / "alice.csv").read_text().splitlines()
    swapped = [",".join(reversed(line.split(","))) for line in lines[1:]]
    (processes.directory / "other.csv").write_text("\n".join([lines[0], *swapped]) + "\n")
    return "other.csv"


def approve(processes: Processes, tables: dict[str, str], folder: str, runs: int = 1) -> None:
    """All three approve the job as it stands in job.yaml."""
    directory = processes.directory
    job = load_job(directory / "job.yaml")
    plan = prepared(job, 0, processes.cache).schedule.plan_digest
    for party in PARTIES:
        approval = Approval(
            party=party,
            job=job.digest,
            plan=plan,
            kit=versions()["kit"],
            expires=moment(datetime.now(UTC) + timedelta(hours=1)),
            runs=runs,
        )
        digest = load(directory / tables[party], job, party).digest if party in tables else None
        write_approval(directory / folder, approval, digest, KEYS[party])


KEYS = {party: Ed25519PrivateKey.generate() for party in PARTIES}


def ask_for_approvals(processes: Processes) -> None:
    keys = processes.directory / "keys"
    pins = {
        party: {
            "key": load_keys(keys / party, "tiny", party).key_digest,
            "approval": public_digest(KEYS[party]),
        }
        for party in PARTIES
    }
    processes.write_job("job.yaml", identities=pins)


def test_without_approvals_alice_gets_two_models(processes: Processes) -> None:
    models = []
    for table in ("alice.csv", another_table(processes)):
        bob, server = processes.start("bob"), processes.start("server")
        alice = leaving_alice(processes, table)
        assert alice.process.wait(110) == -signal.SIGKILL
        bob.ends()
        server.ends()
        for party in PARTIES:  # those who had done their part would say so, and end
            shutil.rmtree(processes.directory / f"out/{party}/checkpoints", ignore_errors=True)
        models.append(stolen(processes))
    assert "" not in models and models[0] != models[1]
    ledger = (processes.directory / "out/bob/ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in ledger] == ["opening", "opening"]


def test_with_approvals_of_one_run_she_gets_one(processes: Processes, tried: Tried) -> None:
    ask_for_approvals(processes)
    tables = {"alice": "alice.csv", "bob": "bob.csv"}
    approve(processes, tables, "approvals")
    option = ("--approvals", "approvals")
    bob, server = (processes.start(party, approvals="approvals") for party in ("bob", "server"))
    alice = leaving_alice(processes, "alice.csv", *option)
    assert alice.process.wait(110) == -signal.SIGKILL
    bob.ends()
    server.ends()
    assert stolen(processes), "the one that was approved"

    # Again: her own ledger and the check of her table are hers to forget.
    shutil.rmtree(processes.directory / "out/alice")
    alice = leaving_alice(processes, "alice.csv", *option)
    others = [processes.start(party, approvals="approvals") for party in ("bob", "server")]
    assert [one.ends() for one in others] == [(0, ""), (0, "")], "they had done their part"
    for party in ("bob", "server"):
        code, said = processes.start(party, approvals="approvals").ends()
        assert code == 2
        assert "alice's approval is used up: it is for one run, and this party has opened" in said
    alice.process.kill()
    assert not stolen(processes)
    tried(1, "second models asked for by a receiver that hangs up, against approvals")


def test_who_was_started_before_the_first_opening_opens_no_second_one_either(
    processes: Processes, tried: Tried
) -> None:
    """The number is looked at again when the result is about to be opened."""
    ask_for_approvals(processes)
    approve(processes, {"alice": "alice.csv", "bob": "bob.csv"}, "approvals")
    bob, server = (processes.start(party, approvals="approvals") for party in ("bob", "server"))
    processes.before = dying("party.life.leaving:_write_report")
    assert processes.start("alice", approvals="approvals").ends()[0] == DIED
    processes.before = ()
    # Who has its result ends by it, whether approvals are there again or not.
    for one in (processes.start("alice", wait="1"), bob, server):
        assert one.ends() == (0, ""), one.party
    entries = (processes.directory / "out/bob/ledger.jsonl").read_text().splitlines()
    opening, *others = map(json.loads, entries)
    assert opening["event"] == "opening" and set(opening["approvals"]) == set(PARTIES)
    assert "opening" not in [entry["event"] for entry in others]
    for party in PARTIES:
        code, said = processes.start(party, approvals="approvals").ends()
        assert code == 2 and "is used up" in said
        left = processes.directory / "out" / party
        assert json.loads((left / "status.json").read_text())["phase"] == "done"
        assert (left / "receipt.json").exists(), "what nobody may bring back is not taken away"
    assert (processes.directory / "out/alice/model.json").exists()
    tried(3, "runs beyond the approved number")


@pytest.mark.parametrize("missing", PARTIES)
def test_nothing_runs_without_all_three_approvals(processes: Processes, missing: str) -> None:
    ask_for_approvals(processes)
    approve(processes, {"alice": "alice.csv", "bob": "bob.csv"}, "approvals")
    (processes.directory / "approvals" / f"{missing}.json").unlink()
    code, said = processes.start("bob", approvals="approvals").ends()
    assert code == 2 and f"{missing} has not approved" in said
    status = json.loads((Path(processes.directory) / "out/bob/status.json").read_text())
    assert status["phase"] == "failed" and status["step"] == 0
