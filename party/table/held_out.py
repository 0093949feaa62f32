"""Standardises a table by the rows that it is trained on, where others are held out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from party.agreement.limits import LIMIT
from party.process.errors import InputError
from party.table.table import Table

if TYPE_CHECKING:
    from party.agreement.job import Job, Party

_FLAT = 1e-6
"""A column that spreads less over the training's rows, beside all rows, is as good as constant: of
float32 numbers nothing else is left."""


def by_training_rows(table: Table, job: Job, party: Party) -> Table:
    """The table, so that mean and scale of its features are those of the training's rows alone, but
    for those that the job says. With folds every row is of a training: they are those of all rows
    then.

    Raises:
        InputError: a column is constant there, a value is too far from the others, or labels of one
            of the two classes are all held out, or none of them.
    """
    if job.evaluation is None or job.matches:  # which are held out of these, nobody knows yet
        return table
    if job.folds:
        _see_to_both_classes(table, job, party)
        return table
    out, where = job.held_out, f"{party}'s table"
    hint = "choose another evaluation.seed or evaluation.held_out"
    # Of labels that are turned round, what is seen of them decides.
    if job.label_of(party) is not None and job.label_privacy is None:
        for rows, of in (
            (table.matrix[~out, -1], "training's"),
            (table.matrix[out, -1], "held-out"),
        ):
            if rows.min() == rows.max():
                raise InputError(f"all labels of the {of} rows are the same", where, hint)
    names = job.derived_of(party)
    if not names:
        return table
    assert table.mean is not None and table.scale is not None
    columns = table.matrix[:, : len(names)]
    training = columns[~out]
    mean = training.mean(axis=0, dtype=np.float64)
    scale = training.std(axis=0, dtype=np.float64)
    for name, spread in zip(names, scale, strict=True):
        if not spread > _FLAT:
            raise InputError(f"the column {name!r} is constant in the training's rows", where, hint)
    said = _said(job, party)
    mean[said], scale[said] = 0.0, 1.0
    matrix = table.matrix.copy()
    matrix[:, : len(names)] = (columns - mean) / scale
    worst = np.abs(matrix[:, : len(names)]).max(axis=0)
    for name, far in zip(names, worst, strict=True):
        if not far <= LIMIT:
            raise InputError(
                f"the column {name!r} has a value that is more than {LIMIT:.0f} standard "
                "deviations of the training's rows from their mean",
                where,
                "look whether it is an error; otherwise clip the column or take its logarithm",
            )
    return replace(
        table, matrix=matrix, mean=table.mean + mean * table.scale, scale=table.scale * scale
    )


def _said(job: Job, party: Party) -> list[int]:
    """The columns of the model whose mean and scale the job says, which no row changes."""
    public = {
        name
        for name in job.features_of(party)
        if getattr(job.schema_of(name), "public", None) is not None
    }
    return [place for place, name in enumerate(job.derived_of(party)) if name in public]


def _see_to_both_classes(table: Table, job: Job, party: Party) -> None:
    """Without both classes outside of a fold its training has nothing to tell apart."""
    if job.label_of(party) is None or job.label_privacy is not None:
        return  # of labels that are turned round, what is seen of them decides
    label, fold_of = table.matrix[:, -1], job.fold_of
    for fold in range(job.folds):
        outside = label[fold_of != fold]
        if outside.min() == outside.max():
            raise InputError(
                f"all labels of one class are in fold {fold + 1}",
                f"{party}'s table",
                "choose another evaluation.seed or fewer evaluation.folds",
            )
