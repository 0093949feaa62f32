"""What a party leaves of a job that is done: its result, its report, its receipt."""

from __future__ import annotations

import hashlib
from pathlib import Path

from party.agreement.job import HOLDERS, PARTIES, AlignedJob, Job, Party
from party.approval import Permit
from party.approval.receipt import Statement
from party.channel import versions
from party.checkpoints import KeptModel
from party.life.bringing import Own, kept_models
from party.life.options import Options
from party.life.place import Place
from party.process import files
from party.reporting import result
from party.reporting.documents import RECEIPT, Aligned, Kept, PartyReport, Traffic
from party.runtime import Outcome


def leave(
    party: Party, options: Options, job: Job, place: Place, own: Own, outcome: Outcome
) -> Job:
    """Write down all that the party has of a job. Returns the job with the number of rows that an
    alignment has found. Raises WrongModelError where what was opened is no model."""
    job, table, log = outcome.job or job, own.table, place.log
    opened = own.kept if job.kept is not None else None
    if opened is not None and (sizes := opened.sizes) is not None:
        job = AlignedJob.of(job, sizes)  # which was before the model was kept
        outcome.alignment = Aligned(sizes=sizes, align_s=0.0, bytes_sent=0, bytes_received=0)
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
        part = Kept(name=mine.name, sha256=kept_models(party, options).keep(mine))
        log.say("the model is kept on shares: this party's part is sealed", name=part.name)
    elif outcome.kept:
        path = result.write_shares(options.output, job, outcome.kept, outcome.plan_digest)
        log.say("nobody gets the model: this party's shares of it are written", path=str(path))
    table_bytes = 0 if table is None else table.nbytes
    report = _write_report(options, party, job, outcome, place, table_bytes, part)
    _write_receipt(options, party, job, outcome, own.permit, report)
    return job


def _write_report(
    options: Options,
    party: Party,
    job: Job,
    outcome: Outcome,
    place: Place,
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
