"""Which programs of a plan a job runs, and how many times."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from party.agreement.job import Job
from party.models.interface import Stretch
from party.plan.parameters import OPEN, PlanParameters


def runs(job: Job) -> list[tuple[str, int]]:
    """Each program in its turn, and how many times it runs before the next one does; all of them,
    though a training that settles leaves some out."""
    parameters = PlanParameters.of(job)
    turns: list[tuple[str, int]] = []
    for stretch in parameters.trained.course(job, parameters.layout):
        before = turns.pop()[1] if turns and turns[-1][0] == stretch.program else 0
        turns.append((stretch.program, before + stretch.runs))
    return [*turns, (OPEN, 1)] if job.receivers else turns


def sharing(course: Iterable[Stretch]) -> list[Stretch]:
    """What comes before the training, and shares the tables."""
    return list(takewhile(lambda one: one.phase is None and not one.counted, course))
