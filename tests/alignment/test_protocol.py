"""The roles of an alignment: what they find is the common rows, and nothing else ends well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.job import HOLDERS, Holder, Party, Sizes
from party.alignment import masks
from party.alignment.protocol import matched
from party.process.errors import JobError
from tests.harness.alignments import End, Ring, Wire, order_seen_to, play

NAMES = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=30, unique=True)


def numbers(names: Sequence[str], columns: int) -> Ring:
    """For each name numbers that only it has, of the whole ring."""
    draw = np.random.default_rng([7, columns])
    every = {name: i for i, name in enumerate(sorted(names))}
    table = draw.integers(-(2**63), 2**63, (len(every), columns), np.int64)
    return table[[every[name] for name in names]]


@settings(max_examples=40)
@given(NAMES, NAMES, st.integers(1, 3), st.integers(1, 3))
def test_shares_add_up_to_the_rows_that_both_have(
    alice: list[str], bob: list[str], wide: int, narrow: int
) -> None:
    names: dict[Holder, Sequence[str]] = {"alice": alice, "bob": bob}
    columns: dict[Holder, Ring] = {"alice": numbers(alice, wide), "bob": numbers(bob, narrow)}
    common = set(alice) & set(bob)
    found = play(names, columns)
    if not common:
        assert all(isinstance(failure, JobError) for failure in found.failures.values())
        return
    assert found.failures == {"alice": None, "bob": None, "server": None}
    sizes = Sizes(alice=len(alice), bob=len(bob), common=len(common))
    assert found.sizes == found.joined["alice"].sizes == found.joined["bob"].sizes == sizes
    wanted = {
        (*columns["alice"][alice.index(one)], *columns["bob"][bob.index(one)]) for one in common
    }
    rows = np.concatenate([found.table("alice"), found.table("bob")], axis=1)
    assert {tuple(row) for row in rows} == wanted


def test_many_rows_come_in_messages_of_bounded_size() -> None:
    names = [f"customer {i}" for i in range(60_000)]
    columns: dict[Holder, Ring] = {
        "alice": numbers(names, 5),
        "bob": numbers(names[::-1][:50_000], 2),
    }
    found = play({"alice": names, "bob": names[::-1][:50_000]}, columns)
    assert found.failures == {"alice": None, "bob": None, "server": None}
    total = found.table("alice")
    assert sorted(map(tuple, total)) == sorted(map(tuple, columns["alice"][10_000:]))
    columns_sent = [len(data) for sender, data in found.wire.seen["server"] if sender == "alice"]
    assert max(columns_sent) <= 1 << 20


def test_below_the_minimum_it_ends_and_the_number_is_told_to_nobody() -> None:
    names: dict[Holder, Sequence[str]] = {
        "alice": [f"a{i}" for i in range(50)] + [f"c{i}" for i in range(9)],
        "bob": [f"b{i}" for i in range(40)] + [f"c{i}" for i in range(9)],
    }
    columns: dict[Holder, Ring] = {holder: numbers(own, 2) for holder, own in names.items()}
    found = play(names, columns, minimum=10)
    for failure in found.failures.values():
        assert isinstance(failure, JobError)
        assert failure.what == "fewer than 10 rows are in common"
        assert failure.where == "the job's align.minimum"
    for holder in HOLDERS:
        told = [data for sender, data in found.wire.seen[holder] if sender == "server"]
        assert told == [bytes(8)], "the same, however many there are"
    names["alice"] = [f"d{i}" for i in range(59)]
    fewer = play(names, columns, minimum=10)
    assert [(s, m) for s, m in fewer.wire.seen["alice"] if s == "server"] == [("server", bytes(8))]


def test_tags_are_matched_by_both_halves() -> None:
    alice = np.array([[1, 1], [1, 2], [2**64 - 1, 5], [7, 7]], np.uint64)
    bob = np.array([[7, 8], [1, 2], [2**64 - 1, 5], [1, 3]], np.uint64)
    pairs = matched({"alice": alice, "bob": bob})
    assert set(zip(pairs["alice"].tolist(), pairs["bob"].tolist(), strict=True)) == {(1, 1), (2, 2)}


def test_a_holder_that_sends_a_tag_twice_is_named() -> None:
    tags = np.array([[1, 2], [3, 4], [1, 2]], np.uint64)
    with pytest.raises(JobError, match="bob sent a tag twice"):
        matched({"alice": tags[:2], "bob": tags})


@pytest.mark.parametrize(
    "size, words",
    [
        (0, "spoke of 0 rows"),
        (2**31, "spoke of 2147483648 rows"),
        (2**64 - 1, "spoke of 18446744073709551615 rows"),
    ],
)
def test_a_size_that_cannot_be_is_refused_before_memory_is_taken(size: int, words: str) -> None:
    class Liar(End):
        def send(self, to: Party, data: bytes) -> None:
            if to == "server" and len(data) == 8:
                data = size.to_bytes(8, "little")
            super().send(to, data)

    class Lying(Wire):
        def of(self, party: Party) -> End:
            return Liar(self, party) if party == "bob" else End(self, party)

    names: dict[Holder, Sequence[str]] = {"alice": ["a", "b"], "bob": ["a", "b"]}
    columns: dict[Holder, Ring] = {holder: numbers(own, 1) for holder, own in names.items()}
    found = play(names, columns, wire=Lying())
    failure = found.failures["server"]
    assert isinstance(failure, JobError) and f"bob {words}" in failure.what


def test_a_stream_is_one_and_the_same_however_it_is_taken() -> None:
    whole = masks.Stream(b"k" * 32).take(100, 3)
    stream = masks.Stream(b"k" * 32)
    parts = [stream.take(rows, 3) for rows in (1, 64, 35)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(np.unique(whole)) == whole.size
    assert not (masks.Stream(b"l" * 32).take(100, 3) == whole).any()


def test_keys_of_two_purposes_runs_or_secrets_have_nothing_in_common() -> None:
    made = [
        masks.derived(secret, run, purpose)
        for secret in (b"s" * 64, b"t" * 64)
        for run in ("run 1", "run 2")
        for purpose in ("tags", "columns of alice", "columns of bob")
    ]
    assert len(set(made)) == len(made)


def test_an_order_has_every_row_once_and_is_another_each_time() -> None:
    one, two = masks.random_order(1000), masks.random_order(1000)
    assert sorted(one) == sorted(two) == list(range(1000))
    assert (one == two).sum() < 20


def test_tables_in_the_same_order_are_seen_to_be() -> None:
    names = [f"n{i}" for i in range(70_000)]
    failures, _ = order_seen_to(names, [name.upper() + " " for name in names])
    assert failures == [None, None, None]


@pytest.mark.parametrize(
    "bob",
    [
        ["a", "c", "b"],
        ["a", "b"],
        ["a", "b", "c", "d"],
        ["a", "b", "d"],
        ["ab", "c"],
    ],
)
def test_other_rows_or_another_order_end_the_job_at_all_three(bob: list[str]) -> None:
    failures, wire = order_seen_to(["a", "b", "c"], bob)
    for failure in failures:
        assert isinstance(failure, JobError) and failure.where == "the job's align.order"
    digests = [data for _, data in wire.seen["server"]]
    assert [len(data) for data in digests] == [32, 32]
    _, again = order_seen_to(["a", "b", "c"], bob)
    assert not set(digests) & {data for _, data in again.seen["server"]}, "a fresh key each time"
    told = [[d for sender, d in wire.seen[h] if sender == "server"] for h in HOLDERS]
    assert told == [[b"\0"], [b"\0"]], "that they differ, and not where"
