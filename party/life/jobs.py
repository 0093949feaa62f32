"""A party's whole life, job by job."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from party.agreement.hosts import Address, load_hosts
from party.agreement.job import PARTIES, Job, Party
from party.agreement.queue import load_queue
from party.approval import Ledger, see_to_rest
from party.approval.ledger import NAME
from party.channel import listen as bind
from party.channel import versions
from party.checkpoints import begun, remove
from party.identity import CHECKPOINT_KEY
from party.life.bringing import ready
from party.life.endings import ENDED, forget, stay, staying, told_in
from party.life.leaving import leave
from party.life.options import Options, address
from party.life.place import Later, Place
from party.process import files, streams
from party.process.errors import InputError, JobError
from party.process.exit import stop_on_signals
from party.process.hardening import harden_process
from party.reporting import result
from party.reporting.documents import (
    ColumnsDocument,
    ModelDocument,
    has_results,
    remove_results,
)
from party.reporting.events import Tell, on_the_pod
from party.reporting.expiry import Expiry
from party.reporting.queue import Queue, ended
from party.reporting.status import Log, Status
from party.runtime import Assignment, default_cache, train

_EXPIRES_SOON_S = 24 * 3600
_SWAPS = (
    "this machine swaps, and what this party holds may get there: "
    "lift the limit on locked memory (ulimit -l unlimited), or see that the swap is encrypted"
)


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
    listen = address(options.listen, "--listen") or hosts[PARTIES.index(party)]
    probe = address(options.status, "--status")
    if options.spill is not None and options.memory_limit is None:
        hint = "say --memory-limit, or leave it out"
        raise InputError("without a limit no share goes to a file", "--spill", hint)
    place = Place(hosts, listen, log)
    with files.owned(options.output, "party"), on_the_pod(log.say) as tell:
        if len(jobs) > 1 or options.queue:
            _do_all(party, options, Queue(options.output, jobs, party), place, probe, tell)
            return
        (job,) = jobs
        if options.stay and (former := ended(options.output, job)) is not None:
            if former.phase == "done":
                remove(options.own_checkpoints)  # who was killed in between had not
            with _probed(probe, lambda: former, {}):
                log.say(ENDED[former.phase], ended=former.updated)
                tell(former)
                stay()
            return
        _see_to_former(options, job)
        status = Status(options.output, job, party, log, told=tell)
        with _probed(probe, status.snapshot, place.traffic), staying(options.stay):
            _do(party, options, job, place, status)


def _do_all(
    party: Party,
    options: Options,
    queue: Queue,
    place: Place,
    probe: Address | None,
    tell: Tell,
) -> None:
    """Several jobs, each in a directory of its own, from the first that is not done. One that fails
    ends the party, as a single one does."""
    log, failed = place.log, queue.snapshot().phase == "failed"
    try:
        queue.snapshot().write(options.output, 0o644)  # of this list, which may be another by now
    except JobError as error:
        if error.cause != "disk-full":  # which ends no run: see ``Status``
            raise
    with _probed(probe, queue.snapshot, place.traffic):
        for job in queue.jobs:
            if job not in queue.left:
                log.say(f"the job {job.name!r} was done before")
                remove(options.of(job, queue.directory(job)).own_checkpoints)
        if failed and options.stay:
            log.say(ENDED["failed"], job=queue.left[0].name)
        if options.stay and (failed or not queue.left):
            tell(queue.snapshot())
        undone = [queue.directory(job) for job in queue.left]
        later = tuple(
            Later(one, _left_by_training(queue, one, party), queue.trained(one) in undone)
            for one in queue.left[1:]
        )
        with staying(options.stay):
            for n, job in enumerate(() if failed and options.stay else queue.left):
                if n:
                    forget()
                log.job = job.name
                place.traffic.clear()
                own = options.of(job, queue.directory(job))
                with files.owned(own.output, "party"):
                    _see_to_former(own, job)
                    told = partial(tell, job=job.name)
                    status = Status(own.output, job, party, log, queue.show, told)
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


def _do(party: Party, options: Options, job: Job, place: Place, status: Status) -> None:
    status.watch_certificate(Expiry(options.keys))
    for path, option in ((options.start, "--start"), (options.model, "--model")):
        if path is not None and path.resolve().parent == options.output.resolve():
            what = "what is in this directory makes room for results, the model among it"
            raise InputError(what, "--output", f"name another directory than that of {option}")
    with told_in(status):
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
    had removed the point. Who stays looks, and says so, until it may begin (``ready``)."""
    if options.stay:
        return
    former = ended(options.output, job)
    done = former is not None and former.phase == "done"
    if has_results(options.output) and (done or not begun(options.own_checkpoints)):
        see_to_rest(job, options.output, options.approvals, versions()["kit"], options.image)


def _train(party: Party, options: Options, job: Job, place: Place, status: Status) -> None:
    log, traffic = place.log, place.traffic
    started_s = result.process_age_s() - place.begun_s
    own = ready(party, options, job, status, place)
    table, kept, store = own.table, own.kept, own.store
    if not store.on_disk and options.runtime != "tensorflow":
        log.say(
            f"notice: the keys have no {CHECKPOINT_KEY}, so that no checkpoint is written: a run "
            "that loses a peer goes on from memory, and one that is restarted begins again"
        )
    remove_results(options.output)  # not before the party may begin: none might bring them back
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
    outcome.times = outcome.times.also(start_s=started_s, table_s=own.read_s)
    job = leave(party, options, job, place, own, outcome)
    # In this order: who is killed between the two is done, and does not look for the others.
    status.enter("done", "done", step=outcome.steps or job.steps, epoch=job.epochs)
    store.clear()
    if outcome.opened and job.scores is None and sys.stdout.isatty():
        # Only for eyes: whatever collects the output of processes is not to have the model.
        model = result.read_model(options.output)
        print(result.weights_table(model))
        for line in result.lines_below(model):
            print(line)


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
