"""Wrong input ends a party with exit code 2, place and remedy, before anybody hears of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from tests.harness.processes import JOB, Processes, party_command

pytestmark = pytest.mark.slow


def wrong_job(processes: Processes) -> None:
    processes.write_job("job.yaml", epochs=3)


def wrong_hosts(processes: Processes) -> None:
    (processes.directory / "config.json").write_text('{"server0": "here"}')


def no_keys(processes: Processes) -> None:
    shutil.rmtree(processes.directory / "keys/bob")


def open_key(processes: Processes) -> None:
    (processes.directory / "keys/bob/tls.key").chmod(0o644)


def key_of_another(processes: Processes) -> None:
    shutil.copy(
        processes.directory / "keys/alice/tls.key", processes.directory / "keys/bob/tls.key"
    )


def keys_of_another(processes: Processes) -> None:
    shutil.rmtree(processes.directory / "keys/bob")
    shutil.copytree(processes.directory / "keys/alice", processes.directory / "keys/bob")


def other_authority(processes: Processes) -> None:
    certs.make_all(JOB["name"], processes.directory / "others", 1, 1)
    shutil.copy(processes.directory / "others/bob/ca.crt", processes.directory / "keys/bob/ca.crt")


def bad_label(processes: Processes) -> None:
    path = processes.directory / "bob.csv"
    path.write_text(path.read_text().replace("\n1\n", "\n7\n", 1))


def missing_row(processes: Processes) -> None:
    path = processes.directory / "bob.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def no_table(processes: Processes) -> None:
    (processes.directory / "bob.csv").unlink()


def file_for_output(processes: Processes) -> None:
    (processes.directory / "out").write_text("")


def file_for_checkpoints(processes: Processes) -> None:
    (processes.directory / "out/bob").mkdir(parents=True)
    (processes.directory / "out/bob/checkpoints").write_text("")


@pytest.mark.drawn
@pytest.mark.parametrize(
    ("spoil", "what", "where"),
    [
        (wrong_job, "the job is wrong: epochs: unknown key", "job.yaml"),
        (wrong_hosts, "the address 'here' is not host:port", "config.json, key 'server0' (alice)"),
        (no_keys, "bob's key directory has no ca.crt", "keys/bob"),
        (open_key, "others than its owner can get at the key (mode 0644)", "keys/bob/tls.key"),
        (key_of_another, "the key is not that of the certificate", "keys/bob/tls.key"),
        (keys_of_another, "is for spiffe://tiny/alice, not for spiffe://tiny/bob", "tls.crt"),
        (other_authority, "was not signed by the authority in ca.crt", "keys/bob/tls.crt"),
        (bad_label, "", "bob.csv"),
        (missing_row, "", "bob.csv"),
        (no_table, "", "bob.csv"),
        (file_for_output, "cannot write into the output directory: Not a directory", "out/bob"),
        (file_for_checkpoints, "no checkpoint can be kept there", "out/bob/checkpoints"),
    ],
)
def test_wrong_input_is_refused(
    processes: Processes, spoil: Callable[[Processes], None], what: str, where: str
) -> None:
    spoil(processes)
    code, words = processes.start("bob").ends()
    assert code == 2
    lines = words.splitlines()
    assert lines[0].startswith("error: ") and what in lines[0]
    assert lines[1].startswith("  where: ") and where in lines[1]
    assert "Traceback" not in words
    status = processes.directory / "out/bob/status.json"
    if status.exists():
        assert json.loads(status.read_text())["phase"] == "failed"


@pytest.mark.drawn
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["alice"], "Missing option '--job'"),
        (["eve"], "No such command 'eve'"),
        (["server", "--table", "x"], "No such option: --table"),
        (["status", "--output", "nowhere"], "no party has started here"),
    ],
)
def test_wrong_usage_is_refused(tmp_path: Path, words: list[str], what: str) -> None:
    done = party_command(*words, directory=tmp_path)
    assert done.returncode == 2
    assert what in done.stderr


@pytest.mark.drawn
@pytest.mark.parametrize("option", ["listen", "status"])
def test_a_wrong_address_is_refused(processes: Processes, option: str) -> None:
    code, words = processes.start("alice", **{option: "here"}).ends()
    assert code == 2
    assert f"error: 'here' is not host:port\n  where: --{option}\n" in words


def test_a_result_that_is_not_there_yet_is_said(processes: Processes) -> None:
    alice = processes.start("alice")
    alice.reaches("joining")
    done = party_command("result", "--output", str(alice.output), directory=processes.directory)
    assert done.returncode == 1
    assert "there is no model yet: the job is joining" in done.stderr
