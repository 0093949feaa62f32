"""The native functions as TensorFlow operations: the same integers, known shapes, clear errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from party.native.instructions import Type
from party.native.library import library
from tests.compiler.compat.conftest import Native
from tests.harness.plans import compiled

SEED = np.arange(1, 9, dtype=np.int32)
SIGNED = [Type.INT8, Type.INT16, Type.INT32, Type.INT64]


@dataclass(frozen=True)
class Answer:
    """What came of an operation: its shape when it was built and its value when it was run, or
    the text of an InvalidArgumentError."""

    shape: list[int | None] | None = None
    value: Any = None
    error: str | None = None


def asked(mode: str, function: str, arguments: dict[str, Any]) -> Answer:
    """Where TensorFlow is: calls a function of ``compat.kernels``, or an operation by its name,
    eagerly, in a traced function or in a session."""
    import tensorflow as tf

    from party.compiler.compat import kernels

    shapes = []

    def build() -> Any:
        constants = {
            name: tf.constant(value) if isinstance(value, np.ndarray) else value
            for name, value in arguments.items()
        }
        owner = kernels.operations() if function.startswith("kit_") else kernels
        result = getattr(owner, function)(**constants)
        shapes.append(result.shape.as_list() if result.shape.rank is not None else None)
        return result

    try:
        if mode == "eagerly":
            value = build().numpy()
        elif mode == "traced":
            value = tf.function(build)().numpy()
        else:
            with tf.Graph().as_default(), tf.compat.v1.Session() as session:
                value = session.run(build())
    except tf.errors.InvalidArgumentError as error:
        return Answer(error=error.message)
    return Answer(shapes[0], value)


def ask(mode: str, function: str, **arguments: Any) -> Answer:
    return compiled(asked, mode, function, arguments)


everywhere = pytest.mark.parametrize("mode", ["eagerly", "traced", "in a session"])


@everywhere
@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize("bounds", [(0, 2), (-7, 100), (-100, 28), None], ids=str)
def test_uniform_is_the_executors(
    native: Native, mode: str, kind: Type, bounds: tuple[int, int] | None
) -> None:
    ring = np.iinfo(kind.numpy)
    low, high = np.array(bounds or (ring.min, ring.max), kind.numpy)
    answer = ask(mode, "uniform", shape=[3, 50], seed=SEED, minval=low, maxval=high)
    width = int(high) - int(low) if bounds else 0
    expected = native.uniform(SEED.tobytes(), kind, int(low), width, 150)
    assert answer.shape == [3, 50]
    np.testing.assert_array_equal(answer.value, expected.reshape(3, 50))


def test_a_mask_may_be_the_largest_integer() -> None:
    """From the smallest to the largest is the whole ring: see ``kernels.uniform``."""
    bounds = {"minval": np.array(-128, np.int8), "maxval": np.array(127, np.int8)}
    mask = ask("eagerly", "uniform", shape=[5000], seed=SEED, **bounds).value
    assert set(mask.tolist()) == set(range(-128, 128))


@everywhere
@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.name.lower())
def test_bits_are_the_executors(native: Native, mode: str, kind: Type) -> None:
    x = native.uniform(SEED.tobytes(), kind, 0, 0, 12).reshape(3, 4)
    for stride in (1, 2, 3, 8):
        answer = ask(mode, "bit_split", x=x, stride=stride)
        assert answer.shape == [stride, 3, 4]
        expected = native.bits("kit_bit_split", x, stride, copies=stride)
        np.testing.assert_array_equal(answer.value, expected)
    for function, parameters in (
        ("bit_gather", {"start": 1, "stride": 2}),
        ("bit_reverse", {}),
        ("xor_indices", {}),
    ):
        answer = ask(mode, function, x=x, **parameters)
        assert answer.shape == [3, 4]
        expected = native.bits(f"kit_{function}", x, *parameters.values())
        np.testing.assert_array_equal(answer.value, expected)


@everywhere
@pytest.mark.parametrize("shape", [[], [0], [2, 0, 3], [1] * 60, [7]], ids=str)
def test_any_shape(mode: str, shape: list[int]) -> None:
    bounds = {"minval": np.array(0), "maxval": np.array(5)}
    answer = ask(mode, "uniform", shape=shape, seed=SEED, **bounds)
    assert answer.shape == shape
    assert answer.value.shape == tuple(shape)
    answer = ask(mode, "bit_split", x=answer.value, stride=2)
    assert answer.shape == [2, *shape]
    assert answer.value.shape == (2, *shape)


@everywhere
def test_a_shape_may_be_a_tensor_of_either_type(mode: str) -> None:
    for dtype in (np.int32, np.int64):
        bounds = {"minval": np.array(0), "maxval": np.array(5)}
        answer = ask(mode, "uniform", shape=np.array([2, 3], dtype), seed=SEED, **bounds)
        assert answer.shape == [2, 3]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a negative dimension": ({"shape": [3, -1]}, "a dimension is negative"),
    "too many elements": ({"shape": [2**31 - 1] * 3}, "the shape is too large"),
    "too many elements and none": ({"shape": [2**31 - 1] * 3 + [0]}, "the shape is too large"),
    "a shape of two dimensions": ({"shape": [[3]]}, "shape is not a vector"),
    "too many dimensions": ({"shape": [1] * 255}, "shape is not a vector"),
    "a short seed": ({"seed": [1]}, "seed is not a vector of 8"),
    "a square seed": ({"seed": [[1] * 4] * 2}, "seed is not a vector of 8"),
    "bounds that are equal": ({"minval": 9}, "minval is not below maxval"),
    "bounds in the wrong order": ({"minval": 10}, "minval is not below maxval"),
    "several lower bounds": ({"minval": [1, 2]}, "not one integer"),
    "no upper bound": ({"maxval": []}, "not one integer"),
}


@everywhere
@pytest.mark.parametrize(("change", "text"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_an_error_of_the_operation(
    mode: str, change: dict[str, Any], text: str
) -> None:
    given = {"shape": [3], "seed": SEED, "minval": 0, "maxval": 9} | change
    answer = ask(mode, "kit_uniform", **{k: np.array(v, np.int32) for k, v in given.items()})
    assert answer.error is not None
    assert text in answer.error


@everywhere
@pytest.mark.parametrize(
    ("function", "parameters"),
    [("kit_bit_split", {"stride": stride}) for stride in (0, -1, 9, 65)]
    + [("kit_bit_gather", {"start": 0, "stride": stride}) for stride in (0, -1, 9, 65)]
    + [("kit_bit_gather", {"start": start, "stride": 1}) for start in (-1, 8)],
)
def test_bits_outside_an_element_are_an_error_of_the_operation(
    mode: str, function: str, parameters: dict[str, int]
) -> None:
    answer = ask(mode, function, x=np.ones(3, np.int8), **parameters)
    assert answer.error is not None
    assert "is not within the bits of an element" in answer.error


def rows_known_later() -> tuple[Any, Any]:
    import tensorflow as tf

    from party.compiler.compat import kernels

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        rows = tf.compat.v1.placeholder(tf.int64, [])
        drawn = kernels.uniform(tf.stack([rows, 3]), SEED, tf.constant(0), tf.constant(9))
        return drawn.shape.as_list(), session.run(drawn, {rows: 4}).shape


def test_what_is_known_of_a_shape_is_kept() -> None:
    assert compiled(rows_known_later) == ([None, 3], (4, 3))


def two_masks_thrice() -> tuple[set[str], list[Any]]:
    import tensorflow as tf

    from party.compiler.compat import secure_random

    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        masks = [secure_random.random_uniform([40], maxval=2**40, dtype=tf.int64) for _ in "ab"]
        stateful = {op.type for op in graph.get_operations() if op.op_def.is_stateful}
        return stateful, [session.run(masks) for _ in range(3)]


def test_the_seed_is_the_only_source_of_randomness() -> None:
    """And it is drawn anew for every mask and every run: nothing is folded or shared."""
    stateful, runs = compiled(two_masks_thrice)
    assert stateful == {"KitSeed"}
    assert len({value for masks in runs for mask in masks for value in mask.tolist()}) == 240


def one_traced_function() -> set[bytes]:
    import tensorflow as tf

    from party.compiler.compat import secure_random

    seed = tf.function(lambda: secure_random.secure_seed())
    return {seed().numpy().tobytes() for _ in range(5)}


def test_a_traced_function_draws_anew_at_every_call() -> None:
    assert len(compiled(one_traced_function)) == 5


def drawn_together(seeds: list[Any]) -> list[Any]:
    import tensorflow as tf

    from party.compiler.compat import secure_random

    config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=8)
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        fed = [tf.compat.v1.placeholder(tf.int32, [8]) for _ in seeds]
        drawn = [
            secure_random.seeded_random_uniform([5000], 0, 1129, tf.int64, seed) for seed in fed
        ]
        return session.run(drawn, dict(zip(fed, seeds, strict=True)))


def test_threads_do_not_disturb_each_other(native: Native) -> None:
    seeds = [SEED + i for i in range(64)]
    for seed, values in zip(seeds, compiled(drawn_together, seeds), strict=True):
        expected = native.uniform(seed.tobytes(), Type.INT64, 0, 1129, 5000)
        np.testing.assert_array_equal(values, expected)


def beside_tensorflow() -> Any:
    return Native(library()).uniform(SEED.tobytes(), Type.INT64, 0, 1129, 100)


def test_the_executor_beside_tensorflow_is_the_same(native: Native) -> None:
    """TensorFlow brings functions with the names of OpenSSL's; see random.c and library.py."""
    expected = native.uniform(SEED.tobytes(), Type.INT64, 0, 1129, 100)
    np.testing.assert_array_equal(compiled(beside_tensorflow), expected)
