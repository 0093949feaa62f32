"""Each kind of operation, lowered and run by the executor, gives what TensorFlow gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from party.meaning import KINDS, Known, fold, vocabulary
from party.native import Executor
from party.native.instructions import Op
from party.plan.graph import Operation
from party.process.errors import JobError
from party.schedule.assembler import Assembler, Value, lay_out
from party.schedule.lowering import LOWERINGS, lower
from tests.harness.plans import compiled

INTS = np.array([[0, 1, -1, 7], [2**62, -(2**63), 2**63 - 1, -8]], np.int64)
OTHER = np.array([[3, -1, 5, 2], [-7, 2, 3, -3]], np.int64)
BOOLS = np.array([[True, False, True, False], [False, False, True, True]])
FLOATS = np.array([[0.0, -1.5, 2.5, 1e6], [0.5, 3.75, -2.5, -1e-3]], np.float64)

Build = Callable[..., Any]


def cases() -> dict[str, tuple[Build, list[Any]]]:
    """For each kind, a graph of it and what is fed to it."""
    import tensorflow as tf

    from party.compiler.compat import kernels

    raw, bits = tf.raw_ops, tf.bitwise
    kit = kernels.operations()
    return {
        "Add": (lambda x, y: raw.Add(x=x, y=y), [INTS, OTHER]),
        "AddV2": (lambda x, y: x + y, [INTS, OTHER[:1]]),
        "Sub": (lambda x, y: x - y, [INTS, OTHER[:, :1]]),
        "Mul": (lambda x: x * tf.constant(-3, tf.int64), [INTS]),
        "FloorMod": (lambda x, y: x % y, [INTS, OTHER]),
        "FloorDiv": (lambda x, y: x // y, [INTS, np.abs(OTHER)]),
        "BitwiseXor": (bits.bitwise_xor, [INTS, OTHER]),
        "BitwiseAnd": (bits.bitwise_and, [INTS, OTHER]),
        "BitwiseOr": (bits.bitwise_or, [INTS, OTHER]),
        "LogicalAnd": (tf.logical_and, [BOOLS, ~BOOLS[:1]]),
        "LogicalOr": (tf.logical_or, [BOOLS, BOOLS[:, :1]]),
        "LeftShift": (bits.left_shift, [INTS, np.array(5, np.int64)]),
        "RightShift": (bits.right_shift, [INTS, np.array([[1, 2, 63, 0]], np.int64)]),
        "Equal": (tf.equal, [INTS, INTS[::-1]]),
        "NotEqual": (tf.not_equal, [BOOLS, BOOLS[::-1]]),
        "Less": (tf.less, [INTS, OTHER]),
        "LessEqual": (tf.less_equal, [INTS, INTS[:1]]),
        "Greater": (tf.greater, [FLOATS, FLOATS[::-1]]),
        "GreaterEqual": (tf.greater_equal, [INTS, OTHER]),
        "Neg": (tf.negative, [INTS]),
        "Invert": (bits.invert, [INTS]),
        "LogicalNot": (tf.logical_not, [BOOLS]),
        "Round": (tf.round, [FLOATS]),
        "Cast": (lambda x: tf.cast(x, tf.int64), [FLOATS]),
        "Select": (lambda c, x, y: raw.Select(condition=c, x=x, y=y), [BOOLS, INTS, OTHER]),
        "SelectV2": (tf.where, [BOOLS[:1], INTS, OTHER[:, :1]]),
        "Identity": (tf.identity, [INTS]),
        "StopGradient": (tf.stop_gradient, [FLOATS]),
        "Reshape": (lambda x: tf.reshape(x, [4, 2]), [INTS]),
        "ExpandDims": (lambda x: tf.expand_dims(x, 1), [INTS]),
        "Squeeze": (lambda x: tf.squeeze(x, [0]), [INTS[None]]),
        "Transpose": (tf.transpose, [INTS]),
        "Tile": (lambda x: tf.tile(x, [2, 3]), [INTS]),
        "BroadcastTo": (lambda x: tf.broadcast_to(x, [3, 2, 4]), [INTS]),
        "Slice": (lambda x: tf.slice(x, [0, 1], [2, 2]), [INTS]),
        "StridedSlice": (lambda x: x[::-1, 1::2, tf.newaxis], [INTS]),
        "GatherV2": (lambda x: tf.gather(x, [3, 0, 0], axis=1), [INTS]),
        "ReverseV2": (lambda x: tf.reverse(x, [1]), [INTS]),
        "ConcatV2": (lambda x, y: tf.concat([x, y], axis=1), [INTS, OTHER]),
        "Pack": (lambda x, y: tf.stack([x, y], axis=-1), [INTS, OTHER]),
        "MatMul": (lambda x, y: tf.matmul(x, y), [INTS, np.ascontiguousarray(OTHER.T)]),
        "Sum": (lambda x: tf.reduce_sum(x, axis=[1, 2]), [np.stack([INTS, OTHER, INTS])]),
        "KitBitSplit": (lambda x: kit.kit_bit_split(x, stride=2), [INTS]),
        "KitBitGather": (lambda x: kit.kit_bit_gather(x, start=1, stride=2), [INTS]),
        "KitBitReverse": (kit.kit_bit_reverse, [INTS]),
        "KitXorIndices": (kit.kit_xor_indices, [INTS]),
        "KitUniform": (
            lambda seed: kit.kit_uniform(
                shape=[5, 7],
                seed=seed,
                minval=tf.constant([-3], tf.int64),
                maxval=tf.constant([10**12], tf.int64),
            ),
            [np.arange(8, dtype=np.int32)],
        ),
        # What is known when the plan is built takes part as a constant.
        "Const": (lambda x: x + tf.constant(INTS), [OTHER]),
        "Fill": (lambda x: x + tf.fill([2, 4], tf.constant(9, tf.int64)), [OTHER]),
        "ZerosLike": (lambda x: x + raw.ZerosLike(x=x), [OTHER]),
        "OnesLike": (lambda x: x + raw.OnesLike(x=x), [OTHER]),
        "Shape": (lambda x: x + tf.cast(raw.Shape(input=x), tf.int64)[0], [OTHER]),
        "Range": (lambda x: x + tf.cast(raw.Range(start=0, limit=4, delta=1), tf.int64), [OTHER]),
    }


UNTESTED = {"KitSeed", "Snapshot", "BatchMatMulV2"}
"""Fresh every time; another name of Identity; another name of MatMul."""

LEFT_TO_THE_EXECUTOR = {"MatMul", "KitUniform", *vocabulary.BITS}
"""What nobody computes beforehand, even from constants."""


def kinds() -> list[str]:
    return sorted(KINDS - UNTESTED)


@dataclass(frozen=True)
class Case:
    """A small graph as a plan holds it, what is fed to it and what TensorFlow makes of that."""

    operations: tuple[Operation, ...]
    fed: list[str]
    target: str
    values: list[Any]
    expected: Any


@pytest.mark.parametrize("kind", kinds())
def test_a_lowered_operation_gives_what_tensorflow_gives(kind: str) -> None:
    case = compiled(build_case, kind)
    found = by_executor(case)
    assert found.dtype == case.expected.dtype
    np.testing.assert_array_equal(found, case.expected)


@pytest.mark.parametrize("kind", sorted(set(kinds()) - LEFT_TO_THE_EXECUTOR))
def test_what_follows_from_constants_is_what_tensorflow_gives(kind: str) -> None:
    case = compiled(build_case, kind)
    made = dict(zip(case.fed, case.values, strict=True))
    for operation in case.operations:
        if operation.kind != "Placeholder":
            folded = fold(operation, [Known.of(made[name]) for name in operation.inputs])
            assert folded is not None
            made[operation.name] = folded
    found = made[case.target]
    assert found.dtype == case.expected.dtype
    np.testing.assert_array_equal(found, case.expected)


def test_the_executor_can_do_every_kind_that_is_not_a_constant() -> None:
    assert set(LOWERINGS) == KINDS - vocabulary.SOURCES


@pytest.mark.parametrize(
    "kind, value, by",
    [("FloorDiv", 3, 0), ("FloorMod", 3, 0), *(("Cast", x, None) for x in (1e30, 128.0, np.nan))],
)
def test_constants_that_have_no_result_are_refused(kind: str, value: Any, by: Any) -> None:
    inputs = [Known.of(np.array([x])) for x in (value, by) if x is not None]
    operation = Operation("wrong", kind, None, ("x",), np.dtype(np.int8), (1,))
    with pytest.raises(JobError, match="cannot be computed from its constants"):
        fold(operation, inputs)


def build_case(kind: str) -> Case:
    """The case of a kind; called where TensorFlow is."""
    import tensorflow as tf

    from party.compiler.build import extract

    build, values = cases()[kind]
    graph = tf.Graph()
    with graph.as_default(), tf.device("/job:tfe/replica:0/task:0/device:CPU:0"):
        fed = [tf.compat.v1.placeholder(value.dtype, value.shape) for value in values]
        target = build(*fed)
        if isinstance(target, (list, tuple)):
            (target,) = target
    expected = _by_tensorflow(graph, fed, target, values)
    target.set_shape(expected.shape)
    assert any(node.op == kind for node in graph.as_graph_def().node), "the kind is not there"
    operations = extract(graph, [target.op.name])
    return Case(operations, [tensor.op.name for tensor in fed], target.op.name, values, expected)


def _by_tensorflow(graph: Any, fed: list[Any], target: Any, values: list[Any]) -> Any:
    import tensorflow as tf

    definition = graph.as_graph_def()
    for node in definition.node:
        node.device = ""
    local = tf.Graph()
    with local.as_default():
        tf.import_graph_def(definition, name="")
    feed = {tensor.name: value for tensor, value in zip(fed, values, strict=True)}
    return tf.compat.v1.Session(graph=local).run(target.name, feed)


def by_executor(case: Case) -> Any:
    """What the executor makes of the case; it fails as the executor does."""
    fed, target = case.fed, case.target
    assembler = Assembler()
    made: dict[str, Value] = {}
    for operation in case.operations:
        if operation.kind == "Placeholder":
            made[operation.name] = assembler.new(operation.shape, operation.dtype, pinned=True)
        else:
            inputs = [made[name] for name in operation.inputs]
            made[operation.name] = lower(assembler, operation, inputs)
    result = assembler.new(made[target].shape, made[target].dtype, pinned=True)
    assembler.emit(Op.COPY, result, made[target])
    pinned = [value.buffer for value in (*(made[name] for name in fed), result) if value.buffer]
    layout = lay_out([assembler.take_drafts()], pinned)
    arena = np.zeros(layout.arena_bytes + 64, np.uint8)
    arena = arena[-arena.ctypes.data % 64 :][: layout.arena_bytes]
    arena[: layout.constants.size] = layout.constants
    for name, value in zip(fed, case.values, strict=True):
        buffer = made[name].buffer
        assert buffer is not None
        arena[buffer.offset : buffer.offset + value.nbytes] = np.frombuffer(
            value.tobytes(), np.uint8
        )
    executor = Executor(arena, layout.index, (None, None, None), 0, (0, 0, 0))
    executor.run(layout.programs[0], 0, 1, None, None, 10.0, 10.0)
    assert result.buffer is not None
    raw = arena[result.buffer.offset : result.buffer.offset + result.bytes]
    return raw.view(result.dtype).reshape(result.shape).copy()


def test_a_kind_outside_the_vocabulary_is_refused_by_name() -> None:
    operation = Operation("evil", "ReadFile", 1, (), np.dtype(np.int64), ())
    with pytest.raises(JobError, match="no ReadFile"):
        lower(Assembler(), operation, [])


def test_a_layout_that_says_another_shape_than_it_makes_is_refused() -> None:
    x = Assembler().new((2, 3), np.dtype(np.int64))
    order = Value((2,), np.dtype(np.int32), constant=np.array([1, 0], np.int32))
    operation = Operation("turned", "Transpose", 1, ("x", "order"), x.dtype, (2, 3))
    with pytest.raises(JobError, match="shape that it says"):
        lower(Assembler(), operation, [x, order])


@pytest.mark.parametrize("kind", ["Neg", "Cast", "KitBitReverse"])
def test_no_instruction_reads_past_its_operands(kind: str) -> None:
    x = Assembler().new((2,), np.dtype(np.int64))
    dtype = np.dtype(np.int32) if kind == "Cast" else x.dtype
    grown = Operation("grown", kind, 1, ("x",), dtype, (400,))
    with pytest.raises(JobError, match="read more than there is"):
        lower(Assembler(), grown, [x])


@pytest.mark.parametrize(
    "kind, attributes",
    [
        ("GatherV2", {"batch_dims": 1}),
        ("BatchMatMulV2", {"adj_x": True}),
        ("BatchMatMulV2", {"adj_y": True}),
    ],
)
def test_an_attribute_that_a_plan_does_not_hold_is_refused(
    kind: str, attributes: dict[str, Any]
) -> None:
    assert compiled(why_not_extracted, kind, attributes).endswith("is not 0")


def why_not_extracted(kind: str, attributes: dict[str, Any]) -> str:
    """What is said of an operation of two square matrices; called where TensorFlow is."""
    import tensorflow as tf

    from party.compiler.build import extract

    graph = tf.Graph()
    with graph.as_default():
        x = tf.constant([[0, 1], [1, 0]])
        if kind == "GatherV2":
            target = tf.raw_ops.GatherV2(params=x, indices=x, axis=tf.constant(1), **attributes)
        else:
            target = tf.raw_ops.BatchMatMulV2(x=x, y=x, **attributes)
    try:
        extract(graph, [target.op.name])
    except JobError as error:
        return error.what
    return ""
