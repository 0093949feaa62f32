"""Tables to be aligned have in common what they are said to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.alignment import identifiers, in_common

ROWS = st.integers(1, 200)


@given(ROWS, ROWS)
def test_half_of_the_smaller_table_is_in_both_and_no_identifier_twice_in_one(
    alice: int, bob: int
) -> None:
    rows = {"alice": alice, "bob": bob}
    made = {party: set(names.tolist()) for party, names in identifiers(rows).items()}
    assert {party: len(names) for party, names in made.items()} == rows
    assert len(made["alice"] & made["bob"]) == in_common(rows)
