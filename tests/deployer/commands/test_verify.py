"""``deployer verify``: what a run left behind is checked with these files and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deployer.local.run import run_local
from party.agreement.job import PARTIES, load_job
from tests.harness.processes import Processes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Path]:
    """The output of a run that all three have approved."""
    processes = Processes(tmp_path_factory.mktemp("ran"), cache)
    tables = {party: processes.directory / f"{party}.csv" for party in ("alice", "bob")}
    job = load_job(processes.directory / "job.yaml")
    run_local(job, tables, processes.directory / "out", cache=cache, approve=True)
    yield processes.directory / "out"
    processes.close()


NO_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["kubernetes"] = None
from deployer.cli import main
main()
"""


def deployer(room: Path, *words: str) -> tuple[int, str, str]:
    """Run the command where neither TensorFlow nor a cluster's client can be imported."""
    done = subprocess.run(
        [sys.executable, "-c", NO_TENSORFLOW, *words],
        cwd=room,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "HOME": str(room)},
    )
    return done.returncode, done.stdout, done.stderr


LEDGERS = [f"{party}/ledger.jsonl" for party in PARTIES]


def test_a_run_leaves_a_receipt_that_holds_with_its_job_approvals_and_ledgers(ran: Path) -> None:
    options = ("--job", "job.yaml", "--approvals", "approvals")
    code, said, words = deployer(ran, "verify", "receipt.json", *LEDGERS, *options)
    assert (code, words) == (0, "")
    assert said.startswith("receipt.json: holds")
    assert "alice, at 20" in said and "was given weights.alice" in said
    assert said.count("was given nothing") == 2
    assert said.count("2 entries, 1 of them openings") == 3
    report = json.loads((ran / "bob/report.json").read_text())
    assert all(key in said for key in report["peer_keys"].values())


def test_merging_makes_the_same_receipt(ran: Path, tmp_path: Path) -> None:
    own = [str(ran / party / "receipt.json") for party in PARTIES]
    code, _, words = deployer(tmp_path, "receipt", "merge", *own, "--output", "receipt.json")
    assert (code, words) == (0, "")
    assert (tmp_path / "receipt.json").read_bytes() == (ran / "receipt.json").read_bytes()


def test_what_does_not_hold_is_refused_with_what_is_wrong(ran: Path, tmp_path: Path) -> None:
    receipt = str(ran / "receipt.json")
    ledger = (ran / "bob/ledger.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "short.jsonl").write_bytes(ledger[0])
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "changed.json").write_bytes((ran / "receipt.json").read_bytes()[:-3] + b"X}\n")
    job = yaml.safe_load((ran / "job.yaml").read_text())
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(job | {"rows": 60}))
    for words, expected in {
        (receipt, "short.jsonl"): "entries were taken away",
        ("empty.jsonl",): "the file is empty",
        (str(ran / "alice/model.json"),): "the file is neither a receipt nor a ledger",
        ("changed.json",): "it is no receipt, or was changed",
        (receipt, "--job", "other.yaml"): "and this one is",
        (str(ran / "bob/receipt.json"),): "it is no receipt",
        ("nowhere.json",): "cannot read the document",
    }.items():
        code, said, problem = deployer(tmp_path, "verify", *words)
        assert code == 2 and expected in problem, (words, said, problem)
        assert "  do: " in problem
