"""A model that one party has whole, from its document to the scores of rows.

The document has all that was done to the columns before they were trained on, and here it is done
again by the same code: ``party.table.columns`` decodes cells and derives the columns x that the
model reads. Of these it takes ``z = (x - mean) / scale``, and

- logistic regression says ``1 / (1 + exp(-(z . weights + intercept)))``, the chance of label 1;
- linear regression says ``(z . weights + intercept) * unit``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from party.agreement.columns import ColumnSchema, from_plain
from party.models.parameters import ModelName
from party.models.registry import model_of, trained
from party.process.errors import InputError
from party.reporting.documents import MODEL_HINT, LinearDocument
from party.table.columns.deriving import Fitted, derive

Matrix = NDArray[np.float64]

_NOT_OF_THE_SCHEMA = ("holder", "derived", "fitted")


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model and the columns it takes.

    Attributes:
        kind: the model's name in a job.
        schemas: of the table's columns, by name and in order; None for a plain number.
        fitted: what was learnt from each of them.
        features: names of the columns that the model reads, in the order of the numbers below.
        mean, scale, weights: [features].
        intercept: what is added to the weighted sum.
        unit: of the label; 1 where the model has none.
        job: digest of the job that made the model.
    """

    kind: ModelName
    schemas: Mapping[str, ColumnSchema | None]
    fitted: tuple[Fitted, ...]
    features: tuple[str, ...]
    mean: Matrix
    scale: Matrix
    weights: Matrix
    intercept: float
    unit: float
    job: str

    @classmethod
    def read(cls, path: Path) -> Scorer:
        """The model in a file.

        Raises InputError for a file that cannot be read, is no model, or is one of which another
        party has a part: rows then need that party too.
        """
        return cls.of(LinearDocument.load(path), path)

    @classmethod
    def of(cls, document: LinearDocument, path: Path) -> Scorer:
        """The model in a document; ``path`` names it in errors."""
        lacking = [
            (name, holder)
            for name, holder, mean in zip(
                document.features, document.holders, document.mean, strict=True
            )
            if mean is None
        ]
        whole = document.health is not None and document.health.all_columns
        if lacking or document.intercept is None or not whole:
            others = sorted({holder for _, holder in lacking})
            whose = " and ".join(others) or "another party"
            names = ", ".join(repr(name) for name, _ in lacking[:5])
            what = f"the model cannot be used alone: {whose} has a part of it"
            hint = "score together with that party, or train a model of your own columns"
            raise InputError(f"{what} ({names})" if names else what, str(path), hint)
        mean, scale, weights = (
            np.array(one, np.float64) for one in (document.mean, document.scale, document.weights)
        )
        numbers = np.concatenate([mean, scale, weights, [document.intercept, document.unit]])
        if not (np.isfinite(numbers).all() and (scale > 0).all() and document.unit > 0):
            raise InputError("the model holds a number that is none", str(path), MODEL_HINT)
        schemas, fitted = sources(document.features, document.columns, path)
        return cls(
            kind=document.model,
            schemas=schemas,
            fitted=fitted,
            features=document.features,
            mean=mean,
            scale=scale,
            weights=weights,
            intercept=document.intercept,
            unit=document.unit,
            job=document.job,
        )

    def standardised(self, codes: Matrix) -> Matrix:
        """The columns that the model reads, [rows, features]; see ``predict``."""
        return standardised(codes, self.schemas, self.fitted, self.mean, self.scale)

    def predict(self, codes: Matrix) -> Matrix:
        """What the model says of rows.

        Args:
            codes: the table's columns in the order of ``schemas``, [rows, columns]: numbers as
                they are, others as ``party.table.columns.decoding`` has them; NaN is a gap.

        Returns:
            [rows]: probabilities of label 1, or labels, as the model has it.
        """
        rows: Any = np.hstack([self.standardised(codes), np.ones((len(codes), 1))])
        model = model_of(trained(self.kind, self.unit))
        return model.predict(np.append(self.weights, self.intercept), rows)


def standardised(
    codes: Matrix,
    schemas: Mapping[str, ColumnSchema | None],
    fitted: tuple[Fitted, ...],
    mean: Matrix,
    scale: Matrix,
) -> Matrix:
    """The columns that a model reads, [rows, features]; see ``Scorer`` and its ``predict``."""
    derived = derive(codes.T, list(schemas.values()), fitted)
    return (derived.T - mean) / scale


def sources(
    features: Sequence[str], columns: Mapping[str, dict[str, Any]], path: Path
) -> tuple[dict[str, ColumnSchema | None], tuple[Fitted, ...]]:
    """The table's columns that the model's own are derived of, and what was learnt from them.

    Args:
        features: names of the model's own.
        columns: of its document.
        path: the document's, for an error.

    Raises InputError where the two do not belong together.
    """
    source: dict[str, str] = {}
    schemas: dict[str, ColumnSchema | None] = {}
    fitted: list[Fitted] = []
    derived: list[str] = []
    try:
        for name, column in columns.items():
            source |= dict.fromkeys(column["derived"], name)
        for name in dict.fromkeys(source.get(feature, feature) for feature in features):
            column = columns.get(name, {})
            schemas[name] = None
            if column:
                plain = {k: v for k, v in column.items() if k not in _NOT_OF_THE_SCHEMA}
                schemas[name] = from_plain(plain)
            fitted.append(Fitted(**column.get("fitted") or {}))
            derived += column.get("derived", [name])
    except (KeyError, TypeError, ValueError):
        derived = []
    if derived != list(features):
        what = "the model's columns are not those it was trained on"
        raise InputError(what, str(path), MODEL_HINT)
    return schemas, tuple(fitted)
