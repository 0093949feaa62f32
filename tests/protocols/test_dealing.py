"""What Alice and Bob compute with what the server deals is right for every share and every mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.models import descent
from party.models.evaluation import bins, program
from party.protocols.sines import ERROR, NARROW, WIDE, Wave
from tests.harness.plans import compiled

PROTOCOLS = ("pond", "aby3")
LARGEST = 2**62 - 1
WAVES = [pytest.param(NARROW, id="narrow"), pytest.param(WIDE, id="wide")]

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


def computed(protocol: str, what: str, values: list[int], *arguments: Any) -> np.ndarray:
    """What the shares add up to in the end, of values that were shared at random."""
    found = compiled(_computed, protocol, what, values, arguments)
    return np.asarray(found, np.int64)


def _computed(protocol: str, what: str, values: list[int], arguments: tuple[Any, ...]) -> Any:
    import tensorflow as tf

    from party.compiler.build import _drawn, device
    from party.protocols.dealing import SharedTable
    from party.protocols.registry import protocol_of

    column = np.array(values, np.int64)[:, np.newaxis]
    with tf.Graph().as_default() as graph:
        dealing = protocol_of(protocol).dealing(device, _drawn)
        parts = 2 if protocol == "pond" else 3
        drawn = [_drawn(list(column.shape), tf.int64) for _ in range(parts - 1)]
        rest = tf.constant(column)
        for share in drawn:
            rest = rest - share
        shared: Any = (*drawn, rest, None, None)[:3]
        if what == "product":
            matrix = np.array(arguments[0], np.int64)
            table = dealing.share(tf.constant(matrix), arguments[1])
            assert isinstance(table, SharedTable)
            both = shared if parts == 2 else (shared[0] + shared[2], shared[1], None)
            vector = dealing.spread(both)
            if arguments[2]:
                vector = dealing.for_tables_of(vector, table.holder)
            result = dealing.product(table, vector)
        else:
            if what == "tally":
                shared = dealing.narrowed(shared, 0)
            # With many arguments, the sum of what each of them gives.
            each = arguments if arguments and isinstance(arguments[0], tuple) else [arguments]
            results = [getattr(dealing, what)(shared, *some) for some in each]
            result = dealing.combined(*((1, some) for some in results))
        total = sum(share for share in result if share is not None)
    definition = graph.as_graph_def()
    for node in definition.node:
        node.device = ""
    with tf.Graph().as_default() as whole:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=whole) as session:
            return session.run(total.name).reshape(-1).tolist()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=15)
@given(
    values=st.lists(st.integers(-LARGEST, LARGEST), min_size=1, max_size=200),
    bits=st.integers(1, 61),
)
def test_a_rescaled_value_is_off_by_one_at_most_and_never_wrong(
    protocol: str, values: list[int], bits: int
) -> None:
    values = [*values, 0, 1, -1, LARGEST, -LARGEST]
    found = computed(protocol, "rescaled", values, bits)
    exact = np.array([value >> bits for value in values])
    assert set(np.unique(found - exact)) <= {0, 1}


@pytest.mark.parametrize("bits", [41, 33])
@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_sigmoid_is_the_waves(protocol: str, wave: Wave, bits: int) -> None:
    """One graph for many values: to make it takes longer than all that is computed in it."""
    drawn = np.random.default_rng(bits).uniform(-1, 1, 300)
    parts = np.concatenate([drawn, drawn / 100, [-1, 0, 1, 2**-30, -(2**-30)]])
    t = wave.range * parts
    values = [round(each * 2**bits) for each in t.tolist()]
    found = computed(protocol, "sigmoid", values, bits, 24, wave) / 2**24
    assert np.abs(found - wave.value(t)).max() < ERROR


@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sums_that_wrapped_around_have_the_phase_that_they_should(
    protocol: str, wave: Wave
) -> None:
    draw = np.random.default_rng(3)
    t = draw.integers(-(2**63), 2**63, 500)
    found = computed(protocol, "sigmoid", t.tolist(), 41, 24, wave) / 2**24
    phase = (t >> (41 - wave.phase_bits)) % 2**32 / 2**wave.phase_bits
    assert np.abs(found - wave.value(phase)).max() < ERROR


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("holder", [0, 1])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_product_is_exact(protocol: str, holder: int, kept: bool) -> None:
    draw = np.random.default_rng(4)
    matrix = draw.integers(-(2**40), 2**40, (7, 5))
    vector = draw.integers(-(2**60), 2**60, 5)
    found = computed(protocol, "product", vector.tolist(), matrix.tolist(), holder, kept)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, matrix @ vector)


@pytest.mark.parametrize("protocol", ["pond"])
@settings(max_examples=10)
@given(st.lists(st.integers(-(2**27), 2**27), min_size=1, max_size=40))
def test_the_sum_of_squares_is_exact(protocol: str, values: list[int]) -> None:
    (found,) = computed(protocol, "square_sum", values)
    assert found == sum(value**2 for value in values)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=10)
@given(st.lists(st.integers(-(2**31), 2**31), min_size=1, max_size=40))
def test_each_square_is_exact(protocol: str, values: list[int]) -> None:
    found = computed(protocol, "squared", values)
    assert list(found) == [value**2 for value in values]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=15)
@given(st.integers(0, 2**20), st.integers(0, 12), st.integers(1, 100))
def test_a_window_is_looked_up_right(protocol: str, value: int, drop: int, count: int) -> None:
    (found,) = computed(protocol, "within", [value], drop, 11, -1, count)
    off = 0 if drop == 0 else 2 if protocol == "aby3" else 1
    surely = [((value >> drop) - less + 1) % 2**11 < count for less in range(off + 1)]
    assert found in surely


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=8)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=30), st.integers(1, 6))
def test_a_tally_is_exact(protocol: str, values: list[int], bits: int) -> None:
    found = computed(protocol, "tally", values, bits)
    expected = np.bincount(np.array(values) % 2**bits, minlength=2**bits)
    np.testing.assert_array_equal(found, expected)


SCORES = st.floats(-WIDE.range - 10, WIDE.range + 10) | st.builds(
    lambda bits, near: 2.0**bits + near, st.integers(7, 28), st.floats(-2, 2)
)


@settings(max_examples=6)
@given(t=st.lists(SCORES, min_size=1, max_size=200), above=st.booleans())
def test_a_score_is_counted_where_it_belongs_or_said_to_lie_outside(
    t: list[float], above: bool
) -> None:
    """Of every score there is, though it wraps around the grid as often as it may."""
    bits = descent.FEATURE_BITS + descent.WEIGHT_BITS
    values = [round((each if above else -each) * 2**bits) for each in t]

    def outside(some: list[int]) -> int:
        return sum(
            computed("pond", "outside", some, bits + drop, *window)[0]
            for drop, *window in program.WINDOWS
        )

    far = [value for value in values if abs(value) >= 128 * 2**bits]
    within = [value for value in values if abs(value) <= bins.RANGE * 2**bits]
    assert not far or outside(far) >= len(far)
    assert not within or outside(within) == 0
