"""The simulation: who waits for whom, for a line, for room, and for a core."""

from __future__ import annotations

import math
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.estimate.simulation import Costs, Network, Timed, simulate
from deployer.estimate.tcp import FIRST_WINDOW, SEGMENT, Stream
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


def test_a_first_message_takes_a_round_trip_more_for_each_time_its_window_doubles() -> None:
    seven = FIRST_WINDOW + 2 * FIRST_WINDOW + 4 * FIRST_WINDOW
    way = Network(latency_s=10.0)
    found = ends([send(1, FIRST_WINDOW), end()], [receive(0, FIRST_WINDOW), end()], network=way)
    assert found[1] == [10.0]
    found = ends([send(1, seven), end()], [receive(0, seven), end()], network=way)
    assert found[1] == [10.0 + 2 * 20.0]


def test_a_later_message_finds_the_window_that_an_earlier_one_opened() -> None:
    stream = Stream(20.0, math.inf, paced=False)
    assert stream.leaves(0.0, 7 * FIRST_WINDOW) == 40.0
    assert stream.leaves(100.0, 8 * FIRST_WINDOW) == 100.0


def test_small_messages_open_no_window() -> None:
    stream = Stream(20.0, math.inf, paced=False)
    for begin in range(0, 1000, 100):
        stream.leaves(float(begin), SEGMENT)
    assert stream.leaves(2000.0, 2 * FIRST_WINDOW) == 2020.0


@pytest.mark.parametrize(
    ("size", "measured_ms"), [(1_000, 20.5), (8_000, 27.9), (14_000, 33.8), (100_000, 43.0)]
)
def test_paced_messages_take_what_they_took_between_parties_40_ms_apart(
    size: int, measured_ms: float
) -> None:
    """Measured: the median one way of twenty messages there and back, on lines of 100 Mbit/s."""
    stream, begin, took = Stream(0.04, 12.5e6, paced=True), 0.0, []
    for _ in range(20):
        took.append(stream.leaves(begin, size) - begin + 0.02)
        begin += 2 * took[-1]
    assert median(took) * 1e3 == pytest.approx(measured_ms, rel=0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 1 << 20)), max_size=20), st.booleans())
def test_no_message_leaves_before_its_line_could_carry_it_or_before_the_last_one(
    messages: list[tuple[float, int]], paced: bool
) -> None:
    stream, begin, last = Stream(0.04, 1e6, paced), 0.0, 0.0
    for pause, size in messages:
        begin += pause
        left = stream.leaves(begin, size)
        assert left >= max(begin, last) + size / 1e6 * (1 - 1e-9)
        last = left
