"""Logistic regression on columns of two holders, as scikit-learn's estimators are used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from party.agreement.job import HOLDERS, Holder
from party.models.evaluation.figures import Evaluation
from party.reporting.documents import LinearDocument, RunReport
from party.scoring.export import sklearn as pipeline_of
from party.scoring.scorer import Scorer
from tfe_kit import trial

Array = NDArray[np.float64]


class JointLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression that two holders of columns train without showing each other any.

    ``fit`` runs all three parties on this machine, each a process of its own, as ``deployer run``
    does: what comes out is what three organisations would get. The columns are standardised at
    their holder, so that the model is that of ``make_pipeline(StandardScaler(),
    LogisticRegression(C=C))``; ``coef_`` and ``intercept_`` are for columns in their own units.
    Two fits differ in the last bits, since the masks are fresh each time.

    Args:
        C: the inverse strength of the penalty.
        tol: a step shorter than this ends the training; 0: all passes are done.
        max_iter: passes over the rows, at most.
        class_weight: the weights of the two classes, by class; None for 1 each. Both are public.
        columns: which columns of X are whose: ``{"alice": [...], "bob": [...]}``, by name where X
            has names, else by position. None: all are Alice's.
        label: who holds y.
        protocol: how the parties share secrets: pond, aby3 or securenn.
        held_out: the share of rows that is held out to evaluate the model on; None for none.
        folds: parts of the rows of which each is held out once, by a training of its own, and the
            model is of all rows: docs/folds.md; from 2 to 10, in the place of held_out.
        output: a directory that keeps what the run leaves, for ``deployer report``; None for none.
        cache: where plans are kept; None for ``~/.cache/tfe-kit``.

    Attributes:
        classes_: the two classes; the second is what ``predict_proba`` gives the chance of.
        coef_: [1, columns of X]. A column that never changes has 0 and takes no part.
        intercept_: [1].
        n_iter_: [1], passes that were done; with folds those of all trainings together, as passes
            over all rows.
        n_features_in_, feature_names_in_: as scikit-learn's.
        evaluation_: what counts of held-out rows say, as in docs/jobs.md; None without held_out
            and folds.
        model_: the model as ``model.json`` has it, whole.
        report_: what the run took; None for a model that was read.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        tol: float = 0.001,
        max_iter: int = 200,
        class_weight: Mapping[Any, float] | None = None,
        columns: Mapping[str, Sequence[Any]] | None = None,
        label: Holder = "bob",
        protocol: str = "pond",
        held_out: float | None = None,
        folds: int | None = None,
        output: str | Path | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.columns = columns
        self.label = label
        self.protocol = protocol
        self.held_out = held_out
        self.folds = folds
        self.output = output
        self.cache = cache

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.non_deterministic = True  # the masks are
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on rows, three parties on this machine.

        Args:
            X: [rows, columns], finite numbers.
            y: [rows], of two classes.

        Raises:
            ValueError: X or y is not what scikit-learn would take, or of other than two classes.
            InputError: a parameter or a column is refused by the kit; nothing was run.
            JobError: the run failed, or the model is wrong.
        """
        checked: tuple[Array, Any] = validate_data(
            self, X, y, dtype=np.float64, ensure_min_samples=2
        )
        x, target = checked
        check_classification_targets(target)
        self.classes_, labels = np.unique(target, return_inverse=True)
        if len(self.classes_) > 2:
            kind = type_of_target(target, input_name="y")
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        if len(self.classes_) < 2:
            raise ValueError("y has one class, and a classifier needs two to tell apart")
        names = [str(one) for one in getattr(self, "feature_names_in_", _numbered(x.shape[1]))]
        changing = np.ptp(x, axis=0) > 0
        if not changing.any():
            raise ValueError("no column of X changes, so that there is nothing to learn from")
        held = {
            holder: [i for i in own if changing[i]]
            for holder, own in self._whose(x.shape[1]).items()
        }
        tables = {holder: {names[i]: x[:, i] for i in own} for holder, own in held.items()}
        with TemporaryDirectory(prefix="tfe-kit-trial-") as room:
            output = Path(room, "out") if self.output is None else Path(self.output)
            done = trial.run(
                tables,
                labels,
                self.label,
                self._training(),
                self.protocol,
                self._evaluation(),
                output,
                None if self.cache is None else Path(self.cache),
            )
        self.report_: RunReport | None = done.report
        self._take(done.model, dict(zip(names, range(len(names)), strict=True)))
        self.n_iter_ = np.array([done.passes], np.int32)
        self._warn()
        return self

    @classmethod
    def from_model(cls, path: str | Path) -> Self:
        """The model in a ``model.json`` that its receiver has whole, ready to predict.

        Raises InputError for a file that is none, a model of which another party has a part, one
        of columns that are no plain numbers, and another kind of model.
        """
        scorer = Scorer.read(Path(path))
        trial.check_logistic(scorer.kind, Path(path))
        pipeline_of(scorer)  # which refuses columns that are no plain numbers
        made = cls()
        made.feature_names_in_ = np.array(scorer.features, dtype=object)
        made.n_features_in_ = len(scorer.features)
        made.classes_ = np.array([0, 1])
        made.report_ = None
        model = LinearDocument.load(Path(path))
        made._take(model, {name: i for i, name in enumerate(scorer.features)})
        passes = 0 if model.health is None else model.health.steps
        made.n_iter_ = np.array([passes], np.int32)
        return made

    def decision_function(self, X: ArrayLike) -> Array:
        """The weighted sums of rows, [rows]: positive for the second class."""
        check_is_fitted(self)
        x: Array = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(x @ self.coef_[0] + self.intercept_[0], np.float64)

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probabilities of both classes, [rows, 2]."""
        t = self.decision_function(X)
        p = 0.5 * (1.0 + np.tanh(0.5 * t))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: ArrayLike) -> Any:
        """The likelier class of rows, [rows]."""
        check_is_fitted(self)
        return self.classes_[(self.decision_function(X) > 0).astype(np.intp)]

    def save(self, path: str | Path) -> Path:
        """Write the model as ``model.json``, for ``deployer score``, ``export`` and ``from_model``.
        It is for its owner's eyes."""
        check_is_fitted(self)
        return trial.write(self.model_, Path(path))

    def _whose(self, count: int) -> dict[Holder, list[int]]:
        """The positions of each holder's columns. Raises ValueError where they are not X's."""
        if self.columns is None:
            return {"alice": list(range(count))}
        known = list(getattr(self, "feature_names_in_", range(count)))
        at = {name: i for i, name in enumerate(known)}
        if unknown := set(self.columns) - set(HOLDERS):
            raise ValueError(f"columns: {min(map(str, unknown))!r} is not a holder: alice or bob")
        found: dict[Holder, list[int]] = {}
        for holder in HOLDERS:
            given = list(self.columns.get(holder, ()))
            if missing := [name for name in given if name not in at]:
                raise ValueError(f"columns: X has no column {missing[0]!r}")
            if given:
                found[holder] = [at[name] for name in given]
        taken = [i for own in found.values() for i in own]
        if sorted(taken) != list(range(count)):
            off = next(known[i] for i in range(count) if taken.count(i) != 1)
            raise ValueError(f"columns: {off!r} has to be one holder's, and is not")
        return found

    def _training(self) -> dict[str, Any]:
        training: dict[str, Any] = {
            "C": float(self.C),
            "tolerance": float(self.tol),
            "passes": self.max_iter,
        }
        if self.class_weight is not None:
            given = dict(self.class_weight)
            if set(given) != set(self.classes_.tolist()):
                raise ValueError("class_weight: give the weight of both classes, by class")
            training["class_weight"] = {
                str(i): float(given[one]) for i, one in enumerate(self.classes_.tolist())
            }
        return training

    def _evaluation(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.held_out is not None:
            found["held_out"] = float(self.held_out)
        if self.folds is not None:
            found["folds"] = index(self.folds) if hasattr(self.folds, "__index__") else self.folds
        return found

    def _take(self, model: LinearDocument, at: Mapping[str, int]) -> None:
        """The weights of standardised columns, as those of columns in their own units."""
        self.model_ = model
        self.evaluation_: Evaluation | None = model.evaluation
        weights, mean, scale = (
            np.array(one, np.float64) for one in (model.weights, model.mean, model.scale)
        )
        own = weights / scale
        self.coef_ = np.zeros((1, len(at)))
        self.coef_[0, [at[name] for name in model.features]] = own
        assert model.intercept is not None
        self.intercept_ = np.array([model.intercept - float(own @ mean)])

    def _warn(self) -> None:
        health = self.model_.health
        if health is None:
            return
        for warning in health.warnings:
            kind = ConvergenceWarning if warning.startswith("training.passes") else UserWarning
            warnings.warn(warning.replace("training.passes", "max_iter"), kind, stacklevel=3)


def _numbered(count: int) -> list[str]:
    return [f"x{i}" for i in range(count)]
