"""What is learnt from columns with schemas, at their holder: exactly, and in bounded memory.

Quantiles need a whole column at once. Columns are therefore gathered a few at a time, so that they
take no more memory than the table's matrix will, which is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from party.agreement.columns import ColumnSchema, DateColumn, NumberColumn
from party.table.columns.deriving import Codes, Fitted, constant_fill, filled

_FIRST_ROWS = 1 << 16


def fit(
    schemas: Sequence[ColumnSchema | None],
    rows: int,
    at_once: int,
    blocks: Callable[[], Iterator[Codes]],
) -> tuple[Fitted, ...]:
    """What is learnt from each column; nothing from a plain number.

    Args:
        schemas: of the columns, in order.
        rows: how many there are at most.
        at_once: how many columns of float64 may be held in memory, at least one.
        blocks: begins a pass over their codes, [columns, rows of a block]. NaN is a gap.
    """
    fitted = [_known(schema) for schema in schemas]
    whole = [i for i, schema in enumerate(schemas) if _needs_all(schema)]
    for first in range(0, len(whole), at_once):
        some = whole[first : first + at_once]
        own = [(schemas[i], fitted[i].fill) for i in some]
        for column, learnt in zip(some, _fit_some(some, own, rows, blocks()), strict=True):
            fitted[column] = learnt
    return tuple(fitted)


def _known(schema: ColumnSchema | None) -> Fitted:
    """What the job says of a column."""
    if schema is None:
        return Fitted()
    public = getattr(schema, "public", None)
    center, spread = (None, None) if public is None else (public.mean, public.deviation)
    return Fitted(fill=constant_fill(schema), center=center, spread=spread)


def _fit_some(
    columns: list[int],
    schemas: list[tuple[ColumnSchema | None, float | None]],
    rows: int,
    blocks: Iterator[Codes],
) -> list[Fitted]:
    """What is learnt from some columns, which are held while this runs and not longer."""
    # No room for all rows at once: a job may say more than there are.
    gathered, row = np.empty((len(columns), min(rows, _FIRST_ROWS))), 0
    for block in blocks:
        end = min(row + block.shape[1], rows)
        if end > gathered.shape[1]:
            wider = np.empty((len(columns), min(rows, 2 * end)))
            wider[:, :row] = gathered[:, :row]
            gathered = wider
        gathered[:, row:end] = block[columns, : end - row]
        row = end
        if row == rows:
            break
    found = []
    for codes, (schema, fill) in zip(gathered, schemas, strict=True):
        assert isinstance(schema, NumberColumn | DateColumn)
        found.append(_fitted(codes[:row], schema, fill))
    return found


def _needs_all(schema: ColumnSchema | None) -> bool:
    return isinstance(schema, NumberColumn | DateColumn) and (
        schema.missing in ("mean", "median") or schema.clip is not None or schema.scale == "robust"
    )


def _fitted(
    codes: NDArray[np.float64], schema: NumberColumn | DateColumn, fill: float | None
) -> Fitted:
    there = codes[~np.isnan(codes)]
    if not len(there):
        return Fitted(np.nan if schema.takes_gaps else None)
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large, the moments find
        if schema.missing in ("mean", "median"):
            fill = float(np.mean(there) if schema.missing == "mean" else np.median(there))
        values = filled(codes, schema, fill)
        values = values[~np.isnan(values)]  # a wrong cell's, on the way to being explained
        low = high = center = spread = None
        if schema.clip is not None:
            low, high = (float(bound) for bound in np.quantile(values, schema.clip))
            values = np.clip(values, low, high)
        if schema.public is not None:
            center, spread = schema.public.mean, schema.public.deviation
        if schema.scale == "robust":
            lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75])
            center, spread = float(middle), float(upper - lower)
    return Fitted(fill, low, high, center, spread)
