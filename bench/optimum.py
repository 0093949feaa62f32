"""The optimum of a table in clear, and how far above it weights are.

The loss is what scikit-learn's ``LogisticRegression(C=1.0)`` minimises: the mean log loss of all
rows, and the squared weights without the intercept's over ``2 C rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

C = 1.0
"""The kit's default and scikit-learn's."""

GOAL = 1e-4
"""A model counts whose loss is at most this part of the optimum's above it."""


def sigmoid(t: Matrix) -> Matrix:
    """Exactly."""
    return 0.5 * (1.0 + np.tanh(0.5 * t))


class Problem:
    """A table that is trained on.

    Args:
        blocks: each holder's columns, [rows, columns]; the last of the first holder's are ones.
        y: the label, [rows], 0 or 1.
    """

    def __init__(self, blocks: Sequence[Matrix], y: Matrix) -> None:
        self._blocks, self._y = blocks, y
        self._x = np.hstack(blocks)
        self._penalised = np.ones(self._x.shape[1])
        self._penalised[blocks[0].shape[1] - 1] = 0
        self._least: float | None = None

    def loss(self, weights: Sequence[float] | Matrix) -> float:
        """Of weights in the order of the blocks' columns."""
        w = np.asarray(weights, np.float64)
        t = self._x @ w
        log_loss = np.logaddexp(0, t).mean() - (self._y * t).mean()
        return float(log_loss + self._penalised @ w**2 / (2 * C * len(t)))

    def optimum(self) -> list[float]:
        """The weights that scikit-learn finds, in the order of the blocks' columns."""
        from sklearn.linear_model import LogisticRegression

        features = self._penalised == 1
        found = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10)
        found.fit(self._x[:, features], self._y)
        weights = np.empty(len(features))
        weights[features], weights[~features] = found.coef_[0], found.intercept_
        return [float(weight) for weight in weights]

    def excess(self, weights: Sequence[float] | Matrix) -> float:
        """By which part of the optimum's loss that of the weights is larger."""
        if self._least is None:
            self._least = self.loss(self.optimum())
        return self.loss(weights) / self._least - 1

    def descent(self, passes: int, sigmoid: Callable[[Matrix], Matrix] = sigmoid) -> list[Matrix]:
        """The weights after each pass of what ``spu/train.py`` does, in clear."""
        inverse = np.zeros((self._x.shape[1],) * 2)
        end = 0
        for block in self._blocks:
            start, end = end, end + block.shape[1]
            penalty = np.diag(self._penalised[start:end] / C)
            inverse[start:end, start:end] = np.linalg.inv(block.T @ block / 4 + penalty)
        w = np.zeros(self._x.shape[1])
        found: list[Matrix] = []
        for _ in range(passes):
            error = sigmoid(self._x @ w) - self._y
            w = w - inverse @ (self._x.T @ error + self._penalised * w / C)
            found.append(w)
        return found

    def passes(self, most: int = 100) -> int:
        """The fewest of them that arrive with half of what is allowed to spare for fixed point."""
        for number, weights in enumerate(self.descent(most), start=1):
            if self.excess(weights) <= GOAL / 2:
                return number
        raise ValueError(f"the descent has not arrived after {most} passes")
