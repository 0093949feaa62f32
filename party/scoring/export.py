"""A model as files that other tools read: scikit-learn's, by skops or joblib, and ONNX.

Each gives the scores of ``Scorer.predict``, from plain numbers in their own units. The packages are
those of the kit's ``export`` extra, and are imported here alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from party.process.errors import InputError
from party.scoring.scorer import Scorer

ONNX_OPSET = 17
"""Read by every onnxruntime from 1.12 (2022) on."""
ONNX_IR = 8


def _plain(scorer: Scorer) -> None:
    """Raises InputError for columns that are more than numbers."""
    typed = [name for name, schema in scorer.schemas.items() if schema is not None]
    if typed:
        named = ", ".join(map(repr, typed[:12])) + f" and {len(typed) - 12} more" * (
            len(typed) > 12
        )
        what = f"the model has columns that are no plain numbers, {named}: no form has them yet"
        raise InputError(what, None, "score with deployer score or party score")


def onnx(scorer: Scorer) -> bytes:
    """An ONNX model: an input ``features``, float64 [rows, features], and an output ``score``,
    float64 [rows]; the names of the features are in its metadata."""
    _plain(scorer)
    _needs("onnx")
    from onnx import TensorProto, checker, helper, numpy_helper

    kind, count = TensorProto.DOUBLE, len(scorer.features)
    constants = {
        "mean": scorer.mean,
        "scale": scorer.scale,
        "weights": scorer.weights,
        "intercept": np.array(scorer.intercept),
    }
    steps = [
        ("Sub", ["features", "mean"], "centred"),
        ("Div", ["centred", "scale"], "standardised"),
        ("MatMul", ["standardised", "weights"], "weighted"),
    ]
    if scorer.kind == "logistic-regression":
        steps += [("Add", ["weighted", "intercept"], "sum"), ("Sigmoid", ["sum"], "score")]
    else:
        constants["unit"] = np.array(scorer.unit)
        steps += [("Add", ["weighted", "intercept"], "sum"), ("Mul", ["sum", "unit"], "score")]
    graph = helper.make_graph(
        [helper.make_node(operation, inputs, [output]) for operation, inputs, output in steps],
        scorer.kind,
        [helper.make_tensor_value_info("features", kind, ["rows", count])],
        [helper.make_tensor_value_info("score", kind, ["rows"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="tfe-kit",
        ir_version=ONNX_IR,
        opset_imports=[helper.make_opsetid("", ONNX_OPSET)],
    )
    helper.set_model_props(
        model, {"features": "\n".join(scorer.features), "job": scorer.job, "model": scorer.kind}
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def sklearn(scorer: Scorer) -> Any:
    """A scikit-learn pipeline, fitted: a ``StandardScaler`` and the model itself."""
    _plain(scorer)
    _needs("sklearn")
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    names = np.array(scorer.features, dtype=object)
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = scorer.mean, scorer.scale, scorer.scale**2
    scaler.n_samples_seen_ = 0  # how many rows there were is the parties' own
    model: Any
    if scorer.kind == "logistic-regression":
        model = LogisticRegression()
        model.classes_ = np.array([0, 1])
        model.coef_ = scorer.weights[np.newaxis]
        model.intercept_ = np.array([scorer.intercept])
        model.n_iter_ = np.array([0], np.int32)
    else:
        model = LinearRegression()
        model.coef_ = scorer.weights * scorer.unit
        model.intercept_ = scorer.intercept * scorer.unit
    for part in (scaler, model):
        part.n_features_in_ = len(names)
    scaler.feature_names_in_ = names
    return Pipeline([("standardise", scaler), ("model", model)])


def skops(scorer: Scorer) -> bytes:
    """``sklearn``'s pipeline in skops' form, whose reading runs no code of the file's."""
    _needs("skops")
    from skops.io import dumps

    return bytes(dumps(sklearn(scorer)))


def joblib(scorer: Scorer) -> bytes:
    """``sklearn``'s pipeline as a pickle of joblib's: only for who trusts the file."""
    _needs("joblib")
    from joblib import dump

    stream = io.BytesIO()
    dump(sklearn(scorer), stream)
    return stream.getvalue()


FORMS: dict[str, Callable[[Scorer], bytes]] = {"onnx": onnx, "skops": skops, "joblib": joblib}
"""What a model can be written as, by name."""


def _needs(package: str) -> None:
    if find_spec(package) is None:
        hint = "install the kit with its extra: pip install 'tfe-kit[export]'"
        raise InputError(f"the package {package} is not installed", None, hint)
