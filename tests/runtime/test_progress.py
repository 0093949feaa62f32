"""Whoever watches a run sees what it does, also where that is no step of the training."""

from __future__ import annotations

import pytest

from party.agreement.job import Job
from party.models.registry import model_of
from party.plan.parameters import PlanParameters
from party.runtime.course import _Position


@pytest.mark.parametrize("evaluation", [None, {"held_out": 0.2}, {"folds": 3}])
def test_what_takes_long_before_and_after_the_training_is_named(
    evaluation: dict[str, float] | None,
) -> None:
    job = Job.model_validate(
        {
            "name": "large",
            "rows": 100_000,
            "features": ("a", "b"),
            "label": "y",
            "evaluation": evaluation,
        }
    )
    steps, first, told = 0, 0, []
    for stretch in model_of(job.parameters).course(job, PlanParameters.of(job).layout):
        at = _Position(first, first, stretch.runs, stretch, 0, steps)
        told.append(at.beside)
        assert at.beside or stretch.counted or stretch.runs == 1, "nothing long goes unsaid"
        first += stretch.runs
        steps += stretch.runs * stretch.counted
    assert steps == job.steps
    names = list(dict.fromkeys(told))
    assert names[:2] == ["sharing the tables", ""]
    assert names[2:] == (["counting rows"] if evaluation else [])
