"""The simulation: who waits for whom, for a line, for room, and for a core."""

from __future__ import annotations

import pytest

from deployer.estimate.simulation import Costs, Network, Timed, simulate
from party.native.instructions import Op

FREE = Costs(0.0, 0.0, 0.0, 0.0, 0.0)
WIDE = dict.fromkeys(range(3), 1 << 30)


def send(to: int, size: int = 100, work_s: float = 0.0) -> Timed:
    return Timed(work_s, Op.FLUSH, to, size)


def receive(of: int, size: int = 100, work_s: float = 0.0) -> Timed:
    return Timed(work_s, Op.RECV, of, size)


def end(work_s: float = 0.0) -> Timed:
    return Timed(work_s)


def ends(
    *parties: list[Timed],
    network: Network | None = None,
    costs: Costs = FREE,
    ring: dict[int, int] | None = None,
) -> list[list[float]]:
    return simulate(parties, [ring or WIDE] * len(parties), costs, network or Network())


def test_an_answer_takes_a_round_trip_and_the_computing_between() -> None:
    one = [send(1, work_s=1.0), receive(1), end(2.0)]
    other = [receive(0), send(0, work_s=4.0), end()]
    found = ends(one, other, network=Network(latency_s=10.0))
    assert found == [[27.0], [15.0]]


def test_who_waits_for_nobody_runs_ahead_and_costs_nobody_a_round() -> None:
    dealer = [send(0), end()] * 3
    one = [receive(2), send(1), receive(1), end()] * 3
    other = [receive(0), send(0), end()] * 3
    found = ends(one, other, dealer, network=Network(latency_s=1.0))
    assert found[0] == [3.0, 5.0, 7.0]
    assert found[2] == [0.0, 0.0, 0.0]


def test_it_runs_no_further_ahead_than_the_ring_has_room() -> None:
    found = ends(
        [receive(1, 100, work_s=5.0), end()] * 3, [send(0, 100), end()] * 3, ring={0: 100, 1: 100}
    )
    assert found[1] == [0.0, 5.0, 10.0]


def test_a_line_carries_so_many_bytes_a_second() -> None:
    sender = [send(1, 300), send(2, 300), end()]
    first, second = [receive(0, 300), end()], [receive(0, 300), end()]
    found = ends(sender, first, second, network=Network(latency_s=1.0, bytes_per_s=100.0))
    assert found[1:] == [[4.0], [7.0]]


def test_parties_share_the_cores() -> None:
    alone = [end(2.0)]
    assert ends(alone, alone, alone) == [[2.0]] * 3
    assert sorted(ends(alone, alone, alone, network=Network(cores=2))) == [[2.0], [2.0], [4.0]]


def test_who_waits_needs_no_core() -> None:
    waits, answers = [receive(1), end()], [send(0, work_s=3.0), end()]
    assert ends(waits, answers, network=Network(cores=1)) == [[3.0], [3.0]]


def test_a_message_costs_its_sender_and_its_receiver() -> None:
    costs = Costs(send_s=1.0, send_byte_s=0.01, receive_s=2.0, receive_byte_s=0.02, wake_s=0.5)
    found = ends([send(1, 100), end()], [receive(0, 100), end()], costs=costs)
    assert found == [[2.0], [pytest.approx(2.0 + 0.5 + 4.0)]]


def test_messages_of_one_write_are_read_together() -> None:
    costs = Costs(send_s=0.0, send_byte_s=0.0, receive_s=1.0, receive_byte_s=0.0, wake_s=0.0)
    both = [receive(0, 40), receive(0, 60), end()]
    assert ends([send(1, 100), end()], both, costs=costs)[1] == [1.0]
