"""Messages before the executor takes over: of the sizes that are due, by who is named, or none."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from functools import partialmethod

import numpy as np
import pytest

from party.agreement.job import HOLDERS, PARTIES, Holder, Party
from party.alignment import join_as_holder, join_as_server
from party.channel import Messages, codec
from party.channel.agreement import ready
from party.channel.exchange import PeerError
from party.native import Connection, Executor, Kind, RunError
from party.native.frames import program, receive
from party.process.errors import JobError
from tests.harness.alignments import RUN, OwnColumns, Ring, identifiers
from tests.harness.executors import ALICE, BOB, SERVER, aligned
from tests.harness.joins import Joins
from tests.harness.tasks import Task
from tests.harness.vanishing import vanish


@pytest.fixture
def ends(joins: Joins) -> Iterator[dict[Party, Messages]]:
    """Three parties that have joined."""
    joins.everybody_joins()
    found = {one.party: one.outcome() for one in joins.started}
    yield {party: Messages(found[party].connections) for party in PARTIES}


def test_messages_of_any_size_arrive_as_they_were_sent(ends: dict[Party, Messages]) -> None:
    for size in (0, 1, 9, 1 << 14, (1 << 14) + 1, 3_000_001):
        data = secrets.token_bytes(size)
        sending = Task(lambda data=data: ends["alice"].send("server", data))  # type: ignore[misc]
        assert ends["server"].receive("alice", size) == data
        sending.ended()
        assert sending.failure is None
    assert ends["alice"].sent == ends["server"].received


def test_a_message_of_another_size_is_refused_before_it_is_read(
    ends: dict[Party, Messages],
) -> None:
    ends["bob"].send("alice", bytes(7))
    with pytest.raises(PeerError, match="bob sent 7 bytes, where 8 were due"):
        ends["alice"].receive("bob", 8)
    assert ends["alice"].received == 16, "its header, and not a byte more"


def test_a_size_that_no_memory_holds_takes_none(ends: dict[Party, Messages]) -> None:
    with pytest.raises(PeerError, match=f"bob sent {2**64 - 1} bytes"):
        ends["bob"]._write("alice", b"\xff" * 8 + b"\xfb\xff\xff\xff" + bytes(4), 10)
        ends["alice"].receive("bob", 8)


def test_who_gives_up_tells_why(ends: dict[Party, Messages]) -> None:
    ends["server"].give_up(JobError("fewer than 7 rows\x1b[2J are in common"))
    for holder in HOLDERS:
        with pytest.raises(PeerError) as raised:
            ends[holder].receive("server", 100)
        assert raised.value.what == "server gave up: fewer than 7 rows?[2J are in common"


@pytest.mark.parametrize("final", [True, False])
def test_who_gives_up_is_understood_by_an_executor_too(
    ends: dict[Party, Messages], final: bool
) -> None:
    # Alice has all that she needs of the others, while the server still waits for Bob.
    ends["server"].give_up(PeerError("bob went away", None, final, "bob"), final)
    awaited = program(receive(SERVER, key=1, at=0, size=64))
    executor = Executor(
        aligned(64), np.zeros(0, np.int32), ends["alice"]._connections, ALICE, [0, 64, 64]
    )
    with pytest.raises(RunError) as raised:
        executor.run(awaited, 0, 1)
    error = raised.value
    assert (error.kind, error.peer, error.culprit) == (Kind.ABORTED, SERVER, BOB)
    assert error.final == final


def test_who_is_still_at_the_join_is_looked_for_again(ends: dict[Party, Messages]) -> None:
    # Alice was lost to the server before it heard that she was ready, and has come back to it.
    connection = ends["server"]._of("bob")
    codec.Messages(connection).say(ready("0" * 64))
    with pytest.raises(PeerError) as raised:
        ends["bob"].receive("server", 100)
    assert raised.value.what == "server waits for another to come back"
    assert not raised.value.final


def test_an_executor_that_gives_up_is_understood_by_who_is_not_there_yet(
    ends: dict[Party, Messages],
) -> None:
    executor = Executor(
        aligned(64), np.zeros(0, np.int32), ends["alice"]._connections, ALICE, [0, 64, 64]
    )
    with pytest.raises(RunError):
        executor.run(program(receive(SERVER, key=1, at=0, size=64)), 0, 1, time_limit_s=0.01)
    with pytest.raises(PeerError) as raised:
        ends["bob"].receive("alice", 100)
    assert (raised.value.what, raised.value.final) == ("alice gave up", True)


def test_who_hangs_up_is_named(ends: dict[Party, Messages], joins: Joins) -> None:
    alice = next(one for one in joins.started if one.party == "alice").outcome()
    waiting = Task(lambda: ends["bob"].receive("alice", 5))  # type: ignore[arg-type]
    closing = Task(alice.close)
    waiting.ended()
    assert isinstance(waiting.failure, PeerError)
    assert waiting.failure.what == "alice went away"
    assert closing is not None


def test_who_says_nothing_is_named(ends: dict[Party, Messages]) -> None:
    with pytest.raises(PeerError, match=r"nothing has been heard of bob for 0\.2 s"):
        ends["alice"].receive("bob", 5, patience_s=0.2)


def test_who_is_awaited_on_a_machine_that_is_gone_is_named(
    ends: dict[Party, Messages], monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = partialmethod(Connection.see_to_answers, 1.0)
    monkeypatch.setattr(Connection, "see_to_answers", soon)
    with socket.socket(fileno=os.dup(ends["bob"]._of("alice").fileno())) as end:
        vanish(end)
    ends["alice"].send("bob", b"hello")
    with pytest.raises(PeerError) as raised:
        ends["alice"].receive("bob", 5)
    told = raised.value.what, raised.value.where, raised.value.final
    assert told == ("bob went away", "its machine has not answered for 1 s", False)


def test_an_alignment_over_these_connections(ends: dict[Party, Messages]) -> None:
    names = {
        "alice": [f"n{i}" for i in range(3000)],
        "bob": [f"n{i}" for i in range(5000, 1000, -1)],
    }
    own: dict[Holder, Ring] = {
        holder: np.array([[int(name[1:])] * 40 for name in names[holder]], np.int64)
        for holder in HOLDERS
    }
    widths: dict[Holder, int] = dict.fromkeys(HOLDERS, 40)
    shares: dict[Holder, dict[Holder, Ring]] = {}

    def plays(holder: Holder) -> None:
        columns = OwnColumns(own[holder])
        found = join_as_holder(
            ends[holder], holder, RUN, identifiers(names[holder]), lambda a, b: columns, widths, 1
        )
        shares[holder] = found.shares

    def serves() -> None:
        join_as_server(ends["server"], widths, 1)

    tasks = [
        Task(lambda: plays("alice")),
        Task(lambda: plays("bob")),
        Task(serves),
    ]
    for task in tasks:
        task.ended()
        assert task.failure is None
    rows = {h: shares["alice"][h] + shares["bob"][h] for h in HOLDERS}
    np.testing.assert_array_equal(rows["alice"], rows["bob"])
    assert sorted(rows["alice"][:, 0]) == list(range(1001, 3000))
