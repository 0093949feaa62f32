"""Nothing private is anywhere but where it belongs: planted values are searched for.

The tables, the private keys, the seeds with what grows from them and, once there is one, the model
are looked for as text and as bytes in everything that a run writes, prints, serves, or shows of
itself to the machine; and what is one party's, in the memory of the others.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization

from party.agreement.job import PARTIES, Job, load_job
from party.identity import load_keys
from party.process.errors import InputError
from party.process.exit import guarded
from party.table import load
from party.table.parts import packed
from tests.attacks.canaries import (
    ENDLESS,
    FRACTIONS,
    SEED_TEXT,
    TRAINING,
    Canary,
    Planted,
    Search,
    compile_seeds,
    descendants,
    files_in,
    grown,
    may_look_into_processes,
    memory_of,
    of_model,
    of_process,
    of_seeds,
    read_model,
    sightings,
    watched,
)
from tests.attacks.conftest import Tried
from tests.harness.plans import cached
from tests.harness.processes import JOB

pytestmark = pytest.mark.slow

SEEDS_LOOKED_FOR = 500
"""Of each process: all of a job of ten steps, and the first of one without an end."""

PATHS = ("/healthz", "/readyz", "/status", "/metrics", "/", "/model.json", "/../model.json")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for temporary files, of whatever is started."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the plan of the planted job."""
    directory = tmp_path_factory.mktemp("cache")
    job = Job.model_validate_json(json.dumps(JOB | {"training": TRAINING}))
    cached(job, directory)
    return directory


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes an executor's seeds known to us."""
    return compile_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.fixture
def known_seeds(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is started draws seeds that we know."""
    monkeypatch.setenv("LD_PRELOAD", str(library))


@pytest.fixture
def processes(tmp_path: Path, cache: Path, temporary: Path, known_seeds: None) -> Iterator[Planted]:
    """A job with planted values."""
    (tmp_path / "processes").mkdir()
    made = Planted(tmp_path / "processes", cache)
    yield made
    made.close()


@pytest.fixture
def endless(tmp_path: Path, cache: Path, temporary: Path, known_seeds: None) -> Iterator[Planted]:
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
            with urllib.request.urlopen(url, timeout=60) as answer:
                found[url] = answer.read() + str(answer.headers).encode()
        except HTTPError as refusal:
            found[url] = refusal.read()
    return found


def start(processes: Planted, *more: str) -> None:
    for number, party in enumerate(PARTIES):
        processes.start(party, *more, status=f"127.0.0.{5 + number}:18090")


def everything(processes: Planted, temporary: Path) -> dict[str, bytes]:
    """All that a run touches, but the tables and the keys themselves."""
    found = files_in(processes.directory / "out") | files_in(processes.cache) | files_in(temporary)
    for one in processes.running:
        for file in (one.log, one.words):
            found[str(file)] = file.read_bytes()
        for pid in descendants(one.process.pid):
            found |= of_process(pid)
    for name in ("job.yaml", "config.json"):
        found[name] = (processes.directory / name).read_bytes()
    return found


def leaks(found: dict[str, bytes], sought: Search) -> list[str]:
    return [leak for place, content in found.items() for leak in sightings(place, content, sought)]


def pids(processes: Planted) -> list[int]:
    return [one.process.pid for one in processes.running]


def seeds(processes: Planted) -> list[Canary]:
    return list(of_seeds(pids(processes), SEEDS_LOOKED_FOR))


def ran(module: str, seen: dict[str, bytes]) -> list[int]:
    """The processes that ran a module, of those that were seen."""
    words = f"-m\0{module}\0".encode()
    commands = {name: said for name, said in seen.items() if name.endswith("/cmdline")}
    return [int(name.split("/")[2]) for name, said in commands.items() if words in said]


def assert_looked_into(seen: dict[str, bytes], pids: Iterable[int]) -> None:
    """That a process ends, or hides what it is, is no way to pass."""
    names = ("cmdline", "environ") if may_look_into_processes() else ("cmdline",)
    for pid in pids:
        for name in names:
            assert seen.get(f"/proc/{pid}/{name}"), f"{name} of {pid} was never read"


def held(processes: Planted) -> Any:
    """Alice's table as she holds it."""
    job = load_job(processes.directory / "job.yaml")
    return load(processes.directory / "alice.csv", job, "alice").matrix


def standardised(processes: Planted) -> Any:
    table = processes.features
    return (table - table.mean(0)) / table.std(0)


def csv(processes: Planted, party: str) -> bytes:
    return (processes.directory / f"{party}.csv").read_bytes()


def private_key(processes: Planted, encoding: serialization.Encoding) -> bytes:
    pem = (processes.directory / "keys/bob/tls.key").read_bytes()
    key: Any = serialization.load_pem_private_key(pem, None)
    as_is = serialization.NoEncryption()
    return bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, as_is))


def saved(table: Any) -> bytes:
    """As NumPy writes it."""
    file = io.BytesIO()
    np.save(file, table)
    return file.getvalue()


FEATURES: dict[str, Callable[[Planted], bytes]] = {
    "the table": lambda s: csv(s, "alice"),
    "the table, CRLF": lambda s: csv(s, "alice").replace(b"\n", b"\r\n"),
    "the table, base64": lambda s: base64.b64encode(csv(s, "alice")),
    "the table, base64 in lines": lambda s: base64.encodebytes(csv(s, "alice")),
    "the table, hex": lambda s: csv(s, "alice").hex().encode(),
    "the table, of another precision": lambda s: json.dumps(s.features.round(2).tolist()).encode(),
    "one cell": lambda s: f"{s.features[5, 1]:.2f} is too large".encode(),
    "one cell, %.1f": lambda s: f"{s.features[5, 1]:.1f}".encode(),
    "one cell, %.3e": lambda s: f"{s.features[5, 1]:.3e}".encode(),
    "whole numbers": lambda s: str(s.features.astype(int).tolist()).encode(),
    "raw, f4": lambda s: s.features.astype("<f4").tobytes(),
    "raw, f8, hex": lambda s: s.features.tobytes().hex().encode(),
    "raw, i4": lambda s: s.features.astype("<i4").tobytes(),
    "raw, i8": lambda s: s.features.astype("<i8").tobytes(),
    "raw, fixed point": lambda s: (s.features * 2**13).astype("<i8").tobytes(),
    "raw, by columns": lambda s: s.features.T.tobytes(),
    "raw, by columns, f4": lambda s: s.features.T.astype("<f4").tobytes(),
    "standardised": lambda s: held(s).tobytes(),
    "standardised, without the ones": lambda s: held(s)[:, :-1].tobytes(),
    "standardised, base64": lambda s: base64.b64encode(held(s).tobytes()),
    "standardised, hex": lambda s: held(s).tobytes().hex().encode(),
    "standardised, upper hex": lambda s: held(s).tobytes().hex().upper().encode(),
    "standardised, f2": lambda s: standardised(s).T.astype("<f2").tobytes(),
    "standardised, f8": lambda s: standardised(s).tobytes(),
    "standardised, by columns": lambda s: held(s).T.tobytes(),
    "standardised, by columns, f8": lambda s: standardised(s).T.tobytes(),
    "standardised, saved by NumPy": lambda s: saved(held(s)),
    "standardised, JSON": lambda s: json.dumps(held(s).tolist()).encode(),
    "standardised, f8, JSON": lambda s: json.dumps(standardised(s).tolist()).encode(),
    "standardised, one cell": lambda s: str(held(s)[9, 0]).encode(),
    "standardised, %.6f": lambda s: "\n".join(
        "{:.6f},{:.6f}".format(*row) for row in standardised(s)
    ).encode(),
    "standardised, column, %.3f": lambda s: ", ".join(f"{x:.3f}" for x in held(s)[:, 1]).encode(),
    "standardised, column, %.1f": lambda s: ", ".join(f"{x:.1f}" for x in held(s)[:, 1]).encode(),
    "standardised, fixed point": lambda s: np.rint(held(s) * 2**13.0).astype("<i8").tobytes(),
    "standardised, fixed point, i4": lambda s: (held(s) * 2**13.0).astype("<i4").tobytes(),
    "standardised, fixed point, i2": lambda s: (held(s) * 2**13.0).T.astype("<i2").tobytes(),
    "standardised, finer fixed point": lambda s: (held(s) * 2**20.0).astype("<i4").tobytes(),
    "a batch": lambda s: held(s)[batch(s)].tobytes(),
    "a batch, by columns": lambda s: held(s)[batch(s)].T.tobytes(),
    "a batch, fixed point": lambda s: (held(s)[batch(s)] * 2**13.0).astype("<i8").tobytes(),
    "the moments": lambda s: s.features.mean(0).tobytes(),
    "a moment": lambda s: str(s.features.std(0)[0]).encode(),
}


def batch(processes: Planted, number: int = 3) -> Any:
    """The rows of a batch in the order that the parties take them."""
    epoch, half = divmod(number, 2)
    return load_job(processes.directory / "job.yaml").batches(epoch)[half]


def taken(processes: Planted, number: int = 3) -> Any:
    """The labels of a batch."""
    return np.array(processes.labels)[batch(processes, number)]


def of_kind(kind: str) -> Callable[[Planted], bytes]:
    """A batch's labels as numbers of a kind."""
    return lambda processes: bytes(taken(processes).astype(kind).tobytes())


LABELS: dict[str, Callable[[Planted], bytes]] = {
    "the column": lambda s: csv(s, "bob"),
    "the column, CRLF": lambda s: csv(s, "bob").replace(b"\n", b"\r\n"),
    "the column, base64": lambda s: base64.b64encode(csv(s, "bob")),
    "the column, hex": lambda s: csv(s, "bob").hex().encode(),
    "the column, quoted": lambda s: json.dumps(csv(s, "bob").decode()).encode(),
    "the column, JSON": lambda s: json.dumps(s.labels).encode(),
    "the column, f4": lambda s: np.array(s.labels, "<f4").tobytes(),
    "the column, f4, base64": lambda s: base64.b64encode(np.array(s.labels, "<f4").tobytes()),
    "the column, i1": lambda s: bytes(s.labels),
    "the column, bits": lambda s: np.packbits(s.labels).tobytes(),
    "the column, bits, hex": lambda s: np.packbits(s.labels).tobytes().hex().encode(),
    "a batch, text": lambda s: "".join(map(str, taken(s))).encode(),
    "a batch, list": lambda s: str(taken(s).tolist()).encode(),
    "a batch, list of floats": lambda s: str(taken(s).astype(float).tolist()).encode(),
    "a batch, as a column of JSON": lambda s: json.dumps(taken(s)[:, None].tolist()).encode(),
    **{f"a batch, {kind}": of_kind(kind) for kind in ("<i1", "<i2", "<i4", "<i8")},
    **{f"a batch, {kind}": of_kind(kind) for kind in ("<f2", "<f4", "<f8")},
    "a batch, fixed point": lambda s: (taken(s) * 2**13).astype("<i8").tobytes(),
    "a batch, fixed point, i4": lambda s: (taken(s) * 2**20).astype("<i4").tobytes(),
    "a batch, hex": lambda s: taken(s).astype("<f4").tobytes().hex().encode(),
    "an epoch, bits": lambda s: np.packbits([*taken(s, 2), *taken(s, 3)]).tobytes(),
}

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
KEYS: dict[str, Callable[[Planted], bytes]] = {
    "PEM": lambda s: (s.directory / "keys/bob/tls.key").read_bytes(),
    "PEM, otherwise": lambda s: private_key(s, PEM),
    "PEM, base64": lambda s: base64.b64encode((s.directory / "keys/bob/tls.key").read_bytes()),
    "DER": lambda s: private_key(s, DER),
    "DER, hex": lambda s: private_key(s, DER).hex().encode(),
    "DER, base64": lambda s: base64.b64encode(private_key(s, DER)),
}

WEIGHTS = [0.2431640625, -0.1175537109375, 0.0543212890625]
MODEL: dict[str, Callable[[Any], bytes]] = {
    "JSON": lambda w: json.dumps(w.tolist()).encode(),
    "%.6f": lambda w: ", ".join(f"{x:.6f}" for x in w).encode(),
    "one": lambda w: str(w[1]).encode(),
    "f4": lambda w: w.astype("<f4").tobytes(),
    "f8": lambda w: w.tobytes(),
    "f8, base64": lambda w: base64.b64encode(w.tobytes()),
    "f8, hex": lambda w: w.tobytes().hex().encode(),
    "one, f8": lambda w: w[1:2].tobytes(),
    "fixed point": lambda w: np.rint(w * 2**13).astype("<i8").tobytes(),
    "fixed point, i4": lambda w: np.rint(w * 2**13).astype("<i4").tobytes(),
}

SEED = SEED_TEXT + bytes([17, *7 * [0], 3, *7 * [0]])
RANDOM: dict[str, bytes] = {
    "seed": SEED,
    "seed, hex": SEED.hex().encode(),
    "seed, base64": base64.b64encode(SEED),
    "seed, as integers": str(np.frombuffer(SEED, "<i4").tolist()).encode(),
    "share": grown(SEED),
    "share, hex": grown(SEED).hex().encode(),
    "share, base64": base64.b64encode(b"in a longer text: " + grown(SEED) + b"!"),
}


def shapes(table: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("leaked", table.values(), ids=table.keys())


def caught(content: bytes, sought: Search) -> set[str]:
    """Whose it is, of what is found in the midst of something else."""
    return {one.owner for one in sought.found(b"what " + content + b" is said")}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Planted]:
    """A job with planted values that never runs."""
    made = Planted(tmp_path_factory.mktemp("shown"), cache)
    yield made
    made.close()


@pytest.fixture(scope="module")
def sought(shown: Planted) -> Search:
    """For what is planted in it."""
    return Search(shown.canaries())


@shapes(FEATURES)
def test_the_search_finds_features(
    shown: Planted, sought: Search, leaked: Callable[[Planted], bytes]
) -> None:
    assert caught(leaked(shown), sought) == {"alice"}


@shapes(LABELS)
def test_the_search_finds_labels(
    shown: Planted, sought: Search, leaked: Callable[[Planted], bytes]
) -> None:
    assert caught(leaked(shown), sought) == {"bob"}


@shapes(KEYS)
def test_the_search_finds_a_key(
    shown: Planted, sought: Search, leaked: Callable[[Planted], bytes]
) -> None:
    assert caught(leaked(shown), sought) == {"bob"}


def of_weights() -> Iterator[Canary]:
    return of_model({"weights": WEIGHTS[:-1], "intercept": WEIGHTS[-1]})


@shapes(MODEL)
def test_the_search_finds_a_model(leaked: Callable[[Any], bytes]) -> None:
    assert caught(leaked(np.array(WEIGHTS)), Search(of_weights())) == {"alice"}


def test_a_weight_that_could_be_anything_is_looked_for_with_the_others_alone() -> None:
    sought = Search(of_model({"weights": [0.0, -0.1175537109375], "intercept": 0.5}))
    assert caught(b"version 0.0.5, 0.5 s" + bytes(8) + np.array([0.5]).tobytes(), sought) == set()
    assert caught(b"[0.0, -0.1175537109375, 0.5]", sought) == {"alice"}


def test_no_model_of_small_weights_is_found_in_a_packed_table(shown: Planted) -> None:
    """Such numbers are zeros but for a few bits, as is the header of what is packed."""
    weights = [k / 2**bits for bits in FRACTIONS for k in range(-256, 256)]
    small = [{"weights": [weight, weight], "intercept": 0.0} for weight in weights]
    sought = Search(one for model in small for one in of_model(model))
    table = (shown.directory / "bob.csv").read_bytes()
    _, parts = packed([table], "fraud", "bob")
    for content in (b"".join(parts), *(gzip.compress(table, level) for level in range(10))):
        assert caught(content + b"\n" + base64.b64encode(content), sought) == set()


@shapes(RANDOM)
def test_the_search_finds_seeds_and_shares(leaked: bytes) -> None:
    assert caught(leaked, Search(of_seeds([17], 4))) == {"nobody"}


def test_the_search_finds_nothing_where_nothing_is(shown: Planted) -> None:
    """Bytes, numbers and text of chance: what it finds is never chance."""
    chance = random.Random(11)
    noise = chance.randbytes(1 << 20)
    numbers = [chance.gauss(0, 1) for _ in range(20_000)]
    contents = [noise, noise.hex().encode(), base64.b64encode(noise), bytes(1 << 16)]
    contents += [
        str(numbers).encode(),
        np.array(numbers).tobytes(),
        str(numbers).encode().hex().encode(),
    ]
    contents += [str([round(1e4 * one, 1) for one in numbers]).encode()]
    sought = Search([*shown.canaries(), *of_weights(), *of_seeds([17], 4)])
    for content in contents:
        assert sought.found(content) == []


def test_nothing_private_shows_while_a_job_runs(
    endless: Planted, temporary: Path, tried: Tried
) -> None:
    """Nor before it does: the processes that read the tables are looked at as well."""
    with watched(lambda: pids(endless)) as seen:
        start(endless)
        for one in endless.running:
            one.reaches("running", step=1)
    sought = Search(endless.canaries() + seeds(endless))
    readers = ran("party.table", seen)
    assert len(readers) == 2
    assert_looked_into(seen, pids(endless) + readers)
    assert leaks(seen, sought) == []
    looked = len(seen)
    for _ in range(5):
        found = everything(endless, temporary)
        assert_looked_into(found, pids(endless))
        for number in range(3):
            found |= served(number)
        assert leaks(found, sought) == []
        assert files_in(temporary) == {}
        looked += len(found)
        time.sleep(0.2)
    for one in endless.running:
        assert stat.S_IMODE(one.output.stat().st_mode) == 0o700
        one.signal(signal.SIGTERM)
    for one in endless.running:
        one.ends()
    assert leaks(everything(endless, temporary), sought) == []
    tried(looked * sought.size, "searches for a planted value while a job ran")


def test_nothing_private_shows_while_a_plan_is_built(
    endless: Planted, temporary: Path, tmp_path: Path, tried: Tried
) -> None:
    own = tmp_path / "own"
    with watched(lambda: pids(endless)) as seen:
        alice = endless.start("alice", cache=str(own))
        alice.reaches("joining")
    builders, readers = ran("party.compiler.driver", seen), ran("party.table", seen)
    assert len(builders) == len(readers) == 1
    assert_looked_into(seen, [alice.process.pid, *builders, *readers])
    found = seen | files_in(own) | everything(endless, temporary)
    assert any(name.startswith(str(own)) for name in found)
    sought = Search(endless.canaries())
    assert leaks(found, sought) == []
    tried(len(found) * sought.size, "searches for a planted value while a plan was built")


@pytest.mark.parametrize("runtime", ["sealed", "tensorflow"])
def test_the_model_is_in_one_file_of_alices_and_nowhere_else(
    processes: Planted, temporary: Path, runtime: str, tried: Tried
) -> None:
    start(processes, "--stay", "--runtime", runtime)
    for one in processes.running:
        one.reaches("done")
    own = processes.directory / "out/alice/model.json"
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    weights = list(of_model(read_model(own.parent)))
    planted = processes.canaries() + seeds(processes) + weights
    sought = Search(planted)
    found = everything(processes, temporary)
    assert_looked_into(found, pids(processes))
    for number in range(3):
        found |= served(number)
    written = found.pop(str(own))
    assert sightings("", written, Search(weights))
    # What scoring together takes of her columns: their means and scales.
    moments = found.pop(str(own.with_name("columns.json")))
    rest = Search(one for one in planted if "moment" not in one.what)
    assert sightings("", moments, rest) == []
    assert leaks(found, sought) == []
    assert list(temporary.iterdir()) == []
    names = {Path(name).name for name in files_in(processes.directory / "out")}
    signed = {"ledger.jsonl", "receipt.json"}  # of the sealed runtime, and searched like the rest
    results = {"model.json", "columns.json", "report.json", "status.json", ".lock"}
    assert names - signed == results
    tried(len(found) * sought.size, f"searches for a planted value after a {runtime} job was done")


def in_memory(processes: Planted, sought: Search) -> tuple[dict[str, set[str]], int]:
    """Of each party, what planted values are in its memory; and in how many pieces it came."""
    held: dict[str, set[str]] = {}
    pieces = 0
    for one in processes.running:
        held[one.party] = set()
        for piece in memory_of(one.process.pid):
            found = sought.found(piece)
            held[one.party] |= {f"{canary.owner}'s: {canary.what}" for canary in found}
            pieces += 1
    return held, pieces


@pytest.mark.skipif(not may_look_into_processes(), reason="a party's memory is closed to others")
@pytest.mark.parametrize(
    ("runtime", "when"), [("sealed", "running"), ("sealed", "done"), ("tensorflow", "done")]
)
def test_no_party_has_anything_of_anothers_in_its_memory(
    endless: Planted, processes: Planted, runtime: str, when: str, tried: Tried
) -> None:
    """Each has its own there, so that the search finds what there is; but a table only while it is
    needed. What is short could be there by chance: a party's memory holds all kinds of things."""
    played = endless if when == "running" else processes
    start(played, "--stay", "--runtime", runtime)
    for one in played.running:
        one.reaches(when, step=1)
    canaries = played.canaries()
    if when == "done":
        canaries += of_model(read_model(played.directory / "out/alice"))
    sought = Search(one for one in canaries if len(one.pattern) >= 16)
    held, pieces = in_memory(played, sought)
    own = {party: {f"{party}'s: the private key of {party}"} for party in PARTIES}
    if when == "running" or runtime != "sealed":  # which wipes the memory of a run
        own["alice"].add("alice's: standardised features as numbers")
        own["bob"].add("bob's: labels as numbers")
    if when == "done":
        own["alice"].add("alice's: the weights as numbers")
    assert held == own
    tried(pieces * sought.size, f"searches of the {runtime} parties' memory ({when})")


@pytest.mark.skipif(not may_look_into_processes(), reason="a party's memory is closed to others")
def test_the_server_draws_the_seeds_that_are_searched_for_and_gets_no_others(
    endless: Planted,
) -> None:
    """What gives seeds out remembers the last, in the memory of the party that drew it. The server
    draws all; Alice and Bob are sent some of its seeds, and the server is told nothing."""
    start(endless)
    for one in endless.running:
        one.reaches("running", step=1)
    held = {one.party: drawn_in(endless, one.process.pid) for one in endless.running}
    assert held == {party: {"server"} for party in PARTIES}


def drawn_in(processes: Planted, pid: int) -> set[str]:
    """Whose seeds are in a process."""
    pieces = list(memory_of(pid))
    of = {one.party: SEED_TEXT + one.process.pid.to_bytes(8, "little") for one in processes.running}
    return {party for party, seed in of.items() if any(seed in piece for piece in pieces)}


def test_a_local_run_leaves_no_key_and_shows_no_value(
    processes: Planted, temporary: Path, tried: Tried
) -> None:
    """The deployer holds the keys of all three, in a directory of its own that goes with it."""
    output = processes.directory / "local"
    command = [sys.executable, "-c", "from deployer.cli import main; main()", "run", "job.yaml"]
    command += ["--output", str(output), "--cache", str(processes.cache)]
    process = subprocess.Popen(
        command,
        cwd=processes.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    seen: dict[str, bytes] = {}
    open_to_others: set[str] = set()

    def watch() -> None:
        while process.poll() is None:
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
    with watched(lambda: [process.pid]) as looked:
        said, words = process.communicate(timeout=240)
    watcher.join()
    assert process.returncode == 0, words
    assert open_to_others == set()
    started, readers = ran("party", looked), ran("party.table", looked)
    assert len(started) == 3 and len(readers) == 2
    assert_looked_into(looked, [process.pid, *started, *readers])
    assert list(temporary.iterdir()) == []
    own = output / "alice/model.json"
    canaries = processes.canaries() + list(of_seeds(started, SEEDS_LOOKED_FOR))
    planted = canaries + list(of_model(read_model(own.parent)))
    sought = Search(planted)
    found = seen | looked | files_in(output) | files_in(processes.cache) | {"stderr": words}
    found.pop(str(own))
    moments = found.pop(str(own.with_name("columns.json")))
    assert sightings("", moments, Search(one for one in planted if "moment" not in one.what)) == []
    assert leaks(found, sought) == []
    # Whoever runs all three at once is shown Alice's weights, and nothing else.
    assert leaks({"stdout": said}, Search(canaries)) == []
    tried(len(found) * sought.size, "searches for a planted value around a local run")


@contextlib.contextmanager
def cores_allowed() -> Iterator[None]:
    """What is started in the block may leave a core as large as the machine lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_a_party_leaves_no_core(endless: Planted) -> None:
    with cores_allowed():
        alice = endless.start("alice")
        alice.reaches("joining")
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


def test_a_process_that_is_not_sealed_would_leave_a_core(tmp_path: Path) -> None:
    """So that the test before tests something."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("nothing on this machine may leave a core: the hard limit is 0")
    with cores_allowed():
        aborting = subprocess.Popen([sys.executable, "-c", "import os; os.abort()"], cwd=tmp_path)
    _, status = os.waitpid(aborting.pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if not os.WCOREDUMP(status) and pattern[:1] in ("", "|", "/"):
        pytest.skip(f"this machine keeps no cores: its core_pattern is {pattern!r}")
    assert os.WCOREDUMP(status)
    for core in tmp_path.glob("*core*"):
        core.unlink()


@pytest.mark.parametrize("sealed", [True, False])
def test_another_process_of_the_same_user_cannot_look_into_a_party(sealed: bool) -> None:
    """Without the seal it can, so that this tests something."""
    first = "from party.process.hardening import harden_process; " if sealed else ""
    become = "import ctypes, os, sys; os.getuid() or os.setuid(65534); "
    undo = "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); "
    seal = "harden_process(); " if sealed else ""
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
    processes: Planted, party: str, spoil: Callable[[list[str]], None]
) -> None:
    if party == "bob" and spoil is without_commas:
        pytest.skip("a single column has no commas")
    table = processes.directory / f"{party}.csv"
    lines = table.read_text().splitlines()
    spoil(lines)
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        load(table, load_job(processes.directory / "job.yaml"), party)  # type: ignore[arg-type]
    said = "\n".join(map(str, (caught.value, caught.value.where, caught.value.hint)))
    sought = Search(one for one in processes.canaries() if one.owner == party)
    assert sightings("the error", said.encode(), sought) == []
    assert "8888" not in said and "1e999" not in said


@pytest.mark.parametrize("harm", ["cut", "turned", "for another", "padded", "not even PEM"])
def test_what_is_wrong_with_a_key_is_said_without_the_key(processes: Planted, harm: str) -> None:
    keys = processes.directory / "keys/alice"
    sought = Search(one for one in processes.canaries() if "the private key" in one.what)
    pem = (keys / "tls.key").read_text()
    changed = {
        "cut": pem[: len(pem) // 2],
        "turned": "\n".join(reversed(pem.splitlines())),
        "for another": (processes.directory / "keys/bob/tls.key").read_text(),
        "padded": pem + pem * 400,
        "not even PEM": pem.splitlines()[1],
    }
    (keys / "tls.key").write_text(changed[harm])
    with pytest.raises(InputError) as caught:
        load_keys(keys, "tiny", "alice")
    said = "\n".join(map(str, (caught.value, caught.value.where, caught.value.hint)))
    assert sightings("the error", said.encode(), sought) == []


def test_an_error_of_our_own_is_said_without_what_it_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> None:
        raise ValueError("7301.918273")

    assert guarded(broken) == 1
    told = capsys.readouterr()
    assert "internal error: ValueError at test_leaks.py" in told.err
    assert "7301" not in told.err + told.out and "Traceback" not in told.err


def test_what_strangers_are_served_is_phase_and_counts(processes: Planted) -> None:
    start(processes, "--stay")
    for one in processes.running:
        one.reaches("done")
    for number in range(3):
        found = served(number)
        host = f"http://127.0.0.{5 + number}:18090"
        assert set(json.loads(found[f"{host}/status"].split(b"\n")[0])) == {
            *("version", "phase", "epoch", "epochs", "step", "steps")
        }
        for path in ("/", "/model.json", "/../model.json"):
            assert found[f"{host}{path}"] == b"nothing here\n"
        assert b"Server:" not in found[f"{host}/status"]
