"""Nothing private is anywhere but where it belongs: planted values are searched for.

The tables, the private keys and, once there is one, the model are looked for as text and as bytes
in everything that a run writes, prints, serves, or shows of itself to the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from party.edge import guarded
from party.faults import InputFault
from party.identity import load_keys
from party.job import PARTIES, load_job
from party.table import load
from tests.attacks.canaries import (
    Canary,
    Planted,
    descendants,
    files_in,
    of_model,
    of_process,
    read_model,
    sightings,
)
from tests.attacks.conftest import Tried
from tests.runtime.scene import ENDLESS

PATHS = ("/healthz", "/readyz", "/status", "/metrics", "/", "/model.json", "/../model.json")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for temporary files, of whatever is started."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


@pytest.fixture
def scene(tmp_path: Path, cache: Path, temporary: Path) -> Iterator[Planted]:
    """A job with planted values."""
    (tmp_path / "scene").mkdir()
    made = Planted(tmp_path / "scene", cache)
    yield made
    made.close()


@pytest.fixture
def endless(tmp_path: Path, cache: Path, temporary: Path) -> Iterator[Planted]:
    """One that does not come to its end by itself."""
    (tmp_path / "endless").mkdir()
    made = Planted(tmp_path / "endless", cache, **ENDLESS)
    yield made
    made.close()


def served(number: int) -> dict[str, bytes]:
    """What a party's HTTP server says."""
    found = {}
    for path in PATHS:
        url = f"http://127.0.0.{5 + number}:18090{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found[url] = answer.read() + str(answer.headers).encode()
        except HTTPError as refusal:
            found[url] = refusal.read()
    return found


def start(scene: Planted, *more: str) -> None:
    for number, party in enumerate(PARTIES):
        scene.start(party, *more, status=f"127.0.0.{5 + number}:18090")


def everything(scene: Planted, temporary: Path) -> dict[str, bytes]:
    """All that a run touches, but the tables and the keys themselves."""
    found = files_in(scene.directory / "out") | files_in(scene.cache) | files_in(temporary)
    for one in scene.running:
        for file in (one.log, one.words):
            found[str(file)] = file.read_bytes()
        for pid in descendants(one.process.pid):
            found |= of_process(pid)
    for name in ("job.yaml", "config.json"):
        found[name] = (scene.directory / name).read_bytes()
    return found


def leaks(found: dict[str, bytes], canaries: list[Canary]) -> list[str]:
    return [
        leak for place, content in found.items() for leak in sightings(place, content, canaries)
    ]


def test_the_search_finds_what_is_planted(scene: Planted) -> None:
    """In the files where it belongs, and in memory as a program would hold it."""
    canaries = scene.canaries()
    belongs = {
        "alice.csv": "a feature",
        "bob.csv": "labels as text",
        "keys/bob/tls.key": "the private key of bob",
        "keys/authority/ca.key": "the private key of nobody",
    }
    for name, what in belongs.items():
        found = sightings(name, (scene.directory / name).read_bytes(), canaries)
        assert found and all(what in each for each in found)
    table = load(scene.directory / "alice.csv", load_job(scene.directory / "job.yaml"), "alice")
    held = b"before" + table.matrix[:, :-1].tobytes() + b"after"
    assert sightings("memory", held, canaries) == ["a row as <f4 in memory"]


def test_nothing_private_shows_while_a_job_runs(
    endless: Planted, temporary: Path, tried: Tried
) -> None:
    canaries = endless.canaries()
    start(endless)
    for one in endless.running:
        one.reaches("running", step=1)
    looked = 0
    for _ in range(5):
        found = everything(endless, temporary)
        for number in range(3):
            found |= served(number)
        assert leaks(found, canaries) == []
        assert files_in(temporary) == {}
        looked += len(found)
        time.sleep(0.2)
    for one in endless.running:
        assert stat.S_IMODE(one.output.stat().st_mode) == 0o700
        one.signal(signal.SIGTERM)
    for one in endless.running:
        one.ends()
    assert leaks(everything(endless, temporary), canaries) == []
    tried(looked * len(canaries), "searches for a planted value while a job ran")


def test_the_model_is_in_one_file_of_alices_and_nowhere_else(
    scene: Planted, temporary: Path, tried: Tried
) -> None:
    canaries = scene.canaries()
    start(scene, "--stay")
    for one in scene.running:
        one.reaches("done")
    own = scene.directory / "out/alice/model.json"
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    canaries += of_model(read_model(own.parent))
    found = everything(scene, temporary)
    for number in range(3):
        found |= served(number)
    written = found.pop(str(own))
    assert any("a weight as text" in leak for leak in sightings("", written, canaries))
    assert leaks(found, canaries) == []
    assert list(temporary.iterdir()) == []
    names = {Path(name).name for name in files_in(scene.directory / "out")}
    assert names == {"status.json", "report.json", "model.json", ".lock"}
    tried(len(found) * len(canaries), "searches for a planted value after a job was done")


def test_a_local_run_leaves_no_key_and_shows_no_value(
    scene: Planted, temporary: Path, tried: Tried
) -> None:
    """The deployer holds the keys of all three, in a directory of its own that goes with it."""
    canaries, output = scene.canaries(), scene.directory / "local"
    command = [sys.executable, "-c", "from deployer.cli import main; main()", "run", "job.yaml"]
    command += ["--output", str(output), "--cache", str(scene.cache)]
    process = subprocess.Popen(
        command,
        cwd=scene.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    seen: dict[str, bytes] = {}
    open_to_others: set[str] = set()

    def watch() -> None:
        while process.poll() is None:
            for pid in descendants(process.pid):
                seen.update(of_process(pid))
            for name, content in files_in(temporary).items():
                with contextlib.suppress(FileNotFoundError):
                    mode = stat.S_IMODE(Path(name).stat().st_mode)
                    if name.endswith(".key") and mode != 0o600:
                        open_to_others.add(name)
                if not name.endswith(".key"):
                    seen[name] = content
            for room in temporary.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_IMODE(room.stat().st_mode) != 0o700:
                        open_to_others.add(str(room))
            time.sleep(0.03)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, words = process.communicate(timeout=240)
    watcher.join()
    assert process.returncode == 0, words
    assert open_to_others == set()
    assert any("cmdline" in name for name in seen)
    assert list(temporary.iterdir()) == []
    own = output / "alice/model.json"
    weights = list(of_model(read_model(own.parent)))
    found = seen | files_in(output) | files_in(scene.cache) | {"stderr": words}
    found.pop(str(own))
    assert leaks(found, canaries + weights) == []
    # Whoever runs all three at once is shown Alice's weights, and nothing else.
    assert leaks({"stdout": said}, canaries) == []
    tried(len(found) * len(canaries), "searches for a planted value around a local run")


def test_a_party_leaves_no_core_and_shows_its_memory_to_nobody(
    endless: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        alice = endless.start("alice")
        alice.reaches("joining")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    limits = Path(f"/proc/{alice.process.pid}/limits").read_text().splitlines()
    (cores,) = [line.split()[4:6] for line in limits if line.startswith("Max core file size")]
    assert cores == ["0", "0"]
    before = set(endless.directory.rglob("*"))
    alice.signal(signal.SIGABRT)
    _, status = os.waitpid(alice.process.pid, 0)
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)
    assert {
        path for path in set(endless.directory.rglob("*")) - before if "core" in path.name
    } == set()


@pytest.mark.parametrize("sealed", [True, False])
def test_another_process_of_the_same_user_cannot_look_into_a_party(sealed: bool) -> None:
    """Without the seal it can, so that this tests something."""
    first = "from party.seal import seal_process; " if sealed else ""
    become = "import ctypes, os, sys; os.getuid() or os.setuid(65534); "
    undo = "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); "
    seal = "seal_process(); " if sealed else ""
    party = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{first}{become}{undo}{seal}print('here', flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert party.stdout is not None and party.stdout.readline() == b"here\n"
        look = f"{become}print(len(open('/proc/{party.pid}/environ', 'rb').read()))"
        done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
        if sealed:
            assert done.returncode != 0 and "PermissionError" in done.stderr
        else:
            assert done.returncode == 0 and int(done.stdout) > 0
    finally:
        party.kill()
        party.communicate()


def ragged(lines: list[str]) -> None:
    lines[5] += ",8888.125000"


def not_a_number(lines: list[str]) -> None:
    lines[5] += "x"


def quoted(lines: list[str]) -> None:
    lines[5] = f'"{lines[5]}'


def infinite(lines: list[str]) -> None:
    lines[5] = lines[5].split(",")[0] + ",1e999"


def one_short(lines: list[str]) -> None:
    lines.pop()


def headless(lines: list[str]) -> None:
    lines[0] = lines[3]


def binary(lines: list[str]) -> None:
    lines[5] += "\0\x7f"


def without_commas(lines: list[str]) -> None:
    lines[:] = [line.replace(",", ";") for line in lines]


@pytest.mark.parametrize("party", ["alice", "bob"])
@pytest.mark.parametrize(
    "spoil",
    [ragged, not_a_number, quoted, infinite, one_short, headless, binary, without_commas],
    ids=lambda spoil: spoil.__name__,
)
def test_what_is_wrong_with_a_table_is_said_without_its_values(
    scene: Planted, party: str, spoil: Callable[[list[str]], None]
) -> None:
    if party == "bob" and spoil is without_commas:
        pytest.skip("a single column has no commas")
    table = scene.directory / f"{party}.csv"
    lines = table.read_text().splitlines()
    spoil(lines)
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputFault) as caught:
        load(table, load_job(scene.directory / "job.yaml"), party)  # type: ignore[arg-type]
    said = "\n".join(map(str, (caught.value, caught.value.where, caught.value.hint)))
    canaries = [one for one in scene.canaries() if one.owner == party]
    assert sightings("the fault", said.encode(), canaries) == []
    assert "8888" not in said and "1e999" not in said


@pytest.mark.parametrize("harm", ["cut", "turned", "for another", "padded", "not even PEM"])
def test_what_is_wrong_with_a_key_is_said_without_the_key(scene: Planted, harm: str) -> None:
    keys = scene.directory / "keys/alice"
    canaries = [one for one in scene.canaries() if one.owner in ("alice", "bob")]
    pem = (keys / "tls.key").read_text()
    changed = {
        "cut": pem[: len(pem) // 2],
        "turned": "\n".join(reversed(pem.splitlines())),
        "for another": (scene.directory / "keys/bob/tls.key").read_text(),
        "padded": pem + pem * 400,
        "not even PEM": pem.splitlines()[1],
    }
    (keys / "tls.key").write_text(changed[harm])
    with pytest.raises(InputFault) as caught:
        load_keys(keys, "tiny", "alice")
    said = "\n".join(map(str, (caught.value, caught.value.where, caught.value.hint)))
    assert sightings("the fault", said.encode(), canaries) == []


def test_an_error_of_our_own_is_said_without_what_it_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> None:
        raise ValueError("7301.918273")

    assert guarded(broken) == 1
    told = capsys.readouterr()
    assert "internal error: ValueError at test_leaks.py" in told.err
    assert "7301" not in told.err + told.out and "Traceback" not in told.err


def test_what_strangers_are_served_is_phase_and_counts(scene: Planted) -> None:
    start(scene, "--stay")
    for one in scene.running:
        one.reaches("done")
    for number in range(3):
        found = served(number)
        host = f"http://127.0.0.{5 + number}:18090"
        assert set(json.loads(found[f"{host}/status"].split(b"\n")[0])) == {
            *("phase", "epoch", "epochs", "step", "steps")
        }
        for path in ("/", "/model.json", "/../model.json"):
            assert found[f"{host}{path}"] == b"nothing here\n"
        assert b"Server:" not in found[f"{host}/status"]
