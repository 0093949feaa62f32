"""Where a training begins from a former model: its weights, as a new table's columns take them.

A weight is of a column as it was standardised then, and the new table has means and scales of its
own. Both are known at the column's holder, so that it converts its weights at home: a weight times
the new scale over the old one, and what the means have moved goes into the intercept, if that is
the holder's. Where it is the other's, it stays as it was: a start need not be exact. Of a model
that was kept on shares nobody knows the weights: the holder makes a matrix of the same conversion,
by which they are multiplied.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.models.descent import penalties
from party.models.interface import blocks_of
from party.models.registry import model_of
from party.process.errors import InputError
from party.reporting.documents import LinearDocument
from party.reporting.result import columns_document, own_columns

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.checkpoints import KeptModel
    from party.table import Table

LARGEST_CHANGE = 16.0
"""By how many of a column's former scales its values may vary or have moved since, where a training
begins from weights that its holder does not know, so that it cannot look at the sums."""

_NAMED = 5
_OTHER = "give the model of a job with the same columns, or take training.start out of the job"
_OWN = (
    "give the model.json that this party received; where it received none of its columns' weights, "
    "agree on a job without training.start, and with result own or both, to begin from later"
)


def start_of(path: Path | None, job: Job, party: Party, table: Table) -> NDArray[np.float64] | None:
    """What the weights of a party's columns begin from, of the features and, where it has them, of
    the ones: see ``Table``. None where the job begins from zero, or the party has no features.

    Raises:
        InputError: there is no model, or one that is not asked for; it does not fit, with what
            differs.
    """
    if not job.starts or not job.features_of(party):
        if path is not None:
            what = f"the job takes no former model of {party}'s"
            raise InputError(what, "--start", "leave it out, or agree on training.start: model")
        return None
    if path is None:
        what = f"the job begins from a former model, and {party} has given none"
        raise InputError(what, "--start", _OWN)
    document = LinearDocument.load(path)
    _see_to_columns(document, job, party, table, path)
    own = {
        name: (mean, scale, weight)
        for name, holder, mean, scale, weight in zip(
            document.features,
            document.holders,
            document.mean,
            document.scale,
            document.weights,
            strict=True,
        )
        if holder == party
    }
    mean, scale, weights = _numbers([own[name] for name in job.derived_of(party)], party, path)
    assert table.mean is not None and table.scale is not None
    unit: float = document.unit / getattr(job.parameters, "unit", 1.0)
    found: NDArray[np.float64] = unit * weights * table.scale / scale
    if party == job.intercept_holder:
        if document.intercept is None:
            what = f"the former model has no intercept, and {party} begins with it"
            raise InputError(what, str(path), _OTHER)
        moved = (weights * (table.mean - mean) / scale).sum()
        found = np.append(found, unit * (document.intercept + moved))
    _see_to_range(found, job, party, table, path)
    return found


def kept_start_of(
    part: KeptModel, job: Job, party: Party, table: Table
) -> NDArray[np.float64] | None:
    """What takes the weights of a party's columns of a kept model, which it does not know, to those
    of its new table's, [columns, columns]: see ``Table``. None where the party has no features.

    Raises InputError for a table in other units."""
    if not job.features_of(party):
        return None
    before = part.table()
    assert table.mean is not None and table.scale is not None
    assert before.mean is not None and before.scale is not None
    wider, moved = table.scale / before.scale, (table.mean - before.mean) / before.scale
    for what, by in (("vary", wider), ("have moved", np.abs(moved))):
        worst = int(by.argmax())
        if not by[worst] <= LARGEST_CHANGE:
            name = job.derived_of(party)[worst]
            raise InputError(
                f"the values of {name!r} {what} by {by[worst]:.3g} times what they varied by in "
                f"the table of the kept model, and {LARGEST_CHANGE:g} times at most are taken",
                f"the column {name!r} of {party}'s table",
                "see that the table is in the units of the former one; or take training.start out",
            )
    former, unit = (getattr(of.parameters, "unit", 1.0) for of in (part.trained, job))
    features = len(wider)
    found: NDArray[np.float64] = np.zeros((features + (party == job.intercept_holder),) * 2)
    found[:features, :features] = np.diag(wider)
    if party == job.intercept_holder:
        found[features, :features], found[features, features] = moved, 1.0
    found *= former / unit
    return found


def _see_to_columns(
    document: LinearDocument, job: Job, party: Party, table: Table, path: Path
) -> None:
    """That the model is of the job's kind and the party's columns, read in the same way."""
    if document.model != job.parameters.kind:
        what = f"the former model is a {document.model}, and the job trains a {job.parameters.kind}"
        raise InputError(what, str(path), _OTHER)
    wanted = set(job.derived_of(party))
    there = {n for n, of in zip(document.features, document.holders, strict=True) if of == party}
    for what, names in (("lacks", wanted - there), ("has", there - wanted)):
        if names:
            some = ", ".join(map(repr, sorted(names)[:_NAMED])) + ", ..." * (len(names) > _NAMED)
            columns = f"column{'s' * (len(names) > 1)} {some} of {party}'s"
            also = " that the job has not" if what == "has" else " that the job has"
            raise InputError(f"the former model {what} the {columns}{also}", str(path), _OTHER)
    read = _read(columns_document(job, party, table), party)
    before = _read(document.columns, party)
    for name in sorted(read.keys() | before.keys()):
        if read.get(name) != before.get(name):
            raise InputError(
                f"the former model reads the column {name!r} of {party}'s in another way",
                f"{path}, and columns in the job",
                "agree on the way of the former job for this column, or take training.start out",
            )


def _read(columns: dict[str, Any], party: Party) -> dict[str, str]:
    """How a party's columns are read, without what was learnt from them."""
    return {
        name: json.dumps({k: v for k, v in column.items() if k != "fitted"}, sort_keys=True)
        for name, column in columns.items()
        if isinstance(column, dict) and column.get("holder") == party
    }


def _numbers(
    columns: list[tuple[float | None, float | None, float]], party: Party, path: Path
) -> NDArray[np.float64]:
    """Means, scales and weights, [3, columns]."""
    if any(mean is None or scale is None for mean, scale, _ in columns):
        what = f"the model is another party's: it says nothing of the scale of {party}'s columns"
        raise InputError(what, str(path), _OWN)
    found = np.array(columns, np.float64).T
    if not (np.isfinite(found).all() and (found[1] > 0).all()):
        raise InputError("the model holds a number that is none", str(path), _OTHER)
    return found


def _see_to_range(
    start: NDArray[np.float64], job: Job, party: Party, table: Table, path: Path
) -> None:
    """That no row's sum is where the sigmoid's approximation ends, so that every step goes the
    right way: each holder's part of the sum has its part of the range. Where there is no sigmoid,
    that all rows together are no farther from zero than labels may be: a descent makes squared
    residuals and penalty smaller from there on, so that they fit into fixed point."""
    model, descent = model_of(job.parameters), job.descent
    wave = model.sigmoid(job)
    sums = own_columns(job, party, table) @ start
    if wave is not None:
        size, most = float(np.abs(sums).max(initial=0.0)), wave.range
        what = f"a row of {party}'s table has a weighted sum of {size:.3g}"
    else:
        assert descent is not None
        penalty = penalties(descent, len(start), party == job.intercept_holder)
        squares = np.square(sums).sum() + penalty @ np.square(start)
        size, most = float(np.sqrt(squares / len(sums))), model.label_rule.most
        what = f"the rows of {party}'s table have weighted sums about {size:.3g} from zero"
    most /= len(blocks_of(job))
    if not size <= most:
        raise InputError(
            f"by the former model {what}, and a training can begin from {most:.3g} at most",
            f"{path}, and {party}'s table",
            "see that the table is in the units of the former one; or take training.start out",
        )
