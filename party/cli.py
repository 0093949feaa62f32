"""``party``: the command in each party's container, or on its machine where it is done by hand."""

from __future__ import annotations

import gc
import hashlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from party.agreement.hosts import Address, Hosts, load_hosts
from party.agreement.job import HOLDERS, PARTIES, AlignedJob, Holder, Job, Party, load_job
from party.agreement.queue import load_queue
from party.approval import Ledger, Permit, permitted, see_to_rest
from party.approval.ledger import NAME
from party.approval.receipt import Statement
from party.channel import listen as bind
from party.channel import versions
from party.checkpoints import KeptModel, KeptModels, Store, begun, clear
from party.checkpoints.kept import DIRECTORY
from party.identity import CHECKPOINT_KEY, Keys, load_keys, read_checkpoint_key
from party.models.health import WrongModelError
from party.process import children, files, streams
from party.process.errors import InputError, JobError, KitError
from party.process.exit import Stop, guarded, place_of, stop_on_signals
from party.process.hardening import harden_process
from party.reporting import result
from party.reporting.documents import (
    RECEIPT,
    Aligned,
    ColumnsDocument,
    Kept,
    ModelDocument,
    PartyReport,
    StatusDocument,
    Traffic,
    has_results,
    remove_results,
)
from party.reporting.expiry import Expiry
from party.reporting.queue import Queue, ended
from party.reporting.status import Log, Status
from party.runtime import Assignment, Name, Outcome, default_cache, train

if TYPE_CHECKING:
    from party.alignment import Identifiers
    from party.table import Table

_EXPIRES_SOON_S = 24 * 3600
_SWAPS = (
    "this machine swaps, and what this party holds may get there: "
    "lift the limit on locked memory (ulimit -l unlimited), or see that the swap is encrypted"
)
_AGAIN_S = 5.0

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Be one of the three parties of a job.",
)


@dataclass(frozen=True)
class Options:
    """What the command line says, before any of it is checked."""

    jobs: list[Path]
    config: Path
    keys: Path
    output: Path
    table: Path | None
    listen: str | None
    status: str | None
    runtime: Name
    cache: Path | None
    wait: float
    time_limit: float | None
    stay: bool
    approvals: Path | None
    image: str | None
    checkpoints: Path | None
    checkpoint_every: float
    rejoin_limit: float
    memory_limit: int | None
    spill: Path | None
    label_key: Path | None = None
    start: Path | None = None
    model: Path | None = None
    queue: bool = False
    several: bool = False
    kept: Path | None = None

    def of(self, job: Job, output: Path) -> Options:
        """For one job of several: each has its own files and approvals."""
        return replace(
            self,
            several=True,
            kept=self.output / DIRECTORY,  # of all jobs, so that one opens what another has kept
            output=output,
            checkpoints=None if self.checkpoints is None else self.checkpoints / job.name,
            approvals=None if self.approvals is None else self.approvals / job.name,
        )


JobOption = Annotated[
    Path, typer.Option("--job", help="The job, the same file for all.", show_default=False)
]
JobsOption = Annotated[
    list[Path],
    typer.Option(
        "--job",
        help="The job, the same file for all; several are done one after the other.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path, typer.Option("--config", help="The hosts map, config.json.", show_default=False)
]
KeysOption = Annotated[
    Path,
    typer.Option("--keys", help="Directory: ca.crt, tls.crt and tls.key.", show_default=False),
]
OutputOption = Annotated[
    Path, typer.Option("--output", help="Directory for status and results.", show_default=False)
]
TableOption = Annotated[
    Path | None, typer.Option("--table", help="This party's private table.", show_default=False)
]
ListenOption = Annotated[
    str | None,
    typer.Option("--listen", metavar="HOST:PORT", help="Default: the own entry in --config."),
]
StatusOption = Annotated[
    str | None, typer.Option("--status", metavar="HOST:PORT", help="Serve /healthz and so on.")
]
RuntimeOption = Annotated[Name, typer.Option("--runtime", help="How to train.")]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="Where plans are kept. Default: ~/.cache/tfe-kit."),
]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, metavar="SECONDS", help="For the other parties.")
]
LimitOption = Annotated[
    float | None,
    typer.Option("--time-limit", min=0.001, metavar="SECONDS", help="Of the training."),
]
StayOption = Annotated[
    bool,
    typer.Option("--stay", help="Stay up when done, until SIGTERM; run no job that is done again."),
]
QueueOption = Annotated[
    bool,
    typer.Option(
        "--queue", help="Each job has a directory of its own, if it is the only one, too."
    ),
]
ApprovalsOption = Annotated[
    Path | None,
    typer.Option("--approvals", help="Directory: the three approvals, where the job asks."),
]
LabelKeyOption = Annotated[
    Path | None,
    typer.Option("--label-key", metavar="FILE", help="Its key, where the job has privacy.labels."),
]
StartOption = Annotated[
    Path | None,
    typer.Option("--start", metavar="FILE", help="A former model.json, for training.start."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="Of a job that scores: model.json at the model's holder, columns.json at the other.",
    ),
]
ImageOption = Annotated[
    str | None,
    typer.Option("--image", metavar="DIGEST", help="Of the image that this is, for approvals."),
]
CheckpointsOption = Annotated[
    Path | None,
    typer.Option("--checkpoints", help="Directory, if keys has a checkpoint.key. In --output."),
]
EveryOption = Annotated[
    float,
    typer.Option("--checkpoint-every", min=0.001, max=3600, metavar="SECONDS", help="About."),
]
RejoinOption = Annotated[
    float,
    typer.Option("--rejoin-limit", min=0, metavar="SECONDS", help="For a lost party; 0: none."),
]
MemoryOption = Annotated[
    int | None,
    typer.Option("--memory-limit", min=1, metavar="MIB", help="Shares beyond it go to a file."),
]
SpillOption = Annotated[
    Path | None,
    typer.Option("--spill", help="Directory of that file, on a disk. Default: --output."),
]


def _holder(party: Party, summary: str) -> None:
    """The command of a party that holds a table."""

    @app.command(party, help=summary)
    def command(
        job: JobsOption,
        config: ConfigOption,
        keys: KeysOption,
        output: OutputOption,
        table: TableOption = None,
        listen: ListenOption = None,
        status: StatusOption = None,
        runtime: RuntimeOption = "sealed",
        cache: CacheOption = None,
        wait: WaitOption = 600.0,
        time_limit: LimitOption = None,
        stay: StayOption = False,
        approvals: ApprovalsOption = None,
        image: ImageOption = None,
        checkpoints: CheckpointsOption = None,
        checkpoint_every: EveryOption = 5.0,
        rejoin_limit: RejoinOption = 600.0,
        memory_limit: MemoryOption = None,
        spill: SpillOption = None,
        label_key: LabelKeyOption = None,
        start: StartOption = None,
        model: ModelOption = None,
        queue: QueueOption = False,
    ) -> None:
        options = Options(
            job,
            config,
            keys,
            output,
            table,
            listen,
            status,
            runtime,
            cache,
            wait,
            time_limit,
            stay,
            approvals,
            image,
            checkpoints,
            checkpoint_every,
            rejoin_limit,
            memory_limit,
            spill,
            label_key,
            start,
            model,
            queue,
        )
        play(party, options)


_holder("alice", "Hold columns, as alice in the job.")
_holder("bob", "Hold columns, as bob in the job.")


@app.command()
def server(
    job: JobsOption,
    config: ConfigOption,
    keys: KeysOption,
    output: OutputOption,
    listen: ListenOption = None,
    status: StatusOption = None,
    runtime: RuntimeOption = "sealed",
    cache: CacheOption = None,
    wait: WaitOption = 600.0,
    time_limit: LimitOption = None,
    stay: StayOption = False,
    approvals: ApprovalsOption = None,
    image: ImageOption = None,
    checkpoints: CheckpointsOption = None,
    checkpoint_every: EveryOption = 5.0,
    rejoin_limit: RejoinOption = 600.0,
    memory_limit: MemoryOption = None,
    spill: SpillOption = None,
    queue: QueueOption = False,
) -> None:
    """Help to compute, and hold nothing."""
    options = Options(
        job,
        config,
        keys,
        output,
        None,
        listen,
        status,
        runtime,
        cache,
        wait,
        time_limit,
        stay,
        approvals,
        image,
        checkpoints,
        checkpoint_every,
        rejoin_limit,
        memory_limit,
        spill,
        queue=queue,
    )
    play("server", options)


@app.command("status")
def show_status(output: OutputOption) -> None:
    """Print a party's status.json."""
    status = StatusDocument.read(output)
    if status is None:
        raise InputError("no party has started here", str(output), "look into its --output")
    _print_json(status.as_json())


@app.command("result")
def show_result(output: OutputOption) -> None:
    """Print the model of a job that is done, as JSON."""
    _print_json(result.read_model(output).as_json())


@app.command("score")
def serve_scores(
    party: Annotated[Holder, typer.Argument(help="Whose model and service it is.")],
    model: Annotated[Path, typer.Option("--model", help="Its model.json.", show_default=False)],
    job: JobOption,
    keys: KeysOption,
    serve: Annotated[
        str,
        typer.Option("--serve", metavar="HOST:PORT", help="Where to listen.", show_default=False),
    ],
) -> None:
    """Score single rows over HTTPS, until SIGTERM, for who has this party's identity.

    See docs/scoring.md for what to send.
    """
    from party.scoring.scorer import Scorer
    from party.scoring.service import Service

    stop_on_signals()
    address = _address(serve, "--serve")
    assert address is not None
    scorer, agreed = Scorer.read(model), load_job(job)
    if scorer.job != agreed.digest:
        hint = "give the job that the model was trained by"
        raise InputError("the model is not of this job", str(model), hint)
    own = load_keys(keys, agreed.domain, party)
    service = Service(bind(address, or_everywhere=False), scorer, own)
    harden_process()  # the keys are in place
    Log(party).say(f"serving scores at {address.host}:{service.port}")
    try:
        service.serve_forever()
    except Stop:
        service.server_close()


def _print_json(value: Any) -> None:
    escaped = not streams.takes_unicode(sys.stdout)
    print(json.dumps(value, indent=2, ensure_ascii=escaped))


def play(party: Party, options: Options) -> None:
    """A party's whole life: check everything, train, write down what came of it."""
    unswapped = harden_process()
    stop_on_signals()
    streams.outlive()
    log = Log(party)
    if not unswapped:
        log.say(_SWAPS)
    jobs = load_queue(options.jobs)
    if len(jobs) > 1 and options.runtime == "tensorflow":
        what = "the tensorflow runtime does one job, and there are several"
        raise InputError(what, "--runtime", "leave it out, or give one --job")
    hosts = load_hosts(options.config)
    listen = _address(options.listen, "--listen") or hosts[PARTIES.index(party)]
    probe = _address(options.status, "--status")
    if options.spill is not None and options.memory_limit is None:
        hint = "say --memory-limit, or leave it out"
        raise InputError("without a limit no share goes to a file", "--spill", hint)
    place = _Place(hosts, listen, log)
    with files.owned(options.output, "party"):
        if len(jobs) > 1 or options.queue:
            _do_all(party, options, Queue(options.output, jobs, party), place, probe)
            return
        (job,) = jobs
        if options.stay and (former := ended(options.output, job)) is not None:
            if former.phase == "done":
                clear(_checkpoints(options))  # who was killed in between had not
            with _probed(probe, lambda: former, {}):
                log.say(_ENDED[former.phase], ended=former.updated)
                _stay()
            return
        _see_to_former(options, job)
        status = Status(options.output, job, party, log)
        with _probed(probe, status.snapshot, place.traffic), _staying(options):
            _do(party, options, job, place, status)


@contextmanager
def _staying(options: Options) -> Iterator[None]:
    """Whoever is to stay does so behind the block, a wrong model or not."""
    try:
        yield
    except WrongModelError:
        if not options.stay:
            raise
    if options.stay:
        _stay()


@dataclass(frozen=True)
class Later:
    """A job of a queue that comes after the one at hand.

    Attributes:
        part: what it scores by, where an earlier job leaves it.
        awaits_model: whether that one is not done, so that nothing is there yet.
    """

    job: Job
    part: Path | None = None
    awaits_model: bool = False

    def reading(self, party: Party) -> str:
        """The same of two jobs that take the same of a table and refuse the same."""
        from party.table.expected import Expected

        job = self.job
        takes_more = job.privacy is not None or job.part is not None or job.starts
        if takes_more or (job.scores is not None and not self.awaits_model):
            return job.digest
        kinds = {"align", "evaluation", "model", "statistics", "training"}
        how_long = {"training": {"passes", "tolerance", "epochs", "order_seed"}}
        more = job.model_dump_json(include=kinds, exclude=how_long)
        return f"{self.awaits_model} {Expected.of(job, party).to_json()} {more}"


@dataclass(frozen=True)
class _Place:
    """What a party has whatever its job.

    Attributes:
        queue: the jobs that it does one after the other; empty where there is one.
        later: those of them for which tables are to be looked at before the first begins.
        part: what the job at hand scores by, where an earlier one leaves it.
        begun_s: age of the process when the party came to the job at hand.
    """

    hosts: Hosts
    listen: Address
    log: Log
    traffic: dict[str, int] = field(default_factory=dict)
    queue: tuple[Job, ...] = ()
    later: tuple[Later, ...] = ()
    part: Path | None = None
    begun_s: float = 0.0


def _do_all(
    party: Party, options: Options, queue: Queue, place: _Place, probe: Address | None
) -> None:
    """Several jobs, each in a directory of its own, from the first that is not done. One that fails
    ends the party, as a single one does."""
    log, failed = place.log, queue.snapshot().phase == "failed"
    queue.snapshot().write(options.output, 0o644)  # of this list, which may be another than it was
    with _probed(probe, queue.snapshot, place.traffic):
        for job in queue.jobs:
            if job not in queue.left:
                log.say(f"the job {job.name!r} was done before")
                clear(_checkpoints(options.of(job, queue.directory(job))))
        if failed and options.stay:
            log.say(_ENDED["failed"], job=queue.left[0].name)
        undone = [queue.directory(job) for job in queue.left]
        later = tuple(
            Later(one, _left_by_training(queue, one, party), queue.trained(one) in undone)
            for one in queue.left[1:]
        )
        with _staying(options):
            for n, job in enumerate(() if failed and options.stay else queue.left):
                if n:
                    _forget()
                log.job = job.name
                place.traffic.clear()
                own = options.of(job, queue.directory(job))
                with files.owned(own.output, "party"):
                    _see_to_former(own, job)
                    status = Status(own.output, job, party, log, queue.show)
                    queue.follow(status.snapshot)
                    here = replace(
                        place,
                        queue=queue.jobs,
                        later=() if n else later,
                        part=_left_by_training(queue, job, party),
                        begun_s=result.process_age_s() if n else 0.0,
                    )
                    _do(party, own, job, here, status)


def _left_by_training(queue: Queue, job: Job, party: Party) -> Path | None:
    """What the party scores rows by, where an earlier job of the queue trains the model."""
    trained = queue.trained(job)
    if trained is None or job.scores is None:
        return None
    return trained / (ModelDocument.NAME if party == job.scores.holder else ColumnsDocument.NAME)


def _do(party: Party, options: Options, job: Job, place: _Place, status: Status) -> None:
    status.watch_certificate(Expiry(options.keys))
    for path, option in ((options.start, "--start"), (options.model, "--model")):
        if path is not None and path.resolve().parent == options.output.resolve():
            what = "what is in this directory makes room for results, the model among it"
            raise InputError(what, "--output", f"name another directory than that of {option}")
    with _told(status):
        if not _has_opened(options, job):
            remove_results(options.output)
        _train(party, options, job, place, status)


def _has_opened(options: Options, job: Job) -> bool:
    """Whether a result that is here may be of this very job."""
    try:
        return bool(Ledger(options.output / NAME).runs_opened(job.digest))
    except InputError:
        return True  # whoever looks whether the party may begin says what is wrong


def _see_to_former(options: Options, job: Job) -> None:
    """That no result is removed which none may bring back, and the party said to be done as it was.
    Who has a point was ended before it was done, and may go on; or was done, and ended before it
    had removed the point. Who stays looks, and says so, until it may begin (``_ready``)."""
    if options.stay:
        return
    former = ended(options.output, job)
    done = former is not None and former.phase == "done"
    if has_results(options.output) and (done or not begun(_checkpoints(options))):
        see_to_rest(job, options.output, options.approvals, versions()["kit"], options.image)


def _train(party: Party, options: Options, job: Job, place: _Place, status: Status) -> None:
    log, traffic = place.log, place.traffic
    started_s = result.process_age_s() - place.begun_s
    store = _store(party, options, job, log)
    own = _ready(party, options, job, status, store, place)
    table, kept = own.table, own.kept
    remove_results(options.output)  # not before the party may begin: none might bring them back
    opened = None if job.kept is None else kept
    if table is not None and table.notice is not None:
        log.say(f"notice: {table.notice}")
    for doubt in own.doubts:
        log.say(f"warning: {doubt}")
    if (left := (own.keys.expires - datetime.now(UTC)).total_seconds()) < _EXPIRES_SOON_S:
        log.say(f"the certificate expires in {left / 3600:.1f} h")

    outcome = train(
        options.runtime,
        Assignment(
            job=job,
            party=party,
            hosts=place.hosts,
            keys=own.keys,
            table=table,
            identifiers=own.identifiers,
            listen=place.listen,
            cache=options.cache or default_cache(),
            wait_s=options.wait,
            time_limit_s=options.time_limit,
            status=status,
            traffic=traffic,
            permit=own.permit,
            checkpoints=store,
            checkpoint_every_s=options.checkpoint_every,
            rejoin_s=options.rejoin_limit,
            kept=kept,
            queue=place.queue,
            memory_limit_bytes=None if options.memory_limit is None else options.memory_limit << 20,
            spill=options.spill or options.output,
        ),
    )
    job = outcome.job or job  # with the number of rows that an alignment has found
    if opened is not None and (sizes := opened.sizes) is not None:
        job = AlignedJob.of(job, sizes)  # which was before the model was kept
        outcome.alignment = Aligned(sizes=sizes, align_s=0.0, bytes_sent=0, bytes_received=0)
    outcome.times = outcome.times.also(start_s=started_s, table_s=own.read_s)
    if job.scores is None and table is not None and table.mean is not None:
        result.write_columns(options.output, job, HOLDERS[PARTIES.index(party)], table)
    if outcome.opened and job.scores is not None:
        from party.scoring.joint import write_scores

        path = write_scores(options.output, job, outcome.opened, outcome.order)
        log.say("the scores are written", path=str(path))
    elif outcome.opened:
        assert table is not None
        path = result.write_model(
            options.output,
            job,
            party,
            outcome.opened,
            table,
            outcome.plan_digest,
            versions(),
            own.doubts,
            (outcome.steps or None) if opened is None else opened.steps,
            outcome.settled if opened is None else opened.settled,
            outcome.unsettled,
        )
        log.say("the model is written, and its health with it", path=str(path))
    part = None
    if job.result == "kept":
        mine = KeptModel.of(
            job,
            outcome.plan_digest,
            outcome.run,
            outcome.steps or job.steps,
            outcome.settled,
            outcome.kept,
            table,
        )
        part = Kept(name=mine.name, sha256=_kept_models(party, options).keep(mine))
        log.say("the model is kept on shares: this party's part is sealed", name=part.name)
    elif outcome.kept:
        path = result.write_shares(options.output, job, outcome.kept, outcome.plan_digest)
        log.say("nobody gets the model: this party's shares of it are written", path=str(path))
    table_bytes = 0 if table is None else table.nbytes
    report = _write_report(options, party, job, outcome, place, table_bytes, part)
    _write_receipt(options, party, job, outcome, own.permit, report)
    # In this order: who is killed between the two is done, and does not look for the others.
    status.enter("done", "done", step=outcome.steps or job.steps, epoch=job.epochs)
    store.clear()
    if outcome.opened and job.scores is None and sys.stdout.isatty():
        # Only for eyes: whatever collects the output of processes is not to have the model.
        model = result.read_model(options.output)
        print(result.weights_table(model))
        for line in result.lines_below(model):
            print(line)


def _is_file(path: Path) -> bool:
    """Whether there is something, and no directory; not where nobody may look."""
    try:
        return not S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _checkpoints(options: Options) -> Path:
    return options.checkpoints or options.output / "checkpoints"


def _store(party: Party, options: Options, job: Job, log: Log) -> Store:
    """Where the party keeps checkpoints, if it has a key for them."""
    key = None if options.runtime == "tensorflow" else read_checkpoint_key(options.keys)
    if key is None and options.runtime != "tensorflow":
        log.say(
            f"notice: the keys have no {CHECKPOINT_KEY}, so that no checkpoint is written: a run "
            "that loses a peer goes on from memory, and one that is restarted begins again"
        )
    where = _checkpoints(options)
    if key is not None and _is_file(where):
        what = "no checkpoint can be kept there: it is no directory"
        raise InputError(what, str(where), "give --checkpoints a directory, or a place for one")
    return Store(where, key, party, job.digest, versions()["kit"], log.say)


@dataclass(frozen=True)
class _Own:
    """What a party brings to a job, looked at and as it must be.

    Attributes:
        doubts: warnings about the job and the table.
        kept: its part of the kept model that the job opens, or begins from.
        read_s: how long it took to read all of it.
    """

    keys: Keys
    table: Table | None
    identifiers: Identifiers | None
    doubts: tuple[str, ...]
    kept: KeptModel | None
    permit: Permit
    read_s: float


def _ready(
    party: Party, options: Options, job: Job, status: Status, store: Store, place: _Place
) -> _Own:
    """What the party brings to the job.

    A party that stays looks again until all are as they must be: on Kubernetes, Secrets may come
    after the pod, and are mended under it.
    """
    said: str | None = None
    while True:
        begin = time.monotonic()
        try:
            keys = load_keys(options.keys, job.domain, party, pins=job.identities)
            table = identifiers = None
            doubts = job.doubts
            kept = _part(party, options, job)
            if job.result == "kept":
                _kept_models(party, options)  # before any work is done
            _see_to_later(party, options, job, status, place)
            if job.kept is None and party in job.holders:
                own = replace(options, model=place.part or options.model)
                table, identifiers, doubts = _load(own, job, party, status, kept)
            digest = None if table is None else table.digest
            if job.kept is not None and kept is not None and party in job.holders:
                table = kept.table()
            store.of_table(digest)
            about = versions()["kit"], options.image
            points = store.points()
            behind = [one.lineage for one in points if one.opening]
            if job.matches and not behind and (rows := store.rows()) is not None:
                behind = [rows.lineage]  # the first opening was how many rows are in common
            permit = permitted(
                job,
                party,
                options.output,
                options.approvals,
                digest,
                *about,
                resumes=behind[-1] if behind else None,
                has_all=bool(points) and points[-1].final,
            )
            read_s = time.monotonic() - begin
            return _Own(keys, table, identifiers, doubts, kept, permit, read_s)
        except InputError as error:
            if not options.stay:
                raise
            if said != (said := str(error)):
                phase = status.snapshot().phase
                status.enter(phase, error.what, where=error.where, hint=error.hint)
        time.sleep(_AGAIN_S)


def _see_to_later(party: Party, options: Options, job: Job, status: Status, place: _Place) -> None:
    """That what the party has fits the later jobs of a queue, too: nobody is to learn after hours
    that it does not. Of a table nothing is kept, and jobs that take the same of it look at it
    once. Opened models are left out: an earlier job may be the one that keeps them."""
    seen: set[str] = set()
    if job.kept is None and party in job.holders:
        seen.add(Later(job).reading(party))  # it comes next
    for later in place.later:
        one = later.job
        if one.kept is not None:
            continue
        try:
            part = _part(party, options, one)
            if party not in one.holders:
                continue
            table = _table_of(options, party)
            if (reading := later.reading(party)) in seen:
                continue
            if later.awaits_model:
                from party.scoring.joint import see_to_rows

                _reads_table(status)
                see_to_rows(table, one, party)
            else:
                own = replace(options, model=later.part or options.model)
                _load(own, one, party, status, part)
            seen.add(reading)
        except InputError as error:
            what = f"for {one.name!r}, a later job of the list: {error.what}"
            raise InputError(what, error.where, error.hint) from None


def _kept_models(party: Party, options: Options) -> KeptModels:
    return KeptModels(
        options.kept or options.output / DIRECTORY, read_checkpoint_key(options.keys), party
    )


def _part(party: Party, options: Options, job: Job) -> KeptModel | None:
    """The party's part of the kept model that a job opens, or begins from."""
    if job.part is None:
        return None
    part = _kept_models(party, options).take(job.part)
    if job.kept is not None:
        part.see_to_fit(job, party)
    else:
        part.see_to_start(job, party)
    return part


def _load(
    options: Options, job: Job, party: Party, status: Status, part: KeptModel | None
) -> tuple[Table, Identifiers | None, tuple[str, ...]]:
    """What the party takes part with, and what can hardly be meant of it. Raises InputError for
    whatever does not fit the job, its steps on this table among it."""
    from party.alignment import load_for
    from party.scoring.former import kept_start_of, start_of
    from party.table import by_training_rows, with_noise, with_private_labels

    def mine(path: Path | None, taken: bool) -> Path | None:
        """What a job takes. One that takes nothing refuses it, if no other job can be meant."""
        return path if taken or not options.several else None

    path = _table_of(options, party)
    _reads_table(status)
    label_key = mine(options.label_key, job.label_privacy is not None)
    if job.scores is not None:
        from party.scoring.joint import load_identified

        if label_key is not None:
            raise InputError("the job has no label", "--label-key", "leave it out")
        return *load_identified(path, options.model, job, party), job.doubts
    if mine(options.model, False) is not None:
        what = "the job trains a model, and takes none"
        raise InputError(what, "--model", "leave it out, or give a job of the model joint-scores")
    table, identifiers = load_for(path, job, party)
    table = by_training_rows(table, job, party)
    named = None if identifiers is None else identifiers.by_row
    table = with_private_labels(table, job, party, label_key, named)
    table = with_noise(table, job)
    former = mine(options.start, job.starts and bool(job.features_of(party)))
    start = start_of(former, job, party, table)
    if part is not None:
        start = kept_start_of(part, job, party, table)
    return replace(table, start=start), identifiers, result.doubts(job, party, table)


def _table_of(options: Options, party: Party) -> Path:
    if options.table is None:
        raise InputError(f"{party} holds a table in this job", "--table", "give its file")
    return options.table


def _reads_table(status: Status) -> None:
    if status.snapshot().phase != "table":
        status.enter("table", "reading the table")


def _write_report(
    options: Options,
    party: Party,
    job: Job,
    outcome: Outcome,
    place: _Place,
    table_bytes: int,
    kept: Kept | None,
) -> Path:
    report = PartyReport(
        party=party,
        job=job.digest,
        plan=outcome.plan_digest,
        run=outcome.run,
        protocol=job.protocol,
        runtime=options.runtime,
        versions=versions(),
        times=outcome.times.also(whole_s=result.process_age_s() - place.begun_s),
        steps=outcome.steps or None,
        traffic=Traffic.model_validate(place.traffic) if place.traffic else None,
        peak_bytes=result.peak_bytes(),
        table_bytes=table_bytes,
        peer_keys={party: key for party, (key, _) in outcome.peers.items()},
        alignment=outcome.alignment,
        kept=kept,
        **outcome.figures.model_dump(),
    )
    return report.write(options.output)


def _write_receipt(
    options: Options, party: Party, job: Job, outcome: Outcome, permit: Permit, report: Path
) -> None:
    """What the party signs of its run, for ``deployer receipt merge``."""
    if outcome.keys is None:
        return
    facts = {"job": job.digest, "plan": outcome.plan_digest, "run": outcome.run}
    facts["report"] = hashlib.sha256(report.read_bytes()).hexdigest()
    done = permit.ledger.append("done", approvals=permit.digests, **facts)
    statement = Statement.made(
        outcome.keys,
        outcome.peers,
        party,
        kit=versions()["kit"],
        steps=outcome.steps,
        settled=outcome.settled,
        approvals=permit.digests,
        opened=tuple(sorted(outcome.opened)),
        ledger=done.hash,
        **facts,
    )
    files.replace(options.output / RECEIPT, statement.signed(outcome.keys).text(), mode=0o644)


def _address(text: str | None, option: str) -> Address | None:
    if text is None:
        return None
    try:
        return Address.parse(text)
    except ValueError as error:
        raise InputError(f"{text[:80]!r} {error}", option, "write it as host:port") from None


@contextmanager
def _probed(address: Address | None, snapshot: Any, traffic: dict[str, int]) -> Iterator[None]:
    if address is None:
        yield
        return
    from party.reporting.probes import Probes

    probes = Probes(bind(address, or_everywhere=False), snapshot, lambda: dict(traffic))
    try:
        yield
    finally:
        probes.close()


@contextmanager
def _told(status: Status) -> Iterator[None]:
    """Whatever ends the party is in its status before it is at the exit."""
    try:
        yield
    except Stop:
        phase = status.snapshot().phase
        failure = JobError(f"stopped while {_DOING.get(phase, phase)}", cause="stopped")
        _fail(status, failure.what, cause=failure.cause)
        raise failure from None
    except KitError as failure:
        final = isinstance(failure, WrongModelError)
        told = {"where": failure.where, "hint": failure.hint, "cause": failure.cause}
        _fail(status, failure.what, **told, **({"final": True} if final else {}))
        raise
    except MemoryError:
        lack = JobError("out of memory", hint=_MEMORY, cause="out-of-memory")
        _fail(status, lack.what, hint=lack.hint, cause=lack.cause)
        raise lack from None
    except Exception as error:
        _fail(status, f"internal error: {place_of(error)}", cause="internal")
        raise


def _fail(status: Status, what: str, **told: Any) -> None:
    """How the party ends, in its status. A signal meanwhile comes too late to change it."""
    while True:
        try:
            status.enter("failed", what, **told)
            return
        except Stop:
            continue


_ENDED = {
    "done": "this job was done before",
    "failed": "this job failed before, and would again: its model was wrong",
}

_DOING = {
    "starting": "starting",
    "table": "reading the table",
    "plan": "preparing the plan",
    "joining": "waiting for the others",
    "aligning": "aligning the tables",
    "rejoining": "looking for a party that was lost",
}

_MEMORY = "give this party more memory: deployer estimate says how much it takes"


def _forget() -> None:
    """What a job brought is gone with it. An error that was mended on the way refers to all of it
    by its traceback, in a circle, and who waits for nothing but a signal never looks for those.

    In a thread of its own, since a stop that is raised while objects are finalised is dropped."""
    collecting = Thread(target=gc.collect)
    collecting.start()
    collecting.join()


def _stay() -> None:
    """Until asked to end."""
    try:
        _forget()
        while True:
            signal.pause()
    except Stop:
        return


def main() -> None:
    """The ``party`` entry point."""
    streams.settle()
    sys.exit(guarded(_main))


def _main() -> None:
    children.end_with_parent(signal.SIGTERM)
    typer.main.get_command(app)(prog_name="party")
