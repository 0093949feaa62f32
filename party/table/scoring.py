"""A model document and a raw table -> what the model says of each row. NumPy alone.

The document (``model.json``) has all that was done to the receiver's own columns before they were
trained on, and here it is done again: the same code decodes and derives, and mean and scale are the
training's. Of another holder's columns the document has weights at most; their part of a row's
weighted sum is for that holder to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.columns import ColumnSchema, from_plain
from party.process.errors import InputError
from party.table.cells import NUMBER
from party.table.columns.decoding import WrongCellError, decoder
from party.table.columns.deriving import Fitted, derive

Array = NDArray[np.float64]

_SCHEMA_EXCEPT = ("holder", "derived", "fitted")


def predict(document: Mapping[str, Any], table: Mapping[str, Sequence[str]]) -> Array:
    """What a model says of each row of a raw table: the probability of label 1, or the label.

    Args:
        document: what ``model.json`` holds.
        table: its cells by column name, as text as a CSV file has them; an empty one is a gap.
            Columns that the model does not know are ignored.

    Returns:
        float64, [rows].

    Raises:
        InputError: the document has not the whole model with all transforms, a column is missing,
            or a cell is wrong: told with its column and row, counted from 1, and without its value.
    """
    health = document.get("health")
    if not (health and health["all_columns"]) or None in document["mean"]:
        raise InputError(
            "the model has columns of another holder, which alone can read them",
            hint="each holder finds its own columns' part of the weighted sum; add them up",
        )
    return activated(document, weighted_sum(document, table))


def weighted_sum(document: Mapping[str, Any], table: Mapping[str, Sequence[str]]) -> Array:
    """The part of each row's weighted sum t that is of the receiver's own columns, [rows].

    The intercept is added where it goes with these. The parts of all holders make up t; see
    ``predict`` for arguments and errors.
    """
    own = [i for i, mean in enumerate(document["mean"]) if mean is not None]
    if not own:
        what = "the model's receiver holds none of its columns, and cannot read them"
        raise InputError(what, hint="use the model document of a party that holds columns")
    weights = np.array([document["weights"][i] for i in own])
    t = standardised(document, table) @ weights
    if own[0] == 0 and document["intercept"] is not None:
        t = t + document["intercept"]
    return np.asarray(t)


def activated(document: Mapping[str, Any], t: Array) -> Array:
    """What the model says where its weighted sums are t, by the exact sigmoid, [rows]."""
    if document["model"] == "logistic-regression":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * t)))
    return np.asarray(t * document["unit"])


def standardised(document: Mapping[str, Any], table: Mapping[str, Sequence[str]]) -> Array:
    """The receiver's own columns of the model as its training read them, [rows, columns].

    In the order of the document; see ``predict`` for arguments and errors.
    """
    own = [i for i, mean in enumerate(document["mean"]) if mean is not None]
    derived = [document["features"][i] for i in own]
    names, schemas, fitted = _sources(document, derived)
    missing = [name for name in names if name not in table]
    if missing:
        what = "the table does not have " + ", ".join(map(repr, missing[:12]))
        raise InputError(what, hint="the model reads every column that it was trained on")
    codes = [_codes(table[name], name, one) for name, one in zip(names, schemas, strict=True)]
    if len({len(column) for column in codes}) > 1:
        raise InputError("the table's columns are not equally long")
    values = derive(np.stack(codes), schemas, fitted)
    mean = np.array([document["mean"][i] for i in own])
    scale = np.array([document["scale"][i] for i in own])
    return np.asarray(((values - mean[:, np.newaxis]) / scale[:, np.newaxis]).T)


def _sources(
    document: Mapping[str, Any], derived: list[str]
) -> tuple[list[str], list[ColumnSchema | None], list[Fitted]]:
    """The table's columns that the derived ones come of, their schemas and what was fitted."""
    source = {
        one: name for name, column in document["columns"].items() for one in column["derived"]
    }
    names = list(dict.fromkeys(source.get(name, name) for name in derived))
    schemas: list[ColumnSchema | None] = []
    fitted: list[Fitted] = []
    for name in names:
        column = document["columns"].get(name)
        schema, learnt = None, Fitted()
        if column is not None:
            schema = from_plain({k: v for k, v in column.items() if k not in _SCHEMA_EXCEPT})
            learnt = Fitted(**column["fitted"])
        schemas.append(schema)
        fitted.append(learnt)
    return names, schemas, fitted


def _codes(cells: Sequence[str], name: str, schema: ColumnSchema | None) -> Array:
    one = _plain if schema is None else decoder(schema)
    known: dict[str, float] = {}
    codes = np.empty(len(cells))
    for row, cell in enumerate(cells):
        code = known.get(cell)
        if code is None:
            try:
                code = known[cell] = one(cell)
            except WrongCellError as error:
                where = f"row {row + 1}, column {name!r}"
                raise InputError(error.what, where, error.hint) from None
        codes[row] = code
    return codes


def _plain(cell: str) -> float:
    value = float(cell) if NUMBER.fullmatch(cell) else np.nan
    if not np.isfinite(value):
        hint = "every row needs a finite number there, as in the training"
        raise WrongCellError("not-a-number", "the cell is not a number", hint)
    return value
