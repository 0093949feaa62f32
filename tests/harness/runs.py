"""Whole runs on this machine whose plan is there before they begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deployer.local.run import Result, run_local
from party.agreement.job import AlignedJob, Job, Sizes
from tests.harness.plans import cached


def run_planned(
    job: Job,
    files: dict[str, Path],
    output: Path,
    cache: Path,
    common: int | None = None,
    **more: Any,
) -> Result:
    """``run_local``, with a plan that is made once for all tests of it, where there is a TensorFlow
    already. Of rows that are matched each of the three would make its own.

    Args:
        common: so many rows of both tables are matched, if the job matches them.
    """
    known = job
    if job.matches:
        rows = {party: len(file.read_bytes().splitlines()) - 1 for party, file in files.items()}
        known = AlignedJob.of(job, Sizes(**rows, common=common))
    cached(known, cache)
    return run_local(job, files, output, cache=cache, **more)
