"""A model as files that other tools read: scikit-learn's, by skops or joblib, and ONNX.

Each gives the scores of ``Scorer.predict``, from cells as a table has them: numbers in their own
units, words as texts. A model is a sum of what each column adds to it (``party.scoring.sums``), and
so are these. The packages are those of the kit's ``export`` extra, and are imported here alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from party.models.registry import TRAINED
from party.process.errors import InputError
from party.scoring.scorer import Scorer
from party.scoring.sums import Number, Sums

ONNX_OPSET = 17
"""Read by every onnxruntime from 1.12 (2022) on."""
ONNX_IR = 8
ONNX_ML_OPSET = 2


def onnx(scorer: Scorer) -> bytes:
    """An ONNX model: inputs ``features``, float64 [rows, numbers], and ``texts``, of strings [rows,
    words], as far as there are such columns, and an output ``score``, float64 [rows]. The names of
    the columns of each are in its metadata. A cell that its column cannot take scores NaN."""
    _needs("onnx")
    from onnx import TensorProto, checker, helper, numpy_helper

    sums = Sums.of(scorer)
    graph = _Graph()
    inputs = []
    total = graph.constant(np.array(sums.intercept))
    if sums.numbers:
        inputs.append(_input("features", TensorProto.DOUBLE, len(sums.numbers)))
        total = graph.add("Add", total, _numbers(graph, list(sums.numbers.values())))
    if sums.words:
        inputs.append(_input("texts", TensorProto.STRING, len(sums.words)))
        for i, word in enumerate(sums.words.values()):
            cells = graph.add("Gather", "texts", graph.constant(np.array(i)), axis=1)
            place = graph.add(
                "LabelEncoder",
                cells,
                domain="ai.onnx.ml",
                keys_strings=list(word.adds),
                values_int64s=list(range(len(word.adds))),
                default_int64=len(word.adds),
            )
            added = np.array([*word.adds.values(), np.nan if word.other is None else word.other])
            total = graph.add("Add", total, graph.add("Gather", graph.constant(added), place))
    if TRAINED[scorer.kind].classes:
        total = graph.add("Sigmoid", total)
    else:
        total = graph.add("Mul", total, graph.constant(np.array(scorer.unit)))
    graph.nodes.append(helper.make_node("Identity", [total], ["score"]))
    made = helper.make_graph(
        graph.nodes,
        scorer.kind,
        inputs,
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["rows"])],
        [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    model = helper.make_model(
        made,
        producer_name="tfe-kit",
        ir_version=ONNX_IR,
        opset_imports=[
            helper.make_opsetid("", ONNX_OPSET),
            helper.make_opsetid("ai.onnx.ml", ONNX_ML_OPSET),
        ],
    )
    names = {"features": list(sums.numbers), "texts": list(sums.words)}
    told = {name: "\n".join(columns) for name, columns in names.items() if columns}
    helper.set_model_props(model, told | {"job": scorer.job, "model": scorer.kind})
    checker.check_model(model)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants of an ONNX graph, while it is built."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any) -> str:
        """A constant's name."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return name

    def add(self, operation: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The name of an operation's result."""
        from onnx import helper

        name = f"value_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operation, list(inputs), [name], domain=domain, **attributes)
        )
        return name


def _input(name: str, kind: int, columns: int) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, ["rows", columns])


def _numbers(graph: _Graph, numbers: list[Number]) -> str:
    """What the columns of numbers add to the sum."""

    def of(name: str, none: float) -> str:
        values = (getattr(one, name) for one in numbers)
        return graph.constant(np.array([none if value is None else value for value in values]))

    gaps = graph.add("IsNaN", "features")
    # What is infinite becomes NaN, as inf - inf is.
    finite = graph.add("Add", "features", graph.add("Sub", "features", "features"))
    values = graph.add("Where", gaps, of("fill", np.nan), finite)
    if any(one.log1p for one in numbers):
        one = graph.constant(np.array(1.0))
        logarithm = graph.add("Log", graph.add("Add", values, one))
        # Where there is none, log1p of -1 included.
        none = graph.add("LessOrEqual", values, graph.constant(np.array(-1.0)))
        logarithm = graph.add("Where", none, graph.constant(np.array(np.nan)), logarithm)
        taken = graph.constant(np.array([number.log1p for number in numbers]))
        values = graph.add("Where", taken, logarithm, values)
    for bound, beyond in (("low", "Less"), ("high", "Greater")):
        if any(getattr(number, bound) is not None for number in numbers):
            limit = of(bound, -np.inf if bound == "low" else np.inf)
            values = graph.add("Where", graph.add(beyond, values, limit), limit, values)
    total = graph.add("MatMul", values, of("weight", 0.0))
    if any(number.gap for number in numbers):
        marks = graph.add("Cast", gaps, to=11)  # to float64
        total = graph.add("Add", total, graph.add("MatMul", marks, of("gap", 0.0)))
    return total


def sklearn(scorer: Scorer) -> Any:
    """A scikit-learn pipeline, fitted: a ``StandardScaler`` and the model itself; where columns are
    more than plain numbers, a ``ColumnTransformer`` of the table's columns in the model's order
    takes the scaler's place. NaN is a gap in a number, an empty text one in a word."""
    _needs("sklearn")
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import Pipeline

    typed = any(schema is not None for schema in scorer.schemas.values())
    first, weights, intercept = _of_columns(scorer) if typed else _standardised(scorer)
    model: Any
    if TRAINED[scorer.kind].classes:
        model = LogisticRegression()
        model.classes_ = np.array([0, 1])
        model.coef_ = weights[np.newaxis]
        model.intercept_ = np.array([intercept])
        model.n_iter_ = np.array([0], np.int32)
    else:
        model = LinearRegression()
        model.coef_ = weights * scorer.unit
        model.intercept_ = intercept * scorer.unit
    model.n_features_in_ = len(weights)
    return Pipeline([("columns" if typed else "standardise", first), ("model", model)])


def _standardised(scorer: Scorer) -> tuple[Any, Any, float]:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = scorer.mean, scorer.scale, scorer.scale**2
    scaler.n_samples_seen_ = 0  # how many rows there were is the parties' own
    scaler.n_features_in_ = len(scorer.features)
    scaler.feature_names_in_ = np.array(scorer.features, dtype=object)
    return scaler, scorer.weights, scorer.intercept


def _of_columns(scorer: Scorer) -> tuple[Any, Any, float]:
    """A ``ColumnTransformer``, and the weights of what it makes: fitted to a row that is made up,
    and then given what was learnt from the true ones."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import KNNImputer, MissingIndicator
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        FunctionTransformer,
        MinMaxScaler,
        OneHotEncoder,
        StandardScaler,
    )

    sums = Sums.of(scorer)
    parts: list[Any] = []
    weights: list[float] = []
    intercept = sums.intercept
    row: list[Any] = []  # that is made up

    def as_float() -> Any:
        return StandardScaler(with_mean=False, with_std=False)

    for i, name in enumerate(scorer.schemas):
        if (word := sums.words.get(name)) is not None:
            unknown = "error" if word.other is None else "ignore"
            # An empty cell that is no gap is an error too, or another value, as a word is.
            taken = {cell: adds for cell, adds in word.adds.items() if adds == adds}
            encoder = OneHotEncoder(
                categories=[list(taken)], handle_unknown=unknown, sparse_output=False
            )
            parts.append((f"column {i}", encoder, [i]))
            base = word.other or 0.0  # of a word that is not known, and has no place
            weights += [adds - base for adds in taken.values()]
            intercept += base
            row.append(next(iter(taken)))
            continue
        number = sums.numbers[name]
        steps = [as_float()]
        if number.fill is not None:
            # The nearest of one neighbour. (SimpleImputer keeps a type that skops does not trust.)
            steps.append(KNNImputer(n_neighbors=1))
        if number.log1p:
            steps.append(FunctionTransformer(np.log1p))
        if number.low is not None and number.high is not None:
            # Of a range that it takes to itself, all that it does is clip.
            steps.append(MinMaxScaler((number.low, number.high), clip=True))
        parts.append((f"column {i}", make_pipeline(*steps), [i]))
        weights.append(number.weight)
        if number.gap:
            marked = make_pipeline(as_float(), MissingIndicator(features="all"))
            parts.append((f"gaps of column {i}", marked, [i]))
            weights.append(number.gap)
        row.append(0.0)
    transformer = ColumnTransformer(parts, sparse_threshold=0.0)
    transformer.fit(np.array([row, row], dtype=object))
    for name, number in sums.numbers.items():
        part = transformer.named_transformers_[f"column {list(scorer.schemas).index(name)}"]
        for step in part.named_steps.values():
            if isinstance(step, KNNImputer):
                step.fit([[number.fill]])
            elif isinstance(step, MinMaxScaler):
                step.scale_, step.min_ = np.ones(1), np.zeros(1)
    return transformer, np.array(weights), intercept


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
