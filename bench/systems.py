"""The systems that are measured, and one run of each from command to weights."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bench import environment
from bench.cases import Case, Tables, job_text
from bench.optimum import C, Problem
from bench.places import ROOT, Place, place
from party.agreement.job import PARTIES
from party.reporting.documents import Document, LinearDocument, PartyReport

_Document = TypeVar("_Document", bound=Document)

WARM_UP = 10
"""Steps of the published system that are not timed: the first builds its graph, which takes
seconds, and some more pass before its pace is steady. The kit's are all timed."""


class RunFailed(Exception):
    """A run ended without a model; the message is the last line that it said."""


@dataclass(frozen=True)
class Figures:
    """What one run showed."""

    step_ms: float | None
    """Milliseconds of a step over a mini-batch, once it is under way; None to the optimum, where
    each system's steps are its own."""
    train_s: float | None
    """Seconds from all being there to the weights; None where it cannot be told apart."""
    first_job_s: float
    """Seconds from the command to the weights where nothing is prepared yet."""
    job_s: float
    """The same once the party has its schedule in its cache (as above, for systems without one)."""
    cpu_s: float
    """Processor seconds of all parties together, over that whole job."""
    peak_mib: dict[str, float]
    """Peak resident memory of each party, in MiB."""
    wire_bytes: int | None
    """Bytes between all parties, headers and setting up included; None if not counted."""
    auc: float
    """Area under the ROC curve on the training rows: proof that the system did the job."""
    excess: float | None = None
    """By which part the penalised log loss is above the optimum's; None for mini-batches."""


Start = Callable[[list[str], Path], subprocess.Popen[bytes]]
"""Starts a command with its output in a file."""

Run = Callable[[Case, str, Tables, Path, float], Figures]
"""One run: case, protocol, tables, an empty folder, and a limit in seconds."""


def published(case: Case, protocol: str, tables: Tables, folder: Path, limit_s: float) -> Figures:
    """tf-encrypted 0.9.1's remote runtime: two of its servers, and the master at Alice."""
    assert case.batches is not None and not case.at_bob, "it is a peer on mini-batches alone"
    python = str(environment.PUBLISHED.python())
    with place(case.round_trip_ms, case.mbit_s) as here, _children() as start:
        config, settings, result = (folder / name for name in ("config.json", "run", "result"))
        hosts = {f"server{index}": host for index, host in enumerate(here.hosts)}
        config.write_text(json.dumps(hosts), encoding="utf-8")
        given = {
            "config": str(config),
            "protocol": protocol,
            "features": str(tables.alice_raw),
            "labels": str(tables.label_raw),
            "rows": case.rows,
            "columns": case.features + 1,
            "batch": case.batches.size,
            "steps": case.steps,
            "warm_up": min(WARM_UP, case.steps // 2),
            "rate": case.learning_rate,
            "result": str(result),
        }
        settings.write_text(json.dumps(given), encoding="utf-8")
        train = Path(__file__).parent / "published" / "train.py"
        began, cpu = time.monotonic(), _cpu_s()
        player = [python, "-m", "tf_encrypted.player", "--config", str(config)]
        servers = [
            start(here.command(party, [*player, f"server{party}"]), folder / PARTIES[party])
            for party in (1, 2)
        ]
        master = start(here.command(0, [python, str(train), str(settings)]), folder / "alice")
        _finish(master, folder / "alice", limit_s)
        job_s = time.monotonic() - began
        wire_bytes = here.carried()
        measured = json.loads(result.read_text(encoding="utf-8"))
        peaks = [measured["peak_mib"], *(_peak_mib(server.pid) for server in servers)]
        for server in servers:  # they have no way to end by themselves
            server.kill()
            server.wait()
        return Figures(
            step_ms=measured["step_ms"],
            train_s=None,
            first_job_s=job_s,
            job_s=job_s,
            cpu_s=_cpu_s() - cpu,
            peak_mib=dict(zip(PARTIES, peaks, strict=True)),
            wire_bytes=wire_bytes,
            auc=tables.auc(measured["weights"]),
        )


def published_local(
    case: Case, protocol: str, tables: Tables, folder: Path, limit_s: float
) -> Figures:
    """The same with the truncation that the kit's Pond has too, and that it does not use itself."""
    return published(case, f"{protocol}-local", tables, folder, limit_s)


def spu(sigmoid: str) -> Run:
    """SecretFlow's SPU, three parties: ABY3 where the kit has ABY3, and Semi2k where it has Pond.
    It has no TLS, and is told how many passes suffice, which are counted in clear and which no
    party could know."""

    def run(case: Case, protocol: str, tables: Tables, folder: Path, limit_s: float) -> Figures:
        python = str(environment.SPU.python())
        settings = folder / "settings.json"
        features = {"0": _features(tables.alice_raw, case.features - case.at_bob + 1, True)}
        if tables.bob_raw is not None:
            features["1"] = _features(tables.bob_raw, case.at_bob, False)
        with place(case.round_trip_ms, case.mbit_s) as here, _children() as start:
            given = {
                "hosts": here.hosts,
                "protocol": {"pond": "semi2k"}.get(protocol, protocol),
                "sigmoid": sigmoid,
                "rows": case.rows,
                "C": C,
                "passes": Problem(tables.blocks(), tables.label()).passes(),
                "features": features,
                "label": {"rank": 1, "file": str(tables.label_raw)},
                "result": str(folder),
            }
            settings.write_text(json.dumps(given), encoding="utf-8")
            train = [python, str(Path(__file__).parent / "spu" / "train.py"), str(settings)]
            began, cpu = time.monotonic(), _cpu_s()
            running = [
                start(here.command(rank, [*train, str(rank)]), folder / party)
                for rank, party in enumerate(PARTIES)
            ]
            results = [folder / f"{rank}.json" for rank in range(len(PARTIES))]
            while not all(result.exists() for result in results):
                for party, child in zip(PARTIES, running, strict=True):
                    if child.poll() is not None:
                        _finish(child, folder / party, limit_s)
                if time.monotonic() - began > limit_s:
                    raise RunFailed(f"not done after {limit_s:g} s")
                time.sleep(0.005)
            job_s = time.monotonic() - began
            for child in running:  # they have no way to end by themselves
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            measured = [json.loads(result.read_text(encoding="utf-8")) for result in results]
            weights = [weight for each in measured for weight in each["weights"]]
            return Figures(
                step_ms=None,
                train_s=measured[0]["train_s"],
                first_job_s=job_s,
                job_s=job_s,
                cpu_s=_cpu_s() - cpu,
                peak_mib={p: m["peak_mib"] for p, m in zip(PARTIES, measured, strict=True)},
                wire_bytes=here.carried(),
                auc=tables.auc(weights),
                excess=_excess(case, tables, weights),
            )

    return run


def _features(file: Path, columns: int, intercept: bool) -> dict[str, str | int | bool]:
    return {"file": str(file), "columns": columns, "intercept": intercept}


def kit(runtime: str) -> Run:
    """The kit's runtime of that name, with TLS. Each run is two: one with an empty cache, and
    one more with the schedules that it left there."""

    def run(case: Case, protocol: str, tables: Tables, folder: Path, limit_s: float) -> Figures:
        (folder / "job.yaml").write_text(job_text(case, protocol), encoding="utf-8")
        start = by_hand if case.round_trip_ms else _by_deployer
        first = start(case, runtime, tables, folder, folder / "first", limit_s)
        again = start(case, runtime, tables, folder, folder / "again", limit_s)
        return replace(again, first_job_s=first.job_s)

    return run


def _by_deployer(
    case: Case, runtime: str, tables: Tables, folder: Path, output: Path, limit_s: float
) -> Figures:
    """``deployer run``: one command starts all three parties on one loopback."""
    command = [*command_of("deployer"), "run", str(folder / "job.yaml"), "--runtime", runtime]
    command += ["--alice", str(tables.alice_csv), "--bob", str(tables.bob_csv)]
    command += ["--output", str(output), "--cache", str(folder / "cache")]
    with place(0) as here, _children() as start:
        began, cpu = time.monotonic(), _cpu_s()
        log = folder / "deployer"
        _finish(start(here.command(0, command), log), log, limit_s)
        return _kit_figures(case, tables, output, time.monotonic() - began, _cpu_s() - cpu, here)


def by_hand(
    case: Case,
    runtime: str,
    tables: Tables,
    folder: Path,
    output: Path,
    limit_s: float,
    options: Sequence[str] = (),
) -> Figures:
    """``party server``, ``party bob`` and ``party alice``, each where it lives, with more options;
    the job, keys if there are any, and the cache are in the folder."""
    with place(case.round_trip_ms, case.mbit_s) as here, _children() as start:
        config, keys = folder / "config.json", folder / "keys"
        hosts = {f"server{index}": host for index, host in enumerate(here.hosts)}
        config.write_text(json.dumps(hosts), encoding="utf-8")
        if not keys.exists():
            make = [*command_of("deployer"), "certs", "new", "--job", str(folder / "job.yaml")]
            make += ["--output", str(keys)]
            _finish(start(make, folder / "certs"), folder / "certs", limit_s)
        began, cpu = time.monotonic(), _cpu_s()
        running = []
        for index, party in enumerate(PARTIES):
            command = [*command_of("party"), party, "--job", str(folder / "job.yaml")]
            command += ["--config", str(config), "--keys", str(keys / party)]
            command += ["--output", str(output / party), "--cache", str(folder / "cache" / party)]
            command += ["--runtime", runtime, *options]
            if party != "server":
                table = tables.alice_csv if party == "alice" else tables.bob_csv
                command += ["--table", str(table)]
            running.append(start(here.command(index, command), folder / party))
        for party, child in zip(PARTIES, running, strict=True):
            _finish(child, folder / party, limit_s)
        return _kit_figures(case, tables, output, time.monotonic() - began, _cpu_s() - cpu, here)


def _kit_figures(
    case: Case, tables: Tables, output: Path, job_s: float, cpu_s: float, here: Place
) -> Figures:
    reports = {party: _found(PartyReport.read(output / party)) for party in PARTIES}
    model = _found(LinearDocument.read(output / "alice"))
    own = case.features - case.at_bob
    assert model.intercept is not None, "Alice has the intercept, and receives the model"
    weights = [*model.weights[:own], model.intercept, *model.weights[own:]]
    times = reports["alice"].times
    return Figures(
        step_ms=times.step_s * 1000 if case.batches else None,
        train_s=times.train_s,
        first_job_s=job_s,
        job_s=job_s,
        cpu_s=cpu_s,
        peak_mib={party: report.peak_bytes / 2**20 for party, report in reports.items()},
        wire_bytes=here.carried(),
        auc=tables.auc(weights),
        excess=_excess(case, tables, weights),
    )


def former(case: Case, protocol: str, tables: Tables, folder: Path, limit_s: float) -> Figures:
    """The kit as it was before tables crossed once, with TLS, by its own ``deployer run``. Each run
    is two here, too."""
    assert case.batches is not None and not case.round_trip_ms, "it trains by mini-batches alone"
    then = environment.FORMER.folder()
    (folder / "job.yaml").write_text(job_text(case, protocol), encoding="utf-8")
    command = ["env", "-C", str(then), *command_of("deployer"), "run", str(folder / "job.yaml")]
    command += ["--alice", str(tables.alice_csv), "--bob", str(tables.bob_csv)]
    command += ["--cache", str(folder / "cache"), "--output"]
    took_s = []
    for output in (folder / "first", folder / "again"):
        with place(0) as here, _children() as start:
            began, cpu = time.monotonic(), _cpu_s()
            log = folder / "deployer"
            _finish(start(here.command(0, [*command, str(output)]), log), log, limit_s)
            took_s.append(time.monotonic() - began)
            cpu_s, wire_bytes = _cpu_s() - cpu, here.carried()
    # What it writes has forms of its own.
    reports = {party: _json(output / party / "report.json") for party in PARTIES}
    model = _json(output / "alice" / "model.json")
    return Figures(
        step_ms=reports["alice"]["times"]["step_s"] * 1000,
        train_s=reports["alice"]["times"]["train_s"],
        first_job_s=took_s[0],
        job_s=took_s[1],
        cpu_s=cpu_s,
        peak_mib={party: report["peak_bytes"] / 2**20 for party, report in reports.items()},
        wire_bytes=wire_bytes,
        auc=tables.auc([*model["weights"], model["intercept"]]),
    )


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _excess(case: Case, tables: Tables, weights: list[float]) -> float | None:
    return None if case.batches else Problem(tables.blocks(), tables.label()).excess(weights)


def _found(document: _Document | None) -> _Document:
    if document is None:
        raise RunFailed("a party ended well and left no report or no model")
    return document


def command_of(name: str) -> list[str]:
    """What the console script of that name does, from the source tree that is measured."""
    module = {"deployer": "deployer.cli", "party": "party.cli"}[name]
    return [sys.executable, "-c", f"from {module} import main; main()"]


@dataclass(frozen=True)
class System:
    """A system that can be measured, and the kit's protocols that it has one like."""

    run: Run
    protocols: tuple[str, ...] = ("pond", "aby3", "securenn")


SYSTEMS = {
    "sealed": System(kit("sealed")),
    "tensorflow": System(kit("tensorflow")),
    "former": System(former, ("pond", "aby3")),
    "published": System(published, ("pond", "aby3")),
    "published-local": System(published_local, ("pond",)),
    "spu": System(spu("real"), ("pond", "aby3")),
    "spu-polynomial": System(spu("polynomial"), ("pond", "aby3")),
}


def _surroundings() -> dict[str, str]:
    """What a system finds: as an installed one has it, its sources are compiled once for all."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "2"}


@contextmanager
def _children() -> Iterator[Start]:
    """Starts processes, each with its output in a file; none outlives the block."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(child)
        return child

    try:
        yield start
    finally:
        for child in started:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _finish(child: subprocess.Popen[bytes], log: Path, limit_s: float) -> None:
    """Waits for a process to end well, or raises RunFailed."""
    try:
        code = child.wait(limit_s)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"not done after {limit_s:g} s") from None
    if code:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in said if "error" in line.lower()]
        raise RunFailed(f"exit code {code}: {(errors or said or ['nothing said'])[-1]}")


def _cpu_s() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak_mib(pid: int) -> float:
    """A running process's peak resident memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
