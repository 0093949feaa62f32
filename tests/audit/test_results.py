"""What passes has a result for every value: tried with the executor, which says where it fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.limits import LIMIT
from party.audit.numbering import Numbering
from party.audit.rules import check_results
from party.native import RunError
from party.plan.graph import Operation, Program
from party.process.errors import JobError
from tests.schedule.test_lowering import Case, by_executor

Array = npt.NDArray[Any]

BYTES = np.arange(-128, 128, dtype=np.int8)
"""All values of a secret byte."""

REACH = np.array([LIMIT, -LIMIT, 1.0, -0.5, 0.0, 1e-40, np.nextafter(LIMIT, 0)], np.float32)
"""Values of a batch; the first two are the largest that there can be."""


class Chain:
    """A value and what is computed from it, step by step.

    Args:
        fed: the values that it is tried with.
    """

    def __init__(self, fed: Array) -> None:
        self.fed = fed
        self.operations = [Operation("x0", "Placeholder", 1, (), fed.dtype, fed.shape)]

    def then(self, kind: str, constant: Any = None, dtype: Any = None, first: bool = True) -> None:
        """One operation more, with a constant as its other operand if there is one."""
        before = self.operations[-1]
        inputs: tuple[str, ...] = (before.name,)
        if constant is not None:
            value = np.array(constant, before.dtype)
            name = f"c{len(self.operations)}"
            self.operations.append(
                Operation(name, "Const", None, (), value.dtype, value.shape, {}, value)
            )
            inputs = (before.name, name) if first else (name, before.name)
        name, type_ = f"x{len(self.operations)}", np.dtype(before.dtype if dtype is None else dtype)
        self.operations.append(Operation(name, kind, 1, inputs, type_, before.shape))

    def passes(self) -> bool:
        """Whether the audit's rule lets it pass, as what is computed from a batch."""
        operations = tuple(self.operations)
        program = Program("chain", operations, (), (), (), ())
        batches = {"x0": 1} if self.fed.dtype.kind == "f" else {}
        try:
            check_results(operations, Numbering(program), batches)
        except JobError:
            return False
        return True

    def has_results(self) -> bool:
        """Whether the executor computes it for all that is fed."""
        target = self.operations[-1].name
        try:
            by_executor(Case(tuple(self.operations), ["x0"], target, [self.fed], None))
        except RunError:
            return False
        return True


@settings(max_examples=200)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["FloorDiv", "FloorMod", "RightShift", "LeftShift", "Mul", "AddV2"]),
            st.integers(-3, 9),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_passes_has_a_result_for_every_byte(steps: list[tuple[str, int, bool]]) -> None:
    chain = Chain(BYTES)
    for kind, constant, first in steps:
        chain.then(kind, constant, first=first)
    counts = [n for kind, n, first in steps if kind.endswith("Shift") and first]
    if chain.passes():
        assert chain.has_results()
        assert all(0 <= n < 8 for n in counts)


TYPES = [np.int8, np.int16, np.int32, np.int64]


@settings(max_examples=200)
@given(
    wide=st.booleans(),
    factors=st.lists(
        st.one_of(
            st.floats(-(2.0**30), 2.0**30),
            st.sampled_from([2.0**n for n in (-3, -2, 5, 6, 21, 52, 53)]),
        ),
        max_size=3,
    ),
    rounded=st.booleans(),
    dtype=st.sampled_from(TYPES),
)
def test_an_encoding_passes_just_if_it_has_a_result_for_the_largest_values(
    wide: bool, factors: list[float], rounded: bool, dtype: Any
) -> None:
    chain = Chain(REACH)
    if wide:
        chain.then("Cast", dtype=np.float64)
    for factor in factors:
        chain.then("Mul", factor)
    if rounded:
        chain.then("Round")
    chain.then("Cast", dtype=dtype)
    assert chain.passes() == chain.has_results()


@pytest.mark.parametrize(
    "kind, constant", [("AddV2", 1), ("Sub", 1), ("Greater", 1), ("Neg", None)]
)
def test_floats_are_for_nothing_but_encodings(kind: str, constant: int | None) -> None:
    chain = Chain(REACH)
    chain.then(kind, constant, dtype=np.bool_ if kind == "Greater" else None)
    assert not chain.passes()
