"""What scikit-learn finds for the loss that a descent over all rows minimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Array = NDArray[np.float64]


def logistic_loss(x: Any, y: Any, weights: Array, c: float, ones: int) -> float:
    """The penalised loss, a row.

    Args:
        x: standardised features with the column of ones, [rows, columns].
        y: labels, [rows].
        weights: of these columns.
        c: the inverse strength of the penalty.
        ones: which column is the one of ones: its weight is the intercept and bears no penalty.
    """
    t = np.asarray(x, np.float64) @ weights
    # log(1 + exp(t)) - y t, without overflow.
    rows = np.maximum(t, 0) - y * t + np.log1p(np.exp(-np.abs(t)))
    penalty = np.square(np.delete(weights, ones)).sum() / (2 * c)
    return float((rows.sum() + penalty) / len(y))


def logistic_optimum(
    x: Any, y: Any, c: float, ones: int, classes: Mapping[str, float] | str | None = None
) -> Array:
    """The weights at the optimum, in the order of the columns."""
    weight: Any = classes
    if isinstance(classes, Mapping):
        weight = {int(label): each for label, each in classes.items()}
    features = np.delete(np.asarray(x, np.float64), ones, axis=1)
    fitted = LogisticRegression(
        C=c, class_weight=weight, solver="newton-cholesky", tol=1e-9, max_iter=1000
    )
    fitted.fit(features, y)
    return np.insert(fitted.coef_[0], ones, fitted.intercept_[0])


def ordered(received: Mapping[str, float]) -> Array:
    """Weights by name as the plaintext reference has them."""
    return np.array(list(received.values()))
