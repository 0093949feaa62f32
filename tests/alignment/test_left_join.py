"""The roles of a left join: every row of the left gets its partner's columns, or a dummy's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.job import HOLDERS, Holder, Party, Sizes
from party.agreement.parties import other_of
from party.alignment.left_join import partners
from party.process.errors import JobError
from tests.alignment.test_protocol import NAMES, numbers
from tests.harness.alignments import End, Wire
from tests.harness.left_joins import play

ABSENT = np.array([7, -(2**63), 2**63 - 1], np.int64)


@settings(max_examples=25)
@given(NAMES, NAMES, st.sampled_from(HOLDERS))
def test_each_row_has_its_partners_columns_or_those_of_an_absent_row(
    left: list[str], right: list[str], who: Holder
) -> None:
    columns = numbers(right, 3)
    other = other_of(who)
    found = play({who: left, other: right}, columns, ABSENT, who)
    if not set(left) & set(right):
        assert all(isinstance(failure, JobError) for failure in found.failures.values())
        return
    assert found.failures == {"alice": None, "bob": None, "server": None}
    assert found.left is not None and found.right is not None
    sizes = Sizes.model_validate({who: len(left), other: len(right)})
    assert found.left.sizes == found.right[0] == found.server == sizes
    wanted = [columns[right.index(one)] if one in right else ABSENT for one in left]
    np.testing.assert_array_equal(found.table(), np.array(wanted))


def test_many_rows_come_in_messages_of_bounded_size() -> None:
    names = [f"customer {i}" for i in range(40_000)]
    columns = numbers(names[:25_000], 3)
    found = play({"alice": names[::-1], "bob": names[:25_000]}, columns, ABSENT)
    assert found.failures == {"alice": None, "bob": None, "server": None}
    table = found.table()
    np.testing.assert_array_equal(table[::-1][:25_000], columns)
    assert (table[:15_000] == ABSENT).all()
    sent = [len(data) for sender, data in found.wire.seen["server"] if sender == "bob"]
    assert max(sent) <= 1 << 20


@pytest.mark.parametrize("common", [0, 9])
def test_below_the_minimum_it_ends_and_the_number_is_told_to_nobody(common: int) -> None:
    names: dict[Holder, Sequence[str]] = {
        holder: [f"{holder}{i}" for i in range(50 - common)] + [f"c{i}" for i in range(common)]
        for holder in HOLDERS
    }
    found = play(names, numbers(names["bob"], 3), ABSENT, minimum=10)
    for failure in found.failures.values():
        assert isinstance(failure, JobError)
        assert failure.what == "fewer than 10 rows are in common"
    for holder in HOLDERS:
        told = [data for sender, data in found.wire.seen[holder] if sender == "server"]
        assert told == [b"\0"], "the same, however many there are"


def test_no_place_is_given_twice_and_pairs_get_their_own() -> None:
    stands = np.array([1, 0, 0, 1, 1, 0, 0, 1, 0], np.bool_)  # four rows and five dummies
    left, right = np.array([4, 0], np.uint32), np.array([3, 1], np.uint32)
    drawn = set()
    for _ in range(60):
        places = partners(left, right, stands, 5)
        assert (places[4], places[0]) == (7, 3)
        assert len(set(places.tolist())) == 5 and not stands[places[[1, 2, 3]]].any()
        drawn.add(tuple(places[[1, 2, 3]].tolist()))
    assert len(drawn) > 30, "of 60 ways to draw three of five, in any order"


@pytest.mark.parametrize(
    ("liar", "size", "lie", "words"),
    [
        ("bob", 8, bytes(8), "bob spoke of 0 rows"),
        ("bob", 8, (2**31).to_bytes(8, "little"), "bob spoke of 2147483648 rows"),
        ("bob", 1, b"\0", "bob has other places for its rows than it has rows"),
    ],
)
def test_what_a_holder_cannot_mean_is_refused(
    liar: Party, size: int, lie: bytes, words: str
) -> None:
    class Liar(End):
        def send(self, to: Party, data: bytes) -> None:
            super().send(to, lie if to == "server" and len(data) == size else data)

    class Lying(Wire):
        def of(self, party: Party) -> End:
            return Liar(self, party) if party == liar else End(self, party)

    names: dict[Holder, Sequence[str]] = {"alice": ["a", "b"], "bob": ["a", "b"]}
    found = play(names, numbers(["a", "b"], 3), ABSENT, wire=Lying())
    assert words in str(found.failures["server"])
