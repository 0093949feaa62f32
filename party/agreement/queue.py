"""Several jobs that three parties do one after the other, with the same keys and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from party.agreement.job import Job, load_job
from party.process.errors import InputError


def load_queue(paths: Sequence[Path]) -> tuple[Job, ...]:
    """The jobs in some files, in their order; one is the usual case.

    Raises InputError for what is no job, and for jobs that no party could do one after the other:
    two of one name, or of different keys, or one that scores by a model which the job before it
    gives to another.
    """
    jobs = [load_job(path) for path in paths]
    first = jobs[0]
    for n, (job, path) in enumerate(zip(jobs, paths, strict=True)):
        if job.name in [one.name for one in jobs[:n]]:
            what = f"two jobs have the name {job.name!r}, by which their files are told apart"
            raise InputError(what, str(path), "give each job a name of its own")
        if (job.domain, job.identities) != (first.domain, first.identities):
            hint = f"say trust_domain: {first.domain} in each job, and the same identities, or none"
            what = f"the job {job.name!r} is for other keys than {first.name!r}"
            raise InputError(what, str(path), hint)
        for trained in jobs[:n]:
            if words := withheld(job, trained):
                hint = f"say another result in {trained.name!r}, and its new digest in trained_by"
                raise InputError(words, str(path), hint)
    return tuple(jobs)


def withheld(job: Job, trained: Job) -> str | None:
    """What is wrong where a job scores by the model that another one trains, and that does not give
    it to whose the job says it is."""
    if job.scores is None or job.scores.trained_by != trained.digest:
        return None
    holder = job.scores.holder
    if trained.result in (holder, "both"):
        return None
    return f"{job.name!r} scores by a model of {holder}'s, and {trained.name!r} does not give it"
