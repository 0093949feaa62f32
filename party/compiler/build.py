"""Builds a job's plan with TensorFlow. Imported only by the builder process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from party.compiler import compat
from party.models.interface import ProgramBuilder, Value
from party.plan.graph import Opening, Operation, Plan, Private, Program, Share, Shared, Slot
from party.plan.parameters import PlanParameters
from party.plan.seeds import send_seeds
from party.process.errors import JobError
from party.protocols.dealing import Dealing
from party.protocols.interface import Parts
from party.protocols.registry import protocol_of

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
        JobError: a graph has an operation that a plan cannot hold.
    """
    model = parameters.trained
    protocol = protocol_of(parameters.protocol)
    state = tuple(
        Shared(value.name, value.shape, "int64", value.parts or protocol.parts, value.by_rows)
        for value in model.state(parameters.layout, protocol)
    )
    programs = [build_program(parameters, name) for name in model.programs(parameters.layout)]
    scale = 2 ** model.result_bits(parameters.layout)
    return Plan(parameters, state, tuple(p.extracted() for p in programs), scale)


def build_program(parameters: PlanParameters, name: str) -> BuiltProgram:
    """The TensorFlow graph of one program, and the tensors that matter in it."""
    compat.load()
    import tensorflow as tf

    model, layout = parameters.trained, parameters.layout
    protocol = protocol_of(parameters.protocol)
    graph = tf.Graph()
    with graph.as_default():
        built = BuiltProgram(
            name,
            graph,
            protocol.parts,
            protocol.dealing(device, _drawn),
            model.state(layout, protocol),
            model.rows_of(name, layout),
            layout.in_ring,
        )
        model.build(name, layout, built)
    return built


class BuiltProgram(ProgramBuilder):
    """A program in its TensorFlow graph, while a model builds it and after.

    Attributes:
        name: of the program.
        graph: TensorFlow's.
        inputs: placeholders of batches of private tables, with their first columns.
        reads, writes: tensors of shares of the state.
        opens: opened values, in fixed point, each at its receiver.
    """

    def __init__(
        self,
        name: str,
        graph: Any,
        parts: Parts,
        dealing: Dealing,
        state: tuple[Value, ...],
        rows: int,
        in_ring: bool = False,
    ) -> None:
        self.name, self.graph, self.dealing = name, graph, dealing
        self._protocols_parts = parts
        self._in_ring = in_ring
        self._state = {value.name: value for value in state}
        self._rows = rows
        self._held: dict[str, list[list[Any]]] = {}
        self.inputs: list[tuple[Any, int, int]] = []
        self.reads: list[tuple[Any, Share]] = []
        self.writes: list[tuple[Any, Share]] = []
        self.opens: list[tuple[Any, str]] = []

    def own(self, party: int, first: int, columns: int, bits: int) -> Any:
        import tensorflow as tf

        with self.dealing.at(party):
            kind = tf.int64 if self._in_ring else tf.float32
            placeholder = tf.compat.v1.placeholder(kind, (self._rows, columns))
        self.inputs.append((placeholder, party, first))
        return placeholder if self._in_ring else self.dealing.encoded(placeholder, party, bits)

    def held(self, name: str) -> list[list[Any]]:
        import tensorflow as tf

        if name not in self._held:
            value = self._state[name]
            shape = (self._rows if value.by_rows else value.shape[0], value.shape[1])
            held: list[list[Any]] = []
            for party, parts in enumerate(self._parts(name)):
                with self.dealing.at(party):
                    held.append([tf.compat.v1.placeholder(tf.int64, shape) for _ in parts])
            self._held[name] = held
            self.reads += self._shares(name, held)
        return self._held[name]

    def _parts(self, name: str) -> Parts:
        return self._state[name].parts or self._protocols_parts

    def keep(self, name: str, shares: list[list[Any]]) -> None:
        self.writes += self._shares(name, shares)

    def reveal(self, name: str, to: int) -> None:
        parts = self._parts(name)
        self.opens.append((self.dealing.opened(self.held(name), parts, to), name))

    @staticmethod
    def _shares(name: str, shares: list[list[Any]]) -> list[tuple[Any, Share]]:
        return [
            (tensor, Share(name, party, position))
            for party, held in enumerate(shares)
            for position, tensor in enumerate(held)
        ]

    def extracted(self) -> Program:
        """The program as plain data."""
        targets = [tensor.op.name for tensor, _ in (*self.writes, *self.opens)]
        operations = send_seeds(extract(self.graph, targets))
        # What an opening does not add up is not read either.
        needed = {operation.name for operation in operations}
        return Program(
            name=self.name,
            operations=operations,
            inputs=tuple(Private(t.op.name, party, first) for t, party, first in self.inputs),
            reads=tuple(
                Slot(tensor.op.name, share)
                for tensor, share in self.reads
                if tensor.op.name in needed
            ),
            writes=tuple(Slot(tensor.op.name, share) for tensor, share in self.writes),
            opens=tuple(Opening(tensor.op.name, name) for tensor, name in self.opens),
        )


def _drawn(shape: list[int], dtype: Any) -> Any:
    """Random integers of the whole ring, from a seed of their own."""
    import tensorflow as tf

    from party.compiler.compat import kernels

    low, high = (tf.constant(bound, dtype) for bound in (dtype.min, dtype.max))
    return kernels.uniform(shape, kernels.seed(), low, high)


def device(party: int) -> str:
    """The TensorFlow device of a party."""
    return f"/job:tfe/replica:0/task:{party}/device:CPU:0"


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
