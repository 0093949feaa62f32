"""All three parties on this machine, each a process of its own: the whole product at a small scale.

They are the same processes that run at three organisations, over mutual TLS on the loopback
interface, with keys made for the run and thrown away with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from deployer.certs import authority
from deployer.cli import new_app
from party.agreement.hosts import Address, format_hosts
from party.agreement.job import PARTIES, Job, load_job
from party.process import files
from party.process.errors import TIME_IS_UP, InputError, JobError, KitError
from party.process.exit import Stop, stop_on_signals
from party.protocols.registry import ProtocolName
from party.reporting.result import MODEL, REPORT, SHARES, weights_table
from party.reporting.status import FILE as STATUS
from party.runtime import BUILDING, WARNING, Name, default_cache

_KEYS_DAYS = 30.0  # of training at most, since keys must last as long as it does
_WAIT_S = 60.0
_BUILDING = "building the plan, once"
_GRACE_S = 2.0
_LOOK_EVERY_S = 0.1

Progress = Callable[[dict[str, Any]], None]
"""Told Alice's status, several times a second, while it changes."""


@dataclass(frozen=True)
class Result:
    """What a run left behind: the models by receiver, empty where nobody gets one."""

    models: dict[str, dict[str, Any]]
    report: dict[str, Any]
    output: Path


def run_local(
    job: Job,
    tables: dict[str, Path],
    output: Path,
    runtime: Name = "sealed",
    cache: Path | None = None,
    progress: Progress = lambda status: None,
    time_limit_s: float | None = None,
) -> Result:
    """Train on this machine and return what its receivers got.

    ``tables`` maps "alice" and "bob" to their CSV files. Each party writes into a directory of its
    name in ``output``; the keys and the job as it was run live in a private directory for as long
    as the run does.

    Raises InputError or JobError as the party that failed first did; the others are ended.
    """
    begin = time.monotonic()
    for party in job.holders:
        if not tables[party].exists():
            raise InputError(f"there is no table for {party}", str(tables[party]))
    cache = (cache or default_cache()).absolute()
    output = output.absolute()
    with (
        tempfile.TemporaryDirectory(prefix="deployer-run-") as room,
        free_ports(len(PARTIES)) as ports,
    ):
        private = Path(room)
        authority.make_all(job.name, private / "keys", days=_KEYS_DAYS, authority_days=_KEYS_DAYS)
        (private / "job.yaml").write_text(yaml.safe_dump(job.model_dump(mode="json")))
        hosts = tuple(Address("127.0.0.1", port) for port in ports)
        (private / "config.json").write_text(format_hosts(hosts))  # type: ignore[arg-type]
        parties = _Parties(job, private, tables, output, runtime, cache, time_limit_s, progress)
        with parties:
            parties.follow()
    models: dict[str, dict[str, Any]] = {}
    for party in job.receivers:
        model = files.read_json(output / party / MODEL)
        assert model is not None, "a party that ended well has written its result"
        models[party] = model
    report = _report(job, output)
    report["times"] |= {
        "import_s": parties.import_s,
        "build_s": parties.build_s,
        "whole_s": round(time.monotonic() - begin, 6),
    }
    files.replace_json(output / REPORT, report, 0o644)
    return Result(models, report, output)


class _Parties:
    """The three processes, none of which outlives the others' failure."""

    def __init__(
        self,
        job: Job,
        private: Path,
        tables: dict[str, Path],
        output: Path,
        runtime: Name,
        cache: Path,
        time_limit_s: float | None,
        progress: Progress,
    ) -> None:
        self.progress = progress
        self.job, self.private, self.output = job, private, output
        self.tables, self.runtime, self.cache = tables, runtime, cache
        self.time_limit_s = time_limit_s
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.streams: list[Any] = []
        self.import_s = self.build_s = 0.0

    def __enter__(self) -> _Parties:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        # The parties start and read their tables while the plan is made, once for all of them.
        with files.locked(self.cache / BUILDING):
            for party in PARTIES:
                self._start_one(party)
            if self.runtime == "sealed":
                from party.compiler import build, is_cached

                if not is_cached(self.job, self.cache):
                    self.progress({"phase": "plan", "message": _BUILDING, "step": 0})
                    self.import_s, self.build_s = build(self.job, self.cache, range(len(PARTIES)))

    def _start_one(self, party: str) -> None:
        own = self.output / party
        try:
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = (own / "log.jsonl").open("wb")
        except OSError as error:
            raise InputError(f"cannot write the output: {error.strerror}", str(own)) from None
        words = (self.private / f"{party}.stderr").open("wb")
        self.streams += [log, words]
        command = [sys.executable, "-m", "party", party]
        command += ["--job", "job.yaml", "--config", "config.json", "--keys", f"keys/{party}"]
        command += ["--output", str(own), "--cache", str(self.cache)]
        command += ["--runtime", self.runtime, "--wait", str(_WAIT_S)]
        if party in self.job.holders:
            command += ["--table", str(self.tables[party].absolute())]
        if self.time_limit_s is not None:
            command += ["--time-limit", str(self.time_limit_s)]
        self.processes[party] = subprocess.Popen(
            command,
            cwd=self.private,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=words,
            env=_environment(),
            process_group=0,  # a Ctrl-C is for us, who then end them in order
        )

    def follow(self) -> None:
        """Until all have ended well; raises the error of the first that did not."""
        poll = select.poll()
        handles = {os.pidfd_open(one.pid): party for party, one in self.processes.items()}
        try:
            for handle in handles:
                poll.register(handle, select.POLLIN)
            left, last = dict(handles), ""
            while left:
                for handle, _ in poll.poll(_LOOK_EVERY_S * 1000):
                    party = left.pop(handle)
                    poll.unregister(handle)
                    if self.processes[party].wait() != 0:
                        raise self._error()
                status = _status(self.output / "alice")
                if status is not None and status["updated"] != last:
                    last = status["updated"]
                    self.progress(status)
        finally:
            for handle in handles:
                os.close(handle)

    def _error(self) -> KitError:
        """What went wrong: who meets another's death first may not be who died, so all have a
        moment to end. The cause is a death, else wrong input, else who does not name another, or
        names whom it waited for when its own limit came."""
        failed: dict[str, int] = {}
        end = time.monotonic() + _GRACE_S
        while len(failed) < len(PARTIES) and time.monotonic() < end:
            for party, process in self.processes.items():
                if process.poll():
                    failed.setdefault(party, process.returncode)
            if min(failed.values()) < 0 or InputError.exit_code in failed.values():
                break
            time.sleep(0.02)

        errors = {party: self._told(party, code) for party, code in failed.items()}

        def rank(party: str) -> int:
            if failed[party] < 0:
                return 0
            if failed[party] == InputError.exit_code:
                return 1
            others = [other for other in PARTIES if other != party]
            said = errors[party].what
            return 3 if any(other in said for other in others) and TIME_IS_UP not in said else 2

        return errors[min(errors, key=rank)]

    def _told(self, party: str, code: int) -> KitError:
        if code < 0:
            name = signal.Signals(-code).name
            return JobError(f"{party} was ended by {name}", str(self.output / party))
        said: dict[str, str] = {}
        for line in (self.private / f"{party}.stderr").read_text(errors="replace").splitlines():
            for prefix in ("error: ", "  where: ", "  do: "):
                if line.startswith(prefix) and prefix not in said:
                    said[prefix] = line.removeprefix(prefix)
        kind = InputError if code == InputError.exit_code else JobError
        return kind(
            f"{party}: {said.get('error: ', f'ended with exit code {code}')}",
            said.get("  where: "),
            said.get("  do: "),
        )

    def _end(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + _GRACE_S
        for process in self.processes.values():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in self.streams:
            stream.close()


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Ports that nobody has, at any address: TensorFlow's servers listen on all of them. They are
    held, bound and not listening, so that nobody else is given them; a party may still listen
    there, since both say REUSEADDR."""
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            one = held.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("", 0))
            ports.append(one.getsockname()[1])
        yield ports


def _environment() -> dict[str, str]:
    """The parties import what this process imports, whatever their current directory."""
    paths = [path or str(Path.cwd()) for path in sys.path if not path or Path(path).is_dir()]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}


def _status(directory: Path) -> dict[str, Any] | None:
    with contextlib.suppress(KitError):
        return files.read_json(directory / STATUS)
    return None


def _report(job: Job, output: Path) -> dict[str, Any]:
    """The parties' own reports, and the figures of the run as a whole."""
    parties = {party: files.read_json(output / party / REPORT) or {} for party in PARTIES}
    first = parties["alice"]
    traffic = [one["traffic"] for one in parties.values()]
    return {
        "job": job.digest,
        "plan": first["plan"],
        "run": first["run"],
        "protocol": job.protocol,
        "runtime": first["runtime"],
        "versions": first["versions"],
        "steps": job.steps,
        "times": {
            "connect_s": first["times"].get("connect_s"),
            "train_s": first["times"]["train_s"],
            "step_s": first["times"]["step_s"],
        },
        "bytes": sum(one.get("bytes_sent", 0) for one in traffic),
        "messages": sum(one.get("messages_sent", 0) for one in traffic),
        "rounds": first.get("rounds"),
        "peak_bytes": {party: one["peak_bytes"] for party, one in parties.items()},
        "parties": parties,
    }


# The command.

app = new_app()

EXAMPLE = Path("examples", "fraud")
_EXAMPLES = (Path(__file__).parents[2], Path(sys.prefix, "share", "tfe-kit"))
"""Where the example is: in a source tree, or installed."""


@app.command()
def run(
    job: Annotated[
        Path | None, typer.Argument(help="The job's YAML file.", show_default="examples/fraud")
    ] = None,
    alice: Annotated[
        Path | None, typer.Option(help="Alice's CSV.", show_default="alice.csv beside the job")
    ] = None,
    bob: Annotated[
        Path | None, typer.Option(help="Bob's CSV.", show_default="bob.csv beside the job")
    ] = None,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="In place of the job's.", show_default=False)
    ] = None,
    runtime: Annotated[Name, typer.Option(help="How to train.")] = "sealed",
    output: Annotated[Path, typer.Option(help="Directory for results.")] = Path("out"),
    cache: Annotated[
        Path | None, typer.Option(help="Where plans are kept.", show_default="~/.cache/tfe-kit")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0.001, help="Of the training, in seconds.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what each party would run, and run nothing.")
    ] = False,
) -> None:
    """Train on this machine: three processes, mutual TLS, keys for this run only.

    Example: deployer run job.yaml --alice alice.csv --bob bob.csv --output out
    """
    stop_on_signals()
    file = job or _example()
    given = load_job(file)
    if protocol is not None:
        given = Job.model_validate(given.model_dump() | {"protocol": protocol})
    if explain:
        _explain(given, cache or default_cache())
        return
    tables = {"alice": alice, "bob": bob}
    chosen = {party: path or file.with_name(f"{party}.csv") for party, path in tables.items()}
    if runtime == "tensorflow":
        print(f"warning: {WARNING}", file=sys.stderr, flush=True)
    shown = _Shown(given)
    try:
        result = run_local(given, chosen, output, runtime, cache, shown.update, time_limit)
    except Stop:
        raise JobError("stopped") from None
    finally:
        shown.close()
    _print_result(result)


def _example() -> Path:
    for base in _EXAMPLES:
        file = base / EXAMPLE / "job.yaml"
        if file.exists():
            return file
    raise InputError("the example is not installed", hint="name a job: deployer run JOB")


def _explain(job: Job, cache: Path) -> None:
    from party.compiler import build, is_cached, prepared
    from party.schedule import listing

    with files.locked(cache / BUILDING):
        if not is_cached(job, cache):
            build(job, cache, range(len(PARTIES)))
        for index in range(len(PARTIES)):
            for line in listing(prepared(job, index, cache).schedule):
                print(line)
            print()


class _Shown:
    """Alice's progress: a live line on a terminal, a plain line now and then elsewhere."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.phase = ""
        self.said = 0.0
        self.bar: Any = None
        if sys.stdout.isatty():
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
            self.bar = Progress(*columns, refresh_per_second=5, transient=True)
            self.task = self.bar.add_task("starting", total=job.steps)
            self.bar.start()

    def update(self, status: dict[str, Any]) -> None:
        """Show a status of Alice's."""
        text = status["message"]
        if status["phase"] == "running" and status["step"]:
            text = f"epoch {status['epoch']}/{status['epochs']} step {status['step']}"
            if status["rate"]:
                text += f" {status['rate']:.0f}/s"
            if status["remaining_s"] is not None:
                text += f" {status['remaining_s']:.0f} s left"
        if self.bar is not None:
            self.bar.update(self.task, description=text, completed=status["step"])
        elif text and (status["phase"] != self.phase or time.monotonic() - self.said > 10.0):
            self.phase, self.said = status["phase"], time.monotonic()
            print(text, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()


def _print_result(result: Result) -> None:
    report, times = result.report, result.report["times"]
    for party, model in result.models.items():
        if len(result.models) > 1:
            print(f"{party.capitalize()} receives:")
        print(weights_table(model))
    traffic = f", {report['bytes'] / 1e6:.1f} MB between the parties" if report["bytes"] else ""
    print(
        f"{report['protocol']}, {report['runtime']}: {report['steps']} steps,"
        f" {times['step_s'] * 1e3:.3f} ms a step, {times['whole_s']:.2f} s in all{traffic}"
    )
    for party in result.models:
        print(f"{party.capitalize()}'s model: {result.output / party / MODEL}")
    if not result.models:
        print(f"Nobody receives the model. Its shares: {result.output}/*/{SHARES}")
