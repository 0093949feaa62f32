"""A party's schedule, from the cache or made in a process of its own.

TensorFlow is imported only in that process, which ends before the run begins: the party itself
stays small, and nothing of TensorFlow is there to be reached while it runs.
"""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from party.agreement.job import PARTIES, Job, job_from_json
from party.plan.parameters import PlanParameters
from party.process import children
from party.process.errors import ErrorDocument, JobError, KitError
from party.process.exit import internal
from party.schedule import cache as store
from party.schedule.schedule import Schedule

if TYPE_CHECKING:
    from party.audit import Report

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, eq=False)
class Prepared:
    """A schedule of an audited plan, verified, and how it was come by.

    Attributes:
        schedule: proved in bounds.
        from_cache: whether it was there already.
        import_s, build_s: seconds for importing TensorFlow, and for building, cutting and lowering;
            0 where it was there already.
    """

    schedule: Schedule
    from_cache: bool
    import_s: float
    build_s: float


def prepared(job: Job, party: int, cache: Path) -> Prepared:
    """The schedule of a party for a job.

    Raises:
        JobError: it cannot be built, or the cached one is damaged.
    """
    file = store.path(cache, PlanParameters.of(job), party)
    found = store.load(file, party)
    if found is not None:
        return Prepared(found, True, 0.0, 0.0)
    times = build_schedules(job, cache, [party])
    made = store.load(file, party)
    if made is None:
        raise JobError("the builder left no schedule", str(file))
    return Prepared(made, False, *times)


def is_cached(job: Job, cache: Path) -> bool:
    """Whether the schedules of all parties are there."""
    parameters = PlanParameters.of(job)
    return all(store.path(cache, parameters, p).exists() for p in range(len(PARTIES)))


def build_schedules(
    job: Job, cache: Path, parties: Sequence[int], meanwhile: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Builds the plan once and writes the schedules of some parties to the cache.

    Args:
        meanwhile: called several times a second; what it raises ends the builder.

    Returns:
        Seconds for the import of TensorFlow, and for the rest.

    Raises:
        JobError: the builder failed; its own words are passed on.
    """
    answer = _ask_builder(job, cache, parties, meanwhile)
    return float(answer["import_s"]), float(answer["build_s"])


def audited(job: Job) -> dict[str, Any]:
    """What the audit of the job's plan found (``party.audit.Report.as_json``); nothing is kept.

    Raises:
        JobError: the builder failed, or the audit refuses the plan.
    """
    report: dict[str, Any] = _ask_builder(job, Path(), [])["audit"]
    return report


def _ask_builder(
    job: Job, cache: Path, parties: Sequence[int], meanwhile: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    request = json.dumps(
        {"job": job.model_dump(mode="json"), "cache": str(cache), "parties": list(parties)}
    )
    builder = subprocess.Popen(
        children.command("party.compiler.driver"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=children.environment(),
        text=True,
    )
    with builder:
        said = _said(builder, request, meanwhile)
    try:
        answer: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise JobError(
            "the builder of the plan died",
            f"exit status {builder.returncode}",
            "see whether the machine ran out of memory",
            # The kernel ends who takes the most, and nobody else has a reason to.
            "out-of-memory" if builder.returncode == -signal.SIGKILL else None,
        ) from None
    if told := ErrorDocument.in_text(said):
        raise told.error()
    return answer


def _said(builder: subprocess.Popen[str], request: str, meanwhile: Callable[[], None]) -> str:
    # In a thread, since one that looks away sends nothing of a request that the pipe did not take.
    with ThreadPoolExecutor(1) as talking:
        try:
            answer = talking.submit(builder.communicate, request)
            while True:
                try:
                    return answer.result(_LOOK_EVERY_S)[0]
                except TimeoutError:
                    meanwhile()
        except BaseException:
            builder.kill()
            raise


def _main() -> None:
    """The builder process: a request on standard input, an answer on standard output."""
    from party.process.hardening import harden_process

    children.end_with_parent(signal.SIGKILL)
    harden_process()  # what it makes is what the party will run
    gc.disable()  # nearly all that is made here is needed to the end, and the end is near
    request = json.load(sys.stdin)
    try:
        job = job_from_json(request["job"])
        begin = time.monotonic()
        from party.compiler import compat

        compat.load()
        imported = time.monotonic()
        report = _build(job, Path(request["cache"]), request["parties"])
        answer = json.dumps(
            {
                "import_s": imported - begin,
                "build_s": time.monotonic() - imported,
                "audit": report.as_json(),
            }
        )
    except KitError as failure:
        answer = ErrorDocument.of(failure).to_json()
    except MemoryError:
        lack = JobError("out of memory while the plan was built", cause="out-of-memory")
        answer = ErrorDocument.of(lack).to_json()
    except Exception as error:
        own = internal(error, "the plan cannot be built, by an internal error")
        answer = ErrorDocument.of(own).to_json()
    print(answer, flush=True)


def _build(job: Job, cache: Path, parties: Sequence[int]) -> Report:
    from party.audit import audit
    from party.compiler.build import build
    from party.schedule.schedule import schedule

    parameters = PlanParameters.of(job)
    plan = build(parameters)
    report = audit(plan, job)
    for party in parties:
        store.save(store.path(cache, parameters, party), schedule(plan, party))
    return report


if __name__ == "__main__":
    _main()
