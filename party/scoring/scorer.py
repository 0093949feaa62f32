"""A model that one party has whole, from its document to the scores of rows.

For a row of features x, in their own units, the model reads ``z = (x - mean) / scale`` and

- logistic regression says ``1 / (1 + exp(-(z . weights + intercept)))``, the chance of label 1;
- linear regression says ``(z . weights + intercept) * unit``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from party.agreement.job import Holder
from party.models.registry import ADAPTER, model_of
from party.process.errors import InputError, printable
from party.process.files import unreadable
from party.reporting.documents import ModelDocument

Matrix = NDArray[np.float64]

_AGAIN = "give the model.json of a run, as its receiver has it"
_LARGEST = 64 * 1024 * 1024


class LinearDocument(ModelDocument):
    """The document of a model that is a function of one weighted sum.

    Attributes:
        features, holders: names of the columns, and whose each is.
        mean, scale: of each column, in its own unit; None where its holder alone knows them.
        weights: of the standardised columns.
        intercept: None where another party has it.
        unit: of the label, for linear regression.
    """

    features: tuple[str, ...] = Field(min_length=1)
    holders: tuple[Holder, ...]
    mean: tuple[float | None, ...]
    scale: tuple[float | None, ...]
    weights: tuple[float, ...]
    intercept: float | None
    unit: float = 1.0


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model and the columns it takes.

    Attributes:
        kind: the model's name in a job.
        features: names of its columns, in the order of the numbers below.
        mean, scale, weights: [features].
        intercept: what is added to the weighted sum.
        unit: of the label; 1 where the model has none.
        job: digest of the job that made the model.
    """

    kind: str
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
        return cls.of(_document(path), path)

    @classmethod
    def of(cls, document: LinearDocument, path: Path) -> Scorer:
        """The model in a document; ``path`` names it in errors."""
        lists = (document.holders, document.mean, document.scale, document.weights)
        if any(len(one) != len(document.features) for one in lists):
            raise InputError("the model's lists are not of one length", str(path), _AGAIN)
        lacking = [
            (name, holder)
            for name, holder, mean in zip(
                document.features, document.holders, document.mean, strict=True
            )
            if mean is None
        ]
        if lacking or document.intercept is None:
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
            raise InputError("the model holds a number that is none", str(path), _AGAIN)
        return cls(
            kind=document.model,
            features=document.features,
            mean=mean,
            scale=scale,
            weights=weights,
            intercept=document.intercept,
            unit=document.unit,
            job=document.job,
        )

    def predict(self, x: Matrix) -> Matrix:
        """What the model says of rows.

        Args:
            x: the features in their own units, in order, [rows, features].

        Returns:
            [rows]: probabilities of label 1, or labels, as the model has it.
        """
        ones = np.ones((len(x), 1))
        rows: Any = np.hstack([(x - self.mean) / self.scale, ones])
        parameters: dict[str, Any] = {"kind": self.kind}
        if self.unit != 1.0:
            parameters["unit"] = self.unit
        model = model_of(ADAPTER.validate_python(parameters))
        return model.predict(np.append(self.weights, self.intercept), rows)


def _document(path: Path) -> LinearDocument:
    try:
        with path.open("rb") as stream:
            text = stream.read(_LARGEST + 1)
    except OSError as error:
        raise unreadable(error, "the model", path) from None
    try:
        if len(text) > _LARGEST:
            raise ValueError
        value = json.loads(text)
        if isinstance(value, dict) and value.get("version", 1) != 1:
            what = f"the model is of another version ({printable(value['version'], 20)})"
            raise InputError(what, str(path), "use the version of the kit that wrote it")
        document = LinearDocument.model_validate_json(text)
        ADAPTER.validate_python({"kind": document.model})
    except (ValidationError, ValueError, RecursionError):
        raise InputError("the file is no model of the kit's", str(path), _AGAIN) from None
    return document
