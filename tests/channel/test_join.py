"""Joining: three parties find each other in any order, agree on everything, or say what differs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import time
from functools import partialmethod
from itertools import permutations
from typing import Any

import pytest

from party.agreement.hosts import Address
from party.agreement.job import PARTIES, Job
from party.channel import AheadError, listen, sockets
from party.native import Connection
from party.process.errors import InputError, JobError
from tests.harness.joins import JOB, PLAN, WAIT_S, Joins
from tests.harness.links import LIMIT_S, descriptors
from tests.harness.vanishing import vanish


def changed(**change: Any) -> Job:
    return Job.model_construct(**dict(JOB) | change)


@pytest.mark.parametrize("order", list(permutations(PARTIES)))
def test_parties_may_come_in_any_order(joins: Joins, order: tuple[str, ...]) -> None:
    for party in order:
        joins.start(party)
        time.sleep(0.05)
    joins.everybody_joins()
    for one in joins.started:
        connections = one.outcome().connections
        own = PARTIES.index(one.party)
        assert [connection is None for connection in connections] == [i == own for i in range(3)]


def test_the_connections_carry_what_is_sent_after_the_join(joins: Joins) -> None:
    joins.everybody_joins()
    joined = {one.party: one.outcome().connections for one in joins.started}
    for a, b in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)]:
        sender, receiver = joined[PARTIES[a]][b], joined[PARTIES[b]][a]
        assert sender is not None and receiver is not None
        text = f"from {a} to {b}".encode()
        assert sender.write(text) == len(text)
        deadline = time.monotonic() + LIMIT_S
        while not isinstance(got := receiver.read(100), bytes):
            assert time.monotonic() < deadline
        assert got == text, "nothing of the join is left on the connection"


def test_who_is_missing_is_reported_and_awaited(joins: Joins) -> None:
    alice, server = joins.start("alice"), joins.start("server")
    alice.says("waiting for bob (")
    server.says("waiting for bob (")
    assert re.search(rf"waiting for bob \(\d+ s of {WAIT_S:.0f}\)", alice.told())
    assert alice.reports[-1][1] == ["bob"]
    joins.everybody_joins()


def missed(joins: Joins, party: str, known: str) -> JobError:
    """What ends a wait in vain, in which something becomes known: a busy machine may take longer
    for that."""
    for wait_s in (0.4, 4.0, 40.0):
        with pytest.raises(JobError, match=f"did not come within {wait_s:g} s") as caught:
            joins.start(party, wait_s=wait_s).outcome()
        if known in (caught.value.where or ""):
            break
    return caught.value


def test_a_wait_ends_with_who_is_missing_and_where(joins: Joins) -> None:
    alice, own = joins.hosts[0], joins.hosts[1]
    error = missed(joins, "bob", refused := f"alice at {alice}: Connection refused")
    assert error.what.startswith("alice and server did not come within ")
    assert refused in (error.where or "")
    assert f"server dials {own}, and did not come" in (error.where or "")


def test_the_name_of_a_host_that_does_not_exist_is_said(joins: Joins) -> None:
    _, bob, server = joins.hosts
    joins.hosts = (Address("nobody.invalid", 1), bob, server)
    unknown = "alice at nobody.invalid:1: its name is not known"
    assert unknown in (missed(joins, "server", unknown).where or "")


def test_a_party_that_went_away_before_the_start_may_come_again(joins: Joins) -> None:
    alice = joins.start("alice")
    bob = joins.start("bob")
    alice.says("waiting for server (")
    bob.cancelled = True  # gives up, which closes its connections
    bob.ended()
    joins.started.remove(bob)
    alice.says("bob went away before the start; waiting")
    joins.everybody_joins()


NEXT = changed(name="next", trust_domain=JOB.name)
QUEUE = (JOB, NEXT)


def test_a_connection_to_a_machine_that_is_gone_keeps_nobody_out(
    joins: Joins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob's, whom Alice would otherwise have as connected already when he comes from another."""
    soon = partialmethod(Connection.see_to_answers, 1.0)
    monkeypatch.setattr(Connection, "see_to_answers", soon)
    ends: list[socket.socket] = []
    monkeypatch.setattr(sockets, "tune", ends.append)
    alice, bob = joins.start("alice"), joins.start("bob")
    alice.says("waiting for server (")
    bob.says("waiting for server (")
    for end in ends:
        vanish(end)
    joins.start("server")  # so that there is something to say, to which no answer comes
    alice.says("bob went away before the start")
    joins.everybody_joins()


@pytest.mark.parametrize("late", PARTIES)
def test_who_is_at_the_next_job_waits_for_one_that_is_not(joins: Joins, late: str) -> None:
    ahead = [joins.start(party, NEXT, queue=QUEUE) for party in PARTIES if party != late]
    behind = joins.start(late, queue=QUEUE)
    with pytest.raises(AheadError) as caught:
        behind.outcome()
    assert caught.value.what.endswith(
        "is at the job 'next' and has done 'fraud', of which this party has no result"
    )
    seen = re.match("alice|bob|server", caught.value.what)
    assert seen is not None
    (witness,) = (one for one in ahead if one.party == seen[0])
    witness.says(f"{late} was last seen at the job 'fraud'")
    joins.started.remove(behind)
    joins.start(late, NEXT, queue=QUEUE)
    joins.everybody_joins()


def test_a_job_of_no_queue_is_refused_as_ever(joins: Joins) -> None:
    joins.start("alice", NEXT, queue=QUEUE)
    joins.start("bob", changed(rows=9))
    for one in joins.started:
        with pytest.raises(JobError, match="alice and bob disagree: name: "):
            one.outcome()


@pytest.mark.parametrize("odd", PARTIES)
@pytest.mark.parametrize(
    ("job", "plan", "own_value", "odd_value"),
    [
        (changed(rows=9), PLAN, "8", "9"),
        (JOB, "8" * 64, PLAN, "8" * 64),
    ],
)
def test_parties_that_disagree_all_end_with_what_differs(
    joins: Joins, odd: str, job: Job, plan: str, own_value: str, odd_value: str
) -> None:
    for party in PARTIES:
        own = (job, plan) if party == odd else (JOB, PLAN)
        joins.start(party, *own)
    for one in joins.started:
        with pytest.raises(JobError) as caught:
            one.outcome()
        assert re.search(f"(alice|bob|server) has {own_value}", caught.value.what)
        assert f"{odd} has {odd_value}" in caught.value.what


def test_the_third_party_is_told_why_the_other_two_will_not_start(joins: Joins) -> None:
    server, alice = joins.start("server"), joins.start("alice")
    alice.says("waiting for bob (")  # these two agree
    bob = joins.start("bob", changed(rows=9))
    told = []
    for one in (alice, bob, server):
        with pytest.raises(JobError) as caught:
            one.outcome()
        told.append(caught.value.what)
    assert all("rows: " in text and "bob has 9" in text for text in told), told


def test_a_join_leaves_no_descriptor_behind(joins: Joins) -> None:
    before = descriptors()
    with pytest.raises(JobError):
        joins.start("alice", wait_s=0.1).outcome()
    assert descriptors() == before


def test_a_port_that_is_taken_is_said(joins: Joins) -> None:
    with (
        listen(joins.hosts[0]),
        pytest.raises(InputError, match="Address already in use"),
    ):
        listen(joins.hosts[0])


def test_an_address_that_is_not_this_machines_stands_for_all_of_them() -> None:
    with listen(Address("192.0.2.1", 0)) as one:
        assert one.getsockname()[0] in ("::", "0.0.0.0")
    with listen(Address("127.0.0.1", 0)) as one:
        assert one.getsockname()[0] == "127.0.0.1"


LOOPBACKS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def families(port: int | None = None) -> set[str]:
    """The loopback addresses that this machine has, or at which somebody listens."""
    found = set()
    for family, host in LOOPBACKS.items():
        with contextlib.suppress(OSError), socket.socket(family) as one:
            one.bind((host, 0)) if port is None else one.connect((host, port))
            found.add(host)
    return found


@pytest.mark.parametrize("or_everywhere", [True, False])
def test_all_addresses_are_those_of_both_families(or_everywhere: bool) -> None:
    with listen(Address("::", 0), or_everywhere) as one:
        assert families(one.getsockname()[1]) == families()


@pytest.mark.parametrize("or_everywhere", [True, False])
def test_all_addresses_of_ipv4_are_no_more(or_everywhere: bool) -> None:
    with listen(Address("0.0.0.0", 0), or_everywhere) as one:
        assert families(one.getsockname()[1]) == {"127.0.0.1"}


@pytest.mark.parametrize("or_everywhere", [True, False])
def test_a_machine_without_ipv6_listens_on_ipv4(
    or_everywhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutIpv6(socket.socket):
        def __init__(self, family: int = -1, *rest: Any, **named: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, *rest, **named)

    monkeypatch.setattr(socket, "socket", WithoutIpv6)
    with listen(Address("::", 0), or_everywhere) as one:
        port = one.getsockname()[1]
        assert one.getsockname()[0] == "0.0.0.0"
        monkeypatch.undo()
        assert families(port) == {"127.0.0.1"}


def test_parties_may_meet_over_ipv6_and_ipv4_at_once(joins: Joins) -> None:
    _, bob, server = joins.hosts
    hosts = {host: Address(host, joins.hosts[0].port) for host in families()}
    joins.hosts = (Address("::", joins.hosts[0].port), bob, server)
    alice = joins.start("alice", wait_s=60)
    # Bob dials Alice by IPv6, where there is one; the third server by IPv4.
    joins.hosts = (hosts.get("::1", hosts["127.0.0.1"]), bob, server)
    joins.start("bob", wait_s=60)
    alice.says("waiting for server (")
    joins.hosts = (hosts["127.0.0.1"], bob, server)
    joins.everybody_joins()
