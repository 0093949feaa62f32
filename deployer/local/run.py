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
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.certs import authority
from deployer.local.approving import approved
from deployer.local.room import private_room
from party.agreement.hosts import Address, format_hosts
from party.agreement.job import PARTIES, AlignedJob, Job, Party, parse_job
from party.agreement.yaml12 import write_yaml
from party.approval import Envelope, see_to_rest
from party.approval.receipt import Receipt
from party.channel import versions
from party.identity import load_keys
from party.process import children, files
from party.process.errors import (
    AS_JSON,
    TIME_IS_UP,
    ErrorDocument,
    InputError,
    JobError,
    KitError,
)
from party.process.exit import undisturbed
from party.reporting.documents import (
    RECEIPT,
    ColumnsDocument,
    LinearDocument,
    ModelDocument,
    PartyReport,
    RunReport,
    RunTimes,
    StatusDocument,
    has_results,
    remove_results,
)
from party.reporting.status import now
from party.runtime import BUILDING, Name, default_cache

JOB = "job.yaml"
"""In the output: the job as it was run."""

LOG = "log.jsonl"
"""In the output of each party: what it said."""

_KEYS_DAYS = 30.0  # of training at most, since keys must last as long as it does
_WAIT_S = 600.0  # of large tables; whoever dies meanwhile is seen
_BUILDING = "building the plan, once"
_GRACE_S = 2.0
_ENDING_S = 10.0
_LOOK_EVERY_S = 0.1

Progress = Callable[[StatusDocument], None]
"""Told Alice's status, several times a second, while it changes."""


@dataclass(frozen=True)
class _Start:
    """A former model from which a party begins, and the copy that it is given."""

    model: Path
    copy: Path


@dataclass(frozen=True)
class Result:
    """What a run left behind: the models by receiver, empty where nobody gets one."""

    models: dict[str, LinearDocument]
    report: RunReport
    output: Path


def run_local(
    job: Job,
    tables: dict[str, Path],
    output: Path,
    runtime: Name = "sealed",
    cache: Path | None = None,
    progress: Progress = lambda status: None,
    time_limit_s: float | None = None,
    approve: bool = False,
    label_key: Path | None = None,
    start: Path | None = None,
    keys: Path | None = None,
    trained: Path | None = None,
) -> Result:
    """Train on this machine and return what its receivers got.

    ``tables`` maps "alice" and "bob" to the files of their tables. Each party writes into a
    directory of its name in ``output``, which has the job as it was run, too; the keys live in a
    private directory for as long as the run does. ``label_key`` is the file of the label's holder,
    where the job keeps labels private. ``start`` is the output of a former run, from whose models
    the training begins, where the job says so. ``trained`` is the output of the run that trained
    the model, where the job scores. ``keys`` is where the parties' keys stay, and are made if they
    are not there. With ``approve`` all three approve the job first: it then has their pins, and the
    approvals are left in ``output``.

    Raises InputError or JobError as the party that failed first did; the others are ended.
    """
    begin = time.monotonic()
    _see_to_keys(job, keys, approve)
    for party in job.holders if job.kept is None else ():
        try:
            tables[party].stat()
        except FileNotFoundError:
            hint = f"give the path of {party}'s table with --{party}"
            raise InputError(f"there is no table for {party}", str(tables[party]), hint) from None
        except OSError as error:
            raise files.unreadable(error, f"the table of {party}", tables[party]) from None
    parts = _parts(job, trained, output)
    _see_to_job(output)
    if job.label is None and label_key is not None:
        raise InputError("the job has no label", "--label-key", "leave it out")
    cache = (cache or default_cache()).absolute()
    output = output.absolute()
    with (
        files.owned(output, "run"),
        private_room() as private,
        free_ports(len(PARTIES)) as ports,
    ):
        starts = _starts(job, start, private)
        for one in PARTIES:
            if has_results(output / one):
                see_to_rest(job, output / one, None, versions()["kit"], None)
        _clear(output)
        if keys is not None:
            (private / "keys").symlink_to(keys.absolute())
        if keys is None or not keys.exists():
            made = private / "keys" if keys is None else keys.absolute()
            authority.make_all(job.domain, made, days=_KEYS_DAYS, authority_days=_KEYS_DAYS)
        if approve:
            job = approved(job, private, tables, output, cache, parts)
        text = _written(job).encode()
        (private / JOB).write_bytes(text)
        files.replace(output / JOB, text)
        hosts = tuple(Address("127.0.0.1", port) for port in ports)
        (private / "config.json").write_text(format_hosts(hosts))  # type: ignore[arg-type]
        parties = _Parties(
            *(job, private, tables, output, runtime, cache, time_limit_s, progress),
            *(label_key, starts, parts),
        )
        with parties:
            parties.follow()
    models: dict[str, LinearDocument] = {}
    for party in () if job.scores is not None else job.receivers:
        model = LinearDocument.read(output / party)
        assert model is not None, "a party that ended well has written its result"
        models[party] = model
    report = _report(job, output, parties.import_s, parties.build_s, begin)
    report.write(output, 0o644)
    if runtime == "sealed":
        own = [output / party / RECEIPT for party in PARTIES]
        merged = Receipt.merged([(Envelope.read(path), str(path)) for path in own])
        files.replace(output / RECEIPT, merged.text(), 0o644)
    return Result(models, report, output)


def _see_to_keys(job: Job, keys: Path | None, approve: bool) -> None:
    """That the keys are those that the job pins, if it does, and that what it seals can be opened
    again."""
    pins = job.identities
    if pins is not None and (keys is None or approve or pins.approvals):
        raise InputError(
            "the job pins keys, and those of approvals are not here"
            if pins.approvals
            else "the job pins keys, and a run on this machine makes its own",
            "identities",
            "leave identities out, or start the three parties by hand: docs/trust.md",
        )
    if pins is not None and keys is not None:
        for party in PARTIES:
            load_keys(keys / party, job.domain, party, pins=pins)
    if keys is None and (job.result == "kept" or job.part is not None):
        raise InputError(
            "a kept model is sealed by the parties' keys, and those of a run on this machine go "
            "with it",
            "--keys",
            "name a directory with --keys DIR: they are made there once, and stay",
        )


def _see_to_job(output: Path) -> None:
    """That what stands where the job is written is not a job that somebody has written."""
    file = output / JOB
    if _is_output(output):
        return
    try:
        text = file.read_text(encoding="utf-8")
        if text == _written(parse_job(text, str(file))):
            return
    except FileNotFoundError:
        return
    except (OSError, ValueError, InputError):
        pass  # no run has left it
    raise InputError(
        "the run would write the job over a file that no run has left",
        str(file),
        "name a directory of its own with --output",
    )


def _is_output(directory: Path) -> bool:
    """Whether a run, of whatever version, has been there."""
    return any((directory / party / LOG).exists() for party in PARTIES)


def _written(job: Job) -> str:
    return write_yaml(job.model_dump(mode="json"))


def _starts(job: Job, former: Path | None, private: Path) -> dict[Party, _Start]:
    """Copies of the former models that a job begins from, by party: ``output`` may be theirs."""
    if former is None:
        if job.starts:
            hint = "give the --output of the run that made it with --start"
            raise InputError("the job begins from a former model", "training.start", hint)
        return {}
    if not job.starts:
        what, hint = "the job takes no former model", "leave it out, or say training.start: model"
        raise InputError(what, "--start", hint)
    found: dict[Party, _Start] = {}
    for party in (one for one in job.holders if job.features_of(one)):
        model, copy = former / party / ModelDocument.NAME, private / f"{party}.start.json"
        try:
            copy.write_bytes(model.read_bytes())
        except FileNotFoundError:
            raise InputError(
                f"{party} received no model there, and the job begins from {party}'s",
                str(model),
                "each holder of features needs its own weights: train with result own or both",
            ) from None
        except OSError as error:
            raise files.unreadable(error, "the former model", model) from None
        found[party] = _Start(model, copy)
    return found


def _parts(job: Job, trained: Path | None, output: Path) -> dict[str, Path]:
    """What each holder has of the model by which the job scores."""
    if job.scores is None:
        if trained is None:
            return {}
        hint = "leave it out, or give a job of the model joint-scores"
        raise InputError("the job trains a model, and takes none", "--trained", hint)
    if trained is None:
        hint = "name the --output of the run that trained the model"
        raise InputError("a job that scores takes a model", "--trained", hint)
    if trained.absolute().resolve() == output.absolute().resolve():
        what = "the run would remove the model that it is to take"
        raise InputError(what, "--output", "name another directory than --trained")
    parts: dict[str, Path] = {
        job.scores.holder: trained / job.scores.holder / ModelDocument.NAME,
        job.scores.other: trained / job.scores.other / ColumnsDocument.NAME,
    }
    for path in parts.values():
        try:
            path.stat()
        except OSError as error:
            raise files.unreadable(error, "what the training left", path) from None
    return parts


def _clear(output: Path) -> None:
    """No file of an earlier run is to be taken for one of this run, however that ends."""
    for party in PARTIES:
        with files.owned(output / party, "party"):  # else it is started by hand, and at work
            remove_results(output / party)
            (output / party / StatusDocument.NAME).unlink(missing_ok=True)
    remove_results(output)
    (output / JOB).unlink(missing_ok=True)


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
        label_key: Path | None,
        starts: dict[Party, _Start],
        parts: dict[str, Path],
    ) -> None:
        self.progress, self.label_key, self.starts = progress, label_key, starts
        self.parts = parts
        self.job, self.private, self.output = job, private, output
        self.tables, self.runtime, self.cache = tables, runtime, cache
        self.time_limit_s = time_limit_s
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.streams: list[Any] = []
        self.import_s = self.build_s = 0.0
        self.building = contextlib.ExitStack()  # held until there is a plan

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
        self.building.enter_context(files.locked(self.cache / BUILDING))
        for party in PARTIES:
            self._start_one(party)
        if not self.job.matches:
            self._build(self.job)

    def _build(self, job: Job) -> None:
        """Make the plan, for which the parties wait."""
        from party.compiler import build_schedules, is_cached

        if self.runtime == "sealed" and not is_cached(job, self.cache):
            first = StatusDocument.first(job, "alice", now())
            self.progress(first.model_copy(update={"phase": "plan", "message": _BUILDING}))
            self.import_s, self.build_s = build_schedules(
                job, self.cache, range(len(PARTIES)), self._see_to_all
            )
        self.job = job
        self.building.close()

    def _see_to_all(self) -> None:
        """Raises the error of the first that has failed, by its table say."""
        if any(process.poll() for process in self.processes.values()):
            raise self._error()

    def _start_one(self, party: Party) -> None:
        own = self.output / party
        try:
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = (own / LOG).open("wb")
        except OSError as error:
            raise files.unwritable(error, "cannot write the output", own) from None
        words = (self.private / f"{party}.stderr").open("wb")
        self.streams += [log, words]
        command = [*children.command("party"), party]
        command += ["--job", "job.yaml", "--config", "config.json", "--keys", f"keys/{party}"]
        command += ["--output", str(own), "--cache", str(self.cache)]
        command += ["--runtime", self.runtime, "--wait", str(_WAIT_S)]
        command += ["--rejoin-limit", "0"]  # whoever ends here is not started again
        if self.job.identities is not None and self.job.identities.approvals:
            command += ["--approvals", f"approvals/{party}"]
        if party in self.job.holders and self.job.kept is None:
            command += ["--table", str(self.tables[party].absolute())]
        if self.label_key is not None and party == self.job.label_holder:
            command += ["--label-key", str(self.label_key.absolute())]
        if party in self.starts:
            command += ["--start", str(self.starts[party].copy)]
        if party in self.parts:
            command += ["--model", str(self.parts[party].absolute())]
        if self.time_limit_s is not None:
            command += ["--time-limit", str(self.time_limit_s)]
        self.processes[party] = subprocess.Popen(
            command,
            cwd=self.private,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=words,
            env=children.environment(**{AS_JSON: "1", "OPENBLAS_NUM_THREADS": "1"}),
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
                if status is not None and status.updated != last:
                    last = status.updated
                    self.progress(status)
                    if status.sizes is not None and not isinstance(self.job, AlignedJob):
                        self._build(AlignedJob.of(self.job, status.sizes))
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
        words = (self.private / f"{party}.stderr").read_text(errors="replace")
        told = ErrorDocument.in_text(words)
        if told is None:
            told = ErrorDocument(f"ended with exit code {code}", None, None, code)
        error = told.error(by=party)
        for start in self.starts.values():
            if error.where == str(start.copy):
                error.where = str(start.model)  # the copy goes with the run
        return error

    def _end(self) -> None:
        with undisturbed():
            self.building.close()
            self._end_all()

    def _end_all(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + _ENDING_S
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


def _status(directory: Path) -> StatusDocument | None:
    with contextlib.suppress(KitError):
        return StatusDocument.read(directory)
    return None


def _report(job: Job, output: Path, import_s: float, build_s: float, begin: float) -> RunReport:
    """The parties' own reports, and the figures of the run as a whole."""
    parties: dict[Party, PartyReport] = {}
    for party in PARTIES:
        own = PartyReport.read(output / party)
        assert own is not None, "a party that ended well has written its report"
        parties[party] = own
    first = parties["alice"]
    traffic = [one.traffic for one in parties.values() if one.traffic is not None]
    aligned = [one.alignment for one in parties.values() if one.alignment is not None]
    return RunReport(
        job=job.digest,
        plan=first.plan,
        run=first.run,
        protocol=job.protocol,
        runtime=first.runtime,
        versions=first.versions,
        steps=first.steps or job.steps,
        times=RunTimes(
            connect_s=first.times.connect_s,
            train_s=first.times.train_s,
            step_s=first.times.step_s,
            import_s=import_s,
            build_s=build_s,
            whole_s=time.monotonic() - begin,
        ),
        bytes=sum(one.bytes_sent for one in traffic) + sum(one.bytes_sent for one in aligned),
        messages=sum(one.messages_sent for one in traffic),
        rounds=first.rounds,
        peak_bytes={party: one.peak_bytes for party, one in parties.items()},
        parties=parties,
    )
