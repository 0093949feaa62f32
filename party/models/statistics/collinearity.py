"""How far a holder's own columns say the same, at home: variance inflation factors.

The factor of a column is ``1 / (1 - R^2)``, with the R^2 of the column's regression on the holder's
other columns and a constant (Marquardt, Technometrics 1970): by so much its weight's variance is
larger than if it hung together with none of them. That is the diagonal of the inverse of the
columns' correlation matrix. Columns that depend on each other have no factor; those of all others
are of what is left when one of these is taken out, by the pseudo-inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from party.models.statistics.figures import Inflation

Array = NDArray[np.float64]

LARGE = 10.0
"""A factor beyond which columns nearly coincide: the usual rule (Marquardt 1970)."""

_NOTHING = 1e-10
"""The part of a column's variance that float32 cannot tell from none; an eigenvalue of none."""
_PART = 1e-8
"""The squared part of a column in what is nothing, from which on it depends on the others."""
_NAMED = 12
"""Columns that a warning names."""
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Collinearity:
    """What a holder's columns say twice.

    Attributes:
        factors: of each column, in order.
        warnings: of those that coincide, or nearly, by name.
    """

    factors: tuple[Inflation, ...]
    warnings: tuple[str, ...]


def collinearity_of(names: Sequence[str], x: NDArray[np.float32]) -> Collinearity:
    """The factors of a holder's columns as they are trained on, [rows, columns]; no ones."""
    columns = x.shape[1]
    if not columns:
        return Collinearity((), ())
    correlation, constant = _correlation(x)
    values, vectors = np.linalg.eigh(correlation)
    none = values < _NOTHING
    dependent = (np.square(vectors[:, none]).sum(1) > _PART) | constant
    parts = np.square(vectors[:, ~none]) / values[~none]
    factors = np.maximum(parts.sum(1), 1.0)
    found = tuple(
        Inflation(feature=name, factor=None if lost else float(factor))
        for name, factor, lost in zip(names, factors, dependent, strict=True)
    )
    warnings = [
        f"column {name} is constant over the rows that are trained on: leave it out"
        for name, alone in zip(names, constant, strict=True)
        if alone
    ]
    some = np.flatnonzero((dependent | (factors > LARGE)) & ~constant)
    for group in _groups(_together(values, vectors)[np.ix_(some, some)]):
        warnings.append(_warning([found[some[i]] for i in group]))
    return Collinearity(found, tuple(warnings))


def _correlation(x: NDArray[np.float32]) -> tuple[Array, NDArray[np.bool_]]:
    """The correlation matrix, and which columns never change; those hang together with none."""
    rows, columns = x.shape
    gram, total = np.zeros((columns, columns)), np.zeros(columns)
    for begin in range(0, rows, _CHUNK):
        part = x[begin : begin + _CHUNK].astype(np.float64)
        gram += part.T @ part
        total += part.sum(0)
    mean = total / rows
    covariance = gram / rows - np.outer(mean, mean)
    variance = np.diag(covariance)
    constant = variance <= _NOTHING * np.diag(gram) / rows
    root = np.sqrt(np.where(constant, 1.0, variance))
    found = covariance / np.outer(root, root)
    found[constant, :] = found[:, constant] = 0.0
    np.fill_diagonal(found, 1.0)
    return found, constant


def _together(values: Array, vectors: Array) -> Array:
    """How far each two columns coincide beside all others: their partial correlations, from 0 to 1,
    [columns, columns]."""
    inverse = (vectors / np.maximum(values, _NOTHING)) @ vectors.T
    root = np.sqrt(np.diag(inverse))
    found = np.abs(inverse / np.outer(root, root))
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def _groups(together: Array) -> list[list[int]]:
    """Columns that coincide: each with those that do so at least half as far as its next one."""
    next_one = together.max(1, initial=0.0)
    linked = (together > 0) & (together >= 0.5 * np.minimum(next_one[:, None], next_one))
    left, groups = set(range(len(together))), []
    while left:
        group, reached = set(), {min(left)}
        while reached:
            group |= reached
            reached = {j for i in reached for j in np.flatnonzero(linked[i]).tolist()} - group
        left -= group
        groups.append(sorted(group))
    return groups


def _warning(group: list[Inflation]) -> str:
    names = ", ".join(one.feature for one in group[:_NAMED])
    if len(group) > _NAMED:
        names += f" and {len(group) - _NAMED} more"
    if all(one.factor is None for one in group):
        return f"columns {names} depend on each other: leave one of them out"
    largest = max(one.factor for one in group if one.factor is not None)
    how = f"nearly coincide, by a variance inflation of up to {largest:.3g}"
    if any(one.factor is None for one in group):
        how = "depend on each other, or nearly"
    who = f"columns {names}" if len(group) > 1 else f"column {names} and others"
    return f"{who} {how}: their weights say little each for itself; leave one out, or join them"
