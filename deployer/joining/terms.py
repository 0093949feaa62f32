"""A job in plain words, before anybody has built its plan."""

from __future__ import annotations

from party.agreement.job import Job


def computed(job: Job) -> list[str]:
    """What a job computes, and from which columns."""
    kind = job.parameters.kind.replace("-", " ")
    if job.kept is not None:
        return [f"nothing: the {kind} that was kept as {job.kept} is opened"]
    rows, steps = f"{job.rows} rows", f"{job.steps} steps"
    if job.matches:
        rows, steps = "the rows that both tables have", f"{job.epochs} passes"
    lines = [f"a {kind} on {rows}, by {job.protocol}, in {steps} at most"]
    for holder in job.holders:
        if features := job.features_of(holder):
            lines.append(f"from {holder}'s columns {', '.join(features)}")
    lines.append(f"to predict {job.label_holder}'s column {job.label_of(job.label_holder)}")
    return lines


def revealed(job: Job) -> list[str]:
    """What a job reveals, and to whom; the schedules say the same value by value."""
    model = {
        "both": "the whole model, to alice and bob",
        "own": "to each holder the weights of its own columns",
        "nobody": "no weights: each party keeps its shares",
        "kept": "no weights: each party keeps its shares, sealed, for a later job to open",
    }
    lines = [model.get(job.result, f"the whole model, to {job.result}")]
    if job.evaluation is not None:
        told = " and ".join(job.evaluated_by)
        lines.append(f"counts of held-out rows, by score and label, to {told}")
    if job.matches:
        lines.append("the numbers of rows of both tables and of those in common, to all three")
    if job.descent is not None and job.descent.tolerance and job.kept is None:
        lines.append("after how many passes the training has settled, to all three")
    return lines
