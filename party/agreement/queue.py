"""Several jobs that three parties do one after the other, with the same keys and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from party.agreement.job import Job, load_job
from party.process.errors import InputError


def load_queue(paths: Sequence[Path]) -> tuple[Job, ...]:
    """The jobs in some files, in their order; one is the usual case.

    Raises InputError for what is no job, and for jobs that no party could do one after the other:
    two of one name, or of different keys.
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
    return tuple(jobs)
