"""A job in plain words, before anybody has built its plan."""

from __future__ import annotations

from party.agreement.job import Job
from party.models.joint_scores.parameters import JointScoresParameters


def computed(job: Job) -> list[str]:
    """What a job computes, and from which columns."""
    if (wanted := job.scores) is not None:
        rows = f"{job.rows} rows"
        if job.left is not None:
            rows = f"all rows of {job.left}'s table, whether the other has them or not"
        lines = [f"scores of {rows}, by {job.protocol}", _given(wanted)]
        for holder in job.holders:
            lines.append(f"of {holder}'s columns {', '.join(job.features_of(holder))}")
        return lines
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
    if job.starts_from is not None:
        lines.append(f"from the weights of the one that was kept as {job.starts_from}, on shares")
    lines.append(f"to predict {job.label_holder}'s column {job.label_of(job.label_holder)}")
    return lines


def _given(wanted: JointScoresParameters) -> str:
    return (
        f"by the {wanted.predicts.replace('-', ' ')} that {wanted.holder} has from the training "
        f"{wanted.trained_by[:16]}"
    )


def revealed(job: Job) -> list[str]:
    """What a job reveals, and to whom; the schedules say the same value by value."""
    if job.scores is not None:
        to = "alice and bob" if job.result == "both" else job.result
        sums = f"the weighted sum of each row, and so its score, to {to}"
        return [*([told_of_matching(job)] if job.matches else []), sums]
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
        if job.folds:
            lines.append(f"  of all rows, each held out in one of {job.folds} folds, all at once")
    if job.matches:
        lines.append(told_of_matching(job))
    if job.descent is not None and job.descent.tolerance and job.kept is None:
        each = f"each of {job.folds + 1} trainings" if job.folds else "the training"
        lines.append(f"after how many passes {each} has settled, to all three")
    return lines


def told_of_matching(job: Job) -> str:
    """What the parties learn where rows are matched."""
    if job.left is None:
        return "the numbers of rows of both tables and of those in common, to all three"
    assert job.align is not None
    return (
        "the numbers of rows of both tables, and whether at least "
        f"{job.align.minimum} are in common, to all three; how many are, to the server"
    )
