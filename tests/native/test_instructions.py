"""Each instruction alone does what NumPy does, in every variant of the library."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.native import Executor, Kind, RunError, library
from party.native.instructions import Mode, Op, Type
from party.process.errors import InputError, JobError
from tests.harness.executors import aligned
from tests.native.assembling import NOBODY, Room, compute, instruction, program, read

Array = npt.NDArray[Any]

FLOATS = (Type.FLOAT32, Type.FLOAT64)
INTEGERS = tuple(t for t in Type if t not in (*FLOATS, Type.BOOL))
NUMBERS = INTEGERS + FLOATS
SIGNED = (Type.INT8, Type.INT16, Type.INT32, Type.INT64)

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")

examples = settings(max_examples=12)  # thrice: once a variant


VARIANTS = [
    "baseline",
    pytest.param("v3", marks=pytest.mark.slow),
    pytest.param("v4", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=VARIANTS, autouse=True)
def variant(request: pytest.FixtureRequest) -> Iterator[str]:
    """The tests of this module run with each variant that this processor can run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.CPU, request.param)
        forget()
        try:
            library.library()
            yield request.param
        except (InputError, JobError):
            pytest.skip("not for this processor, or not built")
        finally:
            forget()


def forget() -> None:
    """The next executor chooses its variant anew."""
    library.library.cache_clear()
    library.variant.cache_clear()


def elements(type_: Type) -> st.SearchStrategy[Any]:
    """Any element, those at the edges more often."""
    if type_ is Type.BOOL:
        return st.booleans()
    if type_ in FLOATS:
        width = 8 * type_.size
        edges = [0.0, -0.0, 0.5, 1.5, -2.5, np.inf, -np.inf, np.nan, 2.0**31, -(2.0**63), 1e30]
        return st.sampled_from(edges) | st.floats(width=width)  # type: ignore[arg-type]
    info = np.iinfo(type_.numpy)
    edges = [0, 1, 2, 3, info.min, info.min + 1, info.max, info.max - 1, info.max // 2, info.bits]
    if info.min < 0:
        edges += [-1, -2, -info.bits]
    return st.sampled_from(edges) | st.integers(int(info.min), int(info.max))


def arrays(type_: Type, n: int) -> st.SearchStrategy[Array]:
    """n elements; few of them drawn and repeated, so that long loops are reached cheaply."""

    def spread(drawn: list[Any]) -> Array:
        return np.resize(np.array(drawn, type_.numpy), n)

    return st.lists(elements(type_), min_size=1, max_size=11).map(spread)


lengths = st.integers(0, 20) | st.sampled_from([31, 64, 67, 130])


def operand(draw: Any, type_: Type, n: int) -> tuple[Array, Mode, Array, Array]:
    """Values as they lie in memory, how they are read, their list, and what is read so."""
    mode = draw(st.sampled_from(Mode))
    none = np.zeros(0, np.int32)
    if mode is Mode.EACH:
        values = draw(arrays(type_, n))
        return values, mode, none, values
    if mode is Mode.ONE:
        values = draw(arrays(type_, 1))
        return values, mode, none, np.repeat(values, n)
    values = draw(arrays(type_, draw(st.integers(1, 20))))
    picks = draw(st.lists(st.integers(0, values.size - 1), min_size=1, max_size=13))
    list_ = np.resize(np.array(picks, np.int32), n)
    return values, mode, list_, values[list_]


def same(got: Array, expected: Array) -> None:
    """Bit for bit, but for which NaN it is."""
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    if got.dtype.kind == "f":
        kept = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[kept]), np.signbit(expected[kept]))


def clamped(shift: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda x, y: shift(x, np.clip(y, 0, 8 * x.dtype.itemsize - 1).astype(x.dtype))


BINARY: dict[Op, tuple[Callable[[Array, Array], Array], tuple[Type, ...]]] = {
    Op.ADD: (np.add, NUMBERS),
    Op.SUB: (np.subtract, NUMBERS),
    Op.MUL: (np.multiply, NUMBERS),
    Op.XOR: (np.bitwise_xor, (*INTEGERS, Type.BOOL)),
    Op.AND: (np.bitwise_and, (*INTEGERS, Type.BOOL)),
    Op.OR: (np.bitwise_or, (*INTEGERS, Type.BOOL)),
    Op.SHL: (clamped(np.left_shift), INTEGERS),
    Op.SHR: (clamped(np.right_shift), INTEGERS),
    Op.EQ: (operator.eq, tuple(Type)),
    Op.NE: (operator.ne, tuple(Type)),
    Op.LT: (operator.lt, tuple(Type)),
    Op.LE: (operator.le, tuple(Type)),
    Op.GT: (operator.gt, tuple(Type)),
    Op.GE: (operator.ge, tuple(Type)),
}

DIVISIONS: dict[Op, Callable[[Array, Array], Array]] = {
    Op.FLOORMOD: np.remainder,
    Op.FLOORDIV: np.floor_divide,
}

UNARY: dict[Op, tuple[Callable[[Array], Array], tuple[Type, ...]]] = {
    Op.NEG: (np.negative, NUMBERS),
    Op.INVERT: (np.invert, (*INTEGERS, Type.BOOL)),
    Op.NOT: (np.logical_not, (Type.BOOL,)),
    Op.ROUND: (np.rint, FLOATS),
}


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.name)
@examples
@given(st.data())
def test_two_operands_element_by_element(op: Op, data: st.DataObject) -> None:
    reference, types = BINARY[op]
    type_, n = data.draw(st.sampled_from(types)), data.draw(lengths)
    x, mode_x, list_x, read_x = operand(data.draw, type_, n)
    y, mode_y, list_y, read_y = operand(data.draw, type_, n)
    expected = reference(read_x, read_y)
    got = compute(
        op,
        type_,
        [x, y],
        n,
        result=expected.dtype,
        modes=[mode_x, mode_y],
        lists=[list_x, list_y],
    )
    same(got, expected)


@pytest.mark.parametrize("op", DIVISIONS, ids=lambda op: op.name)
@examples
@given(st.data())
def test_division_rounds_down_and_errors_on_zero(op: Op, data: st.DataObject) -> None:
    type_, n = data.draw(st.sampled_from(INTEGERS)), data.draw(lengths)
    x, mode_x, list_x, read_x = operand(data.draw, type_, n)
    y, mode_y, list_y, read_y = operand(data.draw, type_, n)
    given_operands = {"modes": [mode_x, mode_y], "lists": [list_x, list_y]}
    if (read_y == 0).any():
        with pytest.raises(RunError, match=rf"instruction 0 \({op.name}\) divides by zero"):
            compute(op, type_, [x, y], n, **given_operands)  # type: ignore[arg-type]
        return
    got = compute(op, type_, [x, y], n, **given_operands)  # type: ignore[arg-type]
    same(got, DIVISIONS[op](read_x, read_y))


@pytest.mark.parametrize("type_", SIGNED[:2], ids=lambda t: t.name)
def test_division_of_all_narrow_numbers(type_: Type) -> None:
    info = np.iinfo(type_.numpy)
    divisors = np.arange(info.min, info.max + 1)
    if type_ is Type.INT16:
        divisors = np.concatenate([divisors[:40], divisors[-40:], np.arange(-40, 40)])
    everything = np.arange(info.min, info.max + 1).astype(type_.numpy)
    for divisor in divisors[divisors != 0].astype(type_.numpy):
        given_operands = ([everything, np.array([divisor])], everything.size)
        modes = [Mode.EACH, Mode.ONE]
        for op, reference in DIVISIONS.items():
            got = compute(op, type_, *given_operands, modes=modes)
            assert (got == reference(everything, divisor)).all()


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1).filter(bool))
@settings(max_examples=100)
def test_division_of_32_bits_is_exact_near_whole_quotients(quotient: int, divisor: int) -> None:
    products = [quotient // divisor * divisor + near for near in (-1, 0, 1)]
    x = np.array([p for p in products if -(2**31) <= p < 2**31] or [0], np.int32)
    y = np.full(x.size, divisor, np.int32)
    for op, reference in DIVISIONS.items():
        same(compute(op, Type.INT32, [x, y], x.size), reference(x, y))


@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
@examples
@given(st.data())
def test_one_operand_element_by_element(op: Op, data: st.DataObject) -> None:
    reference, types = UNARY[op]
    type_, n = data.draw(st.sampled_from(types)), data.draw(lengths)
    x = data.draw(arrays(type_, n))
    same(compute(op, type_, [x], n), reference(x))


@pytest.mark.parametrize("type2", Type, ids=lambda t: t.name)
@settings(max_examples=25)
@given(st.data())
def test_casts_wrap_integers_and_refuse_floats_that_do_not_fit(
    type2: Type, data: st.DataObject
) -> None:
    type_, n = data.draw(st.sampled_from(Type)), data.draw(lengths)
    x = data.draw(arrays(type_, n))
    if type_ in FLOATS and type2 in INTEGERS:
        info = np.iinfo(type2.numpy)
        whole = [int(v) if np.isfinite(v) else None for v in x]
        if any(v is None or not info.min <= v <= info.max for v in whole):
            with pytest.raises(RunError, match=r"CAST\) meets a number that its type cannot hold"):
                compute(Op.CAST, type_, [x], n, result=type2.numpy, type2=type2)
            return
        expected = np.array(whole, type2.numpy)
    else:
        expected = x.astype(type2.numpy)
    same(compute(Op.CAST, type_, [x], n, result=type2.numpy, type2=type2), expected)


@pytest.mark.parametrize("type2", INTEGERS, ids=lambda t: t.name)
@pytest.mark.parametrize("type_", FLOATS, ids=lambda t: t.name)
def test_casts_reach_exactly_as_far_as_the_integer(type_: Type, type2: Type) -> None:
    info, dtype = np.iinfo(type2.numpy), type_.numpy
    for bound in (float(info.min), float(info.max)):
        start = dtype.type(bound)
        for v in (np.nextafter(start, dtype.type(0)), start, np.nextafter(start, 2 * start)):
            for number in (v, dtype.type(v - 0.5), dtype.type(v + 0.5)):
                x = np.array([number], dtype)
                if info.min <= int(number) <= info.max:
                    got = compute(Op.CAST, type_, [x], 1, result=type2.numpy, type2=type2)
                    assert int(got[0]) == int(number)
                else:
                    with pytest.raises(RunError):
                        compute(Op.CAST, type_, [x], 1, result=type2.numpy, type2=type2)


@pytest.mark.parametrize("type_", Type, ids=lambda t: t.name)
@examples
@given(st.data())
def test_select_gather_scatter_and_copy_move_elements(type_: Type, data: st.DataObject) -> None:
    n = data.draw(lengths)
    x, mode_x, list_x, read_x = operand(data.draw, Type.BOOL, n)
    y, mode_y, list_y, read_y = operand(data.draw, type_, n)
    z, mode_z, list_z, read_z = operand(data.draw, type_, n)
    got = compute(
        Op.SELECT,
        type_,
        [x, y, z],
        n,
        modes=[mode_x, mode_y, mode_z],
        lists=[list_x, list_y, list_z],
    )
    same(got, np.where(read_x, read_y, read_z).astype(type_.numpy))

    values = data.draw(arrays(type_, n))
    same(compute(Op.COPY, type_, [values], n), values)

    order = np.array(data.draw(st.permutations(range(n))), np.int32)
    listed = {"modes": [Mode.LIST], "lists": [order]}
    gathered = compute(Op.GATHER, type_, [values], n, **listed)  # type: ignore[arg-type]
    same(gathered, values[order])
    scattered = compute(Op.SCATTER, type_, [gathered], n, **listed)  # type: ignore[arg-type]
    same(scattered, values)


def as_numbers(type_: Type, values: Array) -> Array:
    """Floats small and whole, so that the order of additions does not show."""
    return np.trunc(np.nan_to_num(values) % 50) if type_ in FLOATS else values


@pytest.mark.parametrize("type_", NUMBERS, ids=lambda t: t.name)
@examples
@given(st.data())
def test_matrix_products(type_: Type, data: st.DataObject) -> None:
    sizes = st.integers(0, 9) | st.just(17)
    rows, inner, columns = data.draw(sizes), data.draw(sizes), data.draw(st.just(1) | sizes)
    x = as_numbers(type_, data.draw(arrays(type_, rows * inner))).reshape(rows, inner)
    y = as_numbers(type_, data.draw(arrays(type_, inner * columns))).reshape(inner, columns)
    got = compute(Op.MATMUL, type_, [x, y], rows * columns, p=[rows, inner, columns])
    same(got.reshape(rows, columns), x @ y)


def test_matrix_products_wider_than_a_piece() -> None:
    draw = np.random.default_rng(1)
    x, y = (draw.integers(-(2**63), 2**63, size) for size in ((5, 7), (7, 1100)))
    got = compute(Op.MATMUL, Type.INT64, [x, y], 5500, p=[5, 7, 1100])
    same(got.reshape(5, 1100), x @ y)


@pytest.mark.parametrize("type_", NUMBERS, ids=lambda t: t.name)
@examples
@given(st.data())
def test_sums_over_the_middle_axis(type_: Type, data: st.DataObject) -> None:
    sizes = st.integers(0, 6) | st.just(33)
    outer, length, inner = (data.draw(sizes) for _ in range(3))
    inner = data.draw(st.sampled_from([1, inner]))
    x = as_numbers(type_, data.draw(arrays(type_, outer * length * inner)))
    x = x.reshape(outer, length, inner)
    got = compute(Op.SUM, type_, [x], outer * inner, p=[outer, length, inner])
    same(got.reshape(outer, inner), x.sum(axis=1, dtype=type_.numpy))


@pytest.mark.parametrize("op", [Op.ADD, Op.MUL, Op.SHR, Op.FLOORMOD], ids=lambda op: op.name)
def test_a_result_may_replace_its_operand(op: Op) -> None:
    draw = np.random.default_rng(2)
    for type_ in INTEGERS:
        info = np.iinfo(type_.numpy)
        x, y = draw.integers(max(info.min, -100), 100, (2, 131)).astype(type_.numpy)
        y[y == 0] = 1
        apart = compute(op, type_, [x, y], 131)
        same(compute(op, type_, [x, y], 131, in_place=True), apart)


# Randomness and bits are tested at length where they are used by TensorFlow as well; here, that
# the executor hands their operands over.


def test_seeds_are_fresh_and_grow_into_uniform_elements() -> None:
    room = Room()
    seeds = [room.space(np.int32, 8) for _ in range(2)]
    drawn = [room.space(np.int64, 1000) for _ in range(3)]
    code = program(
        *(instruction(Op.SEED, Type.INT32, 8, at) for at in seeds),
        *(
            instruction(Op.UNIFORM, Type.INT64, 1000, out, [seed], p=[-5, 11])
            for out, seed in zip(drawn, (seeds[0], seeds[0], seeds[1]), strict=True)
        ),
    )
    arena = room.arena()
    Executor(arena, room.pool(), NOBODY, 0, (0, 0, 0)).run(code, 0, 1)
    first, second = (read(arena, at, np.int32, 8) for at in seeds)
    one, again, other = (read(arena, at, np.int64, 1000) for at in drawn)
    assert (first != second).all()
    assert set(one) == set(range(-5, 6))
    assert (one == again).all()
    assert (one != other).any()


def bits_of(x: Array) -> list[list[int]]:
    width = 8 * x.dtype.itemsize
    return [[int(v) >> b & 1 for b in range(width)] for v in x]


def packed(bits: list[int], dtype: npt.DTypeLike) -> Any:
    number = sum(bit << k for k, bit in enumerate(bits))
    return np.array(number, np.uint64).astype(dtype)


@examples
@given(st.data())
def test_bits(data: st.DataObject) -> None:
    type_, n = data.draw(st.sampled_from(INTEGERS)), data.draw(st.integers(0, 70))
    dtype, width = type_.numpy, 8 * type_.size
    x = data.draw(arrays(type_, n))
    bits = bits_of(x)
    stride = data.draw(st.sampled_from([s for s in (1, 2, 4, 8) if s <= width]))
    start = data.draw(st.integers(0, stride - 1))

    split = compute(Op.BITSPLIT, type_, [x], n, size=n * stride, p=[stride])
    expected = [packed(b[d::stride], dtype) for d in range(stride) for b in bits]
    same(split, np.array(expected, dtype))
    gathered = compute(Op.BITGATHER, type_, [x], n, p=[start, stride])
    same(gathered, np.array([packed(b[start::stride], dtype) for b in bits], dtype))
    turned = compute(Op.BITREVERSE, type_, [x], n)
    same(turned, np.array([packed(b[::-1], dtype) for b in bits], dtype))
    marked = compute(Op.XORINDICES, type_, [x], n)
    positions = [np.bitwise_xor.reduce([k for k in range(width) if b[k]] or [0]) for b in bits]
    same(marked, np.array(positions, dtype))


# What an executor takes, and what it refuses.


def test_each_step_reads_its_own_rows_of_the_table() -> None:
    table = np.arange(50, dtype=np.float32).reshape(10, 5)
    rows = np.array([9, 0, 3, 3, 1, 7], np.int32)
    room = Room()
    batch, total = room.space(np.float32, 10), room.put(np.zeros(10, np.float32))
    code = program(
        instruction(Op.INPUT, Type.FLOAT32, 10, batch, p=[2, 5]),
        instruction(Op.MUL, Type.FLOAT32, 10, total, [total, total]),
        instruction(Op.ADD, Type.FLOAT32, 10, total, [total, batch]),
    )
    arena = room.arena()
    executor = Executor(arena, room.pool(), NOBODY, 0, (0, 0, 0))
    executor.run(code, 70, 3, rows, table)
    a, b, c = table[rows].reshape(3, 10)
    same(read(arena, total, np.float32, 10), (a * a + b) ** 2 + c)
    assert executor.progress == 3


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([0, 1, 2, 10], 5, "the order names a row that the table lacks"),
        ([0, 1, 2, -1], 5, "the order names a row that the table lacks"),
        ([0, 1, 2], 5, "the order has fewer rows than the steps take"),
        ([0, 1, 2, 3], 4, "the table is not what the schedule reads"),
    ],
)
def test_rows_outside_the_table_are_refused(rows: list[int], columns: int, words: str) -> None:
    arena = aligned(64)
    code = program(instruction(Op.INPUT, Type.FLOAT32, 10, 0, p=[2, 5]))
    executor = Executor(arena, np.zeros(1, np.int32), NOBODY, 0, (0, 0, 0))
    with pytest.raises(RunError, match=words):
        executor.run(code, 0, 2, np.array(rows, np.int32), np.ones((10, columns), np.float32))
    assert not arena.any()
    assert executor.progress == 0


def test_a_program_without_a_table_reads_none() -> None:
    code = program(instruction(Op.INPUT, Type.FLOAT32, 10, 0, p=[2, 5]))
    with pytest.raises(RunError, match="the table is not what the schedule reads"):
        Executor(aligned(64), np.zeros(1, np.int32), NOBODY, 0, (0, 0, 0)).run(code, 0, 1)


@pytest.mark.parametrize(
    ("op", "type_"),
    [
        (Op.ADD, Type.BOOL),
        (Op.XOR, Type.FLOAT32),
        (Op.ROUND, Type.INT32),
        (Op.NOT, Type.INT8),
        (Op.MATMUL, Type.BOOL),
    ],
)
def test_an_instruction_that_a_type_does_not_have_is_an_error(op: Op, type_: Type) -> None:
    x = np.ones(4, type_.numpy)
    with pytest.raises(RunError, match="does not exist, or not for its type") as caught:
        compute(op, type_, [x, x], 4, p=[2, 2, 2])
    assert caught.value.kind is Kind.ARITHMETIC
    code = program(instruction(Op.ADD, n=1, out=0, inputs=[0, 0]))
    code["op"] = 999
    with pytest.raises(RunError, match="instruction 0 does not exist"):
        Executor(aligned(64), np.zeros(1, np.int32), NOBODY, 0, (0, 0, 0)).run(code, 0, 1)


@pytest.mark.parametrize(
    ("peer", "key", "size"), [(1, 0, 8), (3, 0, 8), (-1, 0, 8), (0, -1, 8), (0, 2**32 - 2, 8)]
)
def test_a_message_to_nobody_is_refused(peer: int, key: int, size: int) -> None:
    code = program(instruction(Op.SEND, inputs=[0], p=[peer, key, size]))
    with pytest.raises(RunError, match="a message to nobody"):
        Executor(aligned(64), np.zeros(1, np.int32), NOBODY, 0, (0, 0, 0)).run(code, 0, 1)


def test_wrong_arguments_are_refused_before_anything_runs() -> None:
    arena, pool = aligned(128), np.zeros(1, np.int32)
    zero = (0, 0, 0)
    with pytest.raises(ValueError, match="aligned to 64 bytes"):
        Executor(arena[1:], pool, NOBODY, 0, zero)
    with pytest.raises(ValueError, match="uint8"):
        Executor(arena.view(np.int8), pool, NOBODY, 0, zero)
    with pytest.raises(ValueError, match="int32"):
        Executor(arena, pool.astype(np.int64), NOBODY, 0, zero)
    with pytest.raises(ValueError, match="three parties"):
        Executor(arena, pool, NOBODY, 3, zero)
    executor = Executor(arena, pool, NOBODY, 0, zero)
    with pytest.raises(ValueError, match="INSTRUCTION"):
        executor.run(np.zeros(1), 0, 1)  # type: ignore[arg-type]
    code = program(instruction(Op.COPY, n=1, out=0, inputs=[0]))
    with pytest.raises(ValueError, match="matrix of float32"):
        executor.run(code, 0, 1, None, np.zeros((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps"):
        executor.run(code, 0, -1)


def test_a_variant_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.CPU, "v9")
    library.variant.cache_clear()
    with pytest.raises(InputError, match="names no variant"):
        library.variant()
    library.variant.cache_clear()
