"""Builds a job's plan with TensorFlow and tf-encrypted. Imported only by the builder process."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from party.agreement.job import PARTIES
from party.compiler import compat
from party.models.logistic_regression import graph as logistic_graph
from party.plan.graph import Operation, Plan
from party.plan.parameters import PlanParameters
from party.plan.seeds import send_seeds
from party.process.errors import JobError

_MODELS = {"logistic-regression": logistic_graph.build}

_ATTRIBUTES = {
    "StridedSlice": (
        "begin_mask",
        "end_mask",
        "ellipsis_mask",
        "new_axis_mask",
        "shrink_axis_mask",
    ),
    "MatMul": ("transpose_a", "transpose_b"),
    "Pack": ("axis",),
    "Squeeze": ("squeeze_dims",),
    "Sum": ("keep_dims",),
    "KitBitSplit": ("stride",),
    "KitBitGather": ("start", "stride"),
}
"""The attributes that an operation's meaning depends on; those of other kinds follow from the
types and shapes."""

_DEFAULTS = {
    "GatherV2": {"batch_dims": 0},
    "BatchMatMulV2": {"adj_x": 0, "adj_y": 0},
}
"""Attributes that are not part of a plan: an operation means what it does with these values."""

_OF_A_PARTY = frozenset({"Placeholder", "KitSeed"})
"""The kinds whose results come from one party, although they read nothing."""


def build(parameters: PlanParameters) -> Plan:
    """The plan for the parameters: the same operations in the same order in every process.

    Raises:
        JobError: the graph has an operation that a plan cannot hold.
    """
    graph, built = build_graph(parameters)
    state = tuple(
        tuple((before.op.name, after.op.name) for before, after in pairs) for pairs in built.state
    )
    targets = [after for pairs in state for _, after in pairs] + [built.result.op.name]
    return Plan(
        parameters=parameters,
        operations=send_seeds(extract(graph, targets)),
        inputs={party: tensor.op.name for party, tensor in built.inputs.items()},
        state=state,
        result=built.result.op.name,
        scale=built.scale,
    )


def build_graph(parameters: PlanParameters) -> tuple[Any, logistic_graph.BuiltGraph]:
    """The TensorFlow graph of one step, and the tensors that matter in it."""
    tfe = compat.load()
    import tensorflow as tf
    from tf_encrypted.protocol import protocol as memoized

    graph = tf.Graph()
    with graph.as_default(), _seeded_coins(parameters.digest):
        # tf-encrypted remembers what it built by argument; a former graph's tensors are no use.
        memoized.nodes.clear()
        hosts = OrderedDict((f"server{i}", f"{party}:0") for i, party in enumerate(PARTIES))
        tfe.set_config(tfe.RemoteConfig(hosts))
        built = _MODELS[parameters.model](parameters, tfe, device)
    return graph, built


def device(party: int) -> str:
    """The TensorFlow device of a party, as tf-encrypted's RemoteConfig names it."""
    return f"/job:tfe/replica:0/task:{party}/device:CPU:0"


@contextmanager
def _seeded_coins(digest: str) -> Iterator[None]:
    """tf-encrypted tosses coins while it builds (which server does a public operation, names).

    Parties whose coins differ cut different graphs and would wait for each other for ever. These
    coins are public; no secret is drawn from them.
    """
    python, legacy = random.getstate(), np.random.get_state()
    random.seed(digest)
    np.random.seed(int(digest[:8], 16))
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)


def extract(graph: Any, targets: list[str]) -> tuple[Operation, ...]:
    """The operations of a TensorFlow graph that the targets need, in the order of building.

    Raises:
        JobError: one of them cannot be part of a plan.
    """
    needed: set[str] = set()
    todo = list(targets)
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        todo.extend(source.op.name for source in graph.get_operation_by_name(name).inputs)
    public: set[str] = set()
    operations = []
    for op in graph.get_operations():
        if op.name in needed:
            operation = _operation(op)
            if operation.kind not in _OF_A_PARTY and public.issuperset(operation.inputs):
                # Everyone knows the constants, so nobody needs to be sent what follows from them.
                operation = replace(operation, party=None)
                public.add(operation.name)
            operations.append(operation)
    return tuple(operations)


def _operation(op: Any) -> Operation:
    import tensorflow as tf

    def refuse(why: str) -> JobError:
        return JobError(f"the plan cannot hold {op.type} {op.name!r}: {why}")

    if len(op.outputs) != 1:
        raise refuse(f"it has {len(op.outputs)} results")
    if op.control_inputs:
        raise refuse("it waits for operations whose results it does not read")
    output = op.outputs[0]
    if not output.shape.is_fully_defined():
        raise refuse("its shape is not known")
    if any(source.value_index for source in op.inputs):
        raise refuse("it reads a second result")
    for name, default in _DEFAULTS.get(op.type, {}).items():
        if op.get_attr(name) != default:
            raise refuse(f"its {name} is not {default}")
    return Operation(
        name=op.name,
        kind=op.type,
        party=_placed(op.device),
        inputs=tuple(source.op.name for source in op.inputs),
        dtype=np.dtype(output.dtype.as_numpy_dtype),
        shape=tuple(output.shape.as_list()),
        attributes={name: _plain(op.get_attr(name)) for name in _ATTRIBUTES.get(op.type, ())},
        value=(
            np.array(tf.make_ndarray(op.get_attr("value")), order="C")
            if op.type == "Const"
            else None
        ),
    )


def _placed(device_name: str) -> int | None:
    if not device_name:
        return None
    return int(device_name.split("/task:")[1].split("/")[0])


def _plain(value: Any) -> Any:
    return [int(item) for item in value] if isinstance(value, list) else int(value)
