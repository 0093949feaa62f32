"""Wrong input ends a party with exit code 2, place and remedy, before anybody hears of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from tests.runtime.scene import JOB, Scene, party_command


def wrong_job(scene: Scene) -> None:
    scene.write_job("job.yaml", epochs=3)


def wrong_hosts(scene: Scene) -> None:
    (scene.directory / "config.json").write_text('{"server0": "here"}')


def no_keys(scene: Scene) -> None:
    shutil.rmtree(scene.directory / "keys/bob")


def open_key(scene: Scene) -> None:
    (scene.directory / "keys/bob/tls.key").chmod(0o644)


def key_of_another(scene: Scene) -> None:
    shutil.copy(scene.directory / "keys/alice/tls.key", scene.directory / "keys/bob/tls.key")


def keys_of_another(scene: Scene) -> None:
    shutil.rmtree(scene.directory / "keys/bob")
    shutil.copytree(scene.directory / "keys/alice", scene.directory / "keys/bob")


def other_authority(scene: Scene) -> None:
    certs.make_all(JOB["name"], scene.directory / "others", 1, 1)
    shutil.copy(scene.directory / "others/bob/ca.crt", scene.directory / "keys/bob/ca.crt")


def bad_label(scene: Scene) -> None:
    path = scene.directory / "bob.csv"
    path.write_text(path.read_text().replace("\n1\n", "\n7\n", 1))


def missing_row(scene: Scene) -> None:
    path = scene.directory / "bob.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def no_table(scene: Scene) -> None:
    (scene.directory / "bob.csv").unlink()


def file_for_output(scene: Scene) -> None:
    (scene.directory / "out").write_text("")


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
    ],
)
def test_wrong_input_is_refused(
    scene: Scene, spoil: Callable[[Scene], None], what: str, where: str
) -> None:
    spoil(scene)
    code, words = scene.start("bob").ends()
    assert code == 2
    lines = words.splitlines()
    assert lines[0].startswith("error: ") and what in lines[0]
    assert lines[1].startswith("  where: ") and where in lines[1]
    assert "Traceback" not in words
    status = scene.directory / "out/bob/status.json"
    if status.exists():
        assert json.loads(status.read_text())["phase"] == "failed"


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


@pytest.mark.parametrize("option", ["listen", "status"])
def test_a_wrong_address_is_refused(scene: Scene, option: str) -> None:
    code, words = scene.start("alice", **{option: "here"}).ends()
    assert code == 2
    assert f"error: 'here' is not host:port\n  where: --{option}\n" in words


def test_a_result_that_is_not_there_yet_is_said(scene: Scene) -> None:
    alice = scene.start("alice")
    alice.reaches("joining")
    done = party_command("result", "--output", str(alice.output), directory=scene.directory)
    assert done.returncode == 1
    assert "there is no model yet: the job is joining" in done.stderr
