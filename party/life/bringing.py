"""What a party brings to a job: its keys, its table, its part of a kept model, its permit."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING

from party.agreement.job import Job, Party
from party.approval import Permit, permitted
from party.channel import versions
from party.checkpoints import KeptModel, KeptModels, Store
from party.checkpoints.kept import DIRECTORY
from party.identity import Keys, load_keys, read_checkpoint_key
from party.life.options import Options
from party.life.place import Later, Place
from party.process.errors import InputError
from party.reporting import result
from party.reporting.status import Log, Status

if TYPE_CHECKING:
    from party.alignment import Identifiers
    from party.table import Table

_AGAIN_S = 5.0


@dataclass(frozen=True)
class Own:
    """What a party brings to a job, looked at and as it must be.

    Attributes:
        doubts: warnings about the job and the table.
        kept: its part of the kept model that the job opens, or begins from.
        store: where it keeps checkpoints.
        read_s: how long it took to read all of it.
    """

    keys: Keys
    table: Table | None
    identifiers: Identifiers | None
    doubts: tuple[str, ...]
    kept: KeptModel | None
    permit: Permit
    store: Store
    read_s: float


def ready(party: Party, options: Options, job: Job, status: Status, place: Place) -> Own:
    """What the party brings to the job.

    A party that stays looks again until all are as they must be: on Kubernetes, Secrets may come
    after the pod, and are mended under it.
    """
    said: str | None = None
    while True:
        begin = time.monotonic()
        try:
            keys = load_keys(options.keys, job.domain, party, pins=job.identities)
            store = _store(party, options, job, place.log)  # by a key that comes with them
            table = identifiers = None
            doubts = job.doubts
            kept = _part(party, options, job)
            if job.result == "kept":
                kept_models(party, options)  # before any work is done
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
            status.kept(store.newest if points else None)
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
            return Own(keys, table, identifiers, doubts, kept, permit, store, read_s)
        except InputError as error:
            if not options.stay:
                raise
            if said != (said := str(error)):
                phase = status.snapshot().phase
                status.enter(phase, error.what, where=error.where, hint=error.hint)
        time.sleep(_AGAIN_S)


def _store(party: Party, options: Options, job: Job, log: Log) -> Store:
    """Where the party keeps checkpoints, if it has a key for them."""
    key = None if options.runtime == "tensorflow" else read_checkpoint_key(options.keys)
    where = options.own_checkpoints
    if key is not None and _is_file(where):
        what = "no checkpoint can be kept there: it is no directory"
        raise InputError(what, str(where), "give --checkpoints a directory, or a place for one")
    return Store(where, key, party, job.digest, versions()["kit"], log.say)


def _is_file(path: Path) -> bool:
    """Whether there is something, and no directory; not where nobody may look."""
    try:
        return not S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _see_to_later(party: Party, options: Options, job: Job, status: Status, place: Place) -> None:
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
            table = options.table_of(party)
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


def kept_models(party: Party, options: Options) -> KeptModels:
    return KeptModels(
        options.kept or options.output / DIRECTORY, read_checkpoint_key(options.keys), party
    )


def _part(party: Party, options: Options, job: Job) -> KeptModel | None:
    """The party's part of the kept model that a job opens, or begins from."""
    if job.part is None:
        return None
    part = kept_models(party, options).take(job.part)
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

    path = options.table_of(party)
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


def _reads_table(status: Status) -> None:
    if status.snapshot().phase != "table":
        status.enter("table", "reading the table")
