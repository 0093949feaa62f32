"""The router between parties: a delay, and lines that carry no more than they are said to."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.delay import BURST, MTU, Line, Network
from bench.places import Apart, why_not_apart

ARRIVALS = st.lists(
    st.tuples(st.floats(min_value=0, max_value=0.01), st.integers(1, MTU)), min_size=1, max_size=60
)


@given(ARRIVALS, st.floats(min_value=1, max_value=1000))
def test_in_no_stretch_of_time_does_a_line_carry_more_than_its_rate_and_a_burst(
    arrivals: list[tuple[float, int]], mbit_s: float
) -> None:
    line, now = Line(mbit_s), 0.0
    passed: list[tuple[float, int]] = []
    for gap, size in arrivals:
        now += gap
        passed.append((line.passes(now, size), size))
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            stretch = passed[last][0] - passed[first][0]
            carried = sum(size for _, size in passed[first : last + 1])
            assert carried <= BURST + MTU + stretch * mbit_s * 1e6 / 8 + 1e-3


@given(ARRIVALS, st.floats(min_value=1, max_value=1000))
def test_packets_keep_their_order_and_none_comes_before_it_was_sent(
    arrivals: list[tuple[float, int]], mbit_s: float
) -> None:
    line, now, before = Line(mbit_s), 0.0, 0.0
    for gap, size in arrivals:
        now += gap
        through = line.passes(now, size)
        assert through >= now and through >= before
        before = through


def test_a_line_that_is_kept_busy_carries_its_rate() -> None:
    line = Line(100)
    ends = max(line.passes(0.0, MTU) for _ in range(10_000))
    assert 10_000 * MTU * 8 / ends == pytest.approx(100e6, rel=0.01)


def test_a_line_without_a_limit_holds_nothing_back() -> None:
    assert Line(0).passes(3.0, 1_000_000) == 3.0


def through(network: Network) -> list[tuple[float, int, bytes]]:
    """All that is on its way, with the moment in which it is through."""
    found: list[tuple[float, int, bytes]] = []
    while (due := network.due()) is not None:
        found += [(due, to, packet) for to, packet in network.delivered(due)]
    return found


def test_without_a_limit_every_packet_arrives_once_the_delay_is_over() -> None:
    network = Network(3, 0.02, 0)
    for number in range(5):
        network.send(0.001 * number, 0, 1 + number % 2, bytes([number]))
    arrived = through(network)
    assert [at for at, _, _ in arrived] == pytest.approx([0.02 + 0.001 * n for n in range(5)])
    assert [packet for _, _, packet in arrived] == [bytes([n]) for n in range(5)]


def test_two_who_send_to_one_share_the_line_that_it_receives_by() -> None:
    network = Network(3, 0.02, 100)
    for _ in range(1_000):
        network.send(0.0, 0, 2, bytes(MTU))
        network.send(0.0, 1, 2, bytes(MTU))
    arrived = through(network)
    assert len(arrived) == 2_000
    lasted = arrived[-1][0] - 0.02
    assert 2_000 * MTU * 8 / lasted == pytest.approx(100e6, rel=0.05)


def test_who_sends_to_two_shares_the_line_that_it_sends_by() -> None:
    network = Network(3, 0.02, 100)
    for _ in range(1_000):
        network.send(0.0, 0, 1, bytes(MTU))
        network.send(0.0, 0, 2, bytes(MTU))
    assert 2_000 * MTU * 8 / (through(network)[-1][0] - 0.02) == pytest.approx(100e6, rel=0.05)


_RECEIVE = """
import socket, time
with socket.create_server(("", 7001)) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    peer.sendall(b"!")
    size, first = 0, None
    while got := peer.recv(1 << 16):
        first = first or time.monotonic()
        size += len(got)
    print(size * 8 / (time.monotonic() - first))
"""

_SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 7001)) as peer:
    peer.recv(1)
    peer.sendall(bytes(2_000_000))
"""


@pytest.mark.slow
@pytest.mark.skipif(why_not_apart() is not None, reason=str(why_not_apart()))
def test_a_connection_between_parties_is_not_faster_than_its_line() -> None:
    with Apart(10, 20) as place:
        host = place.hosts[0].split(":")[0]
        receiver = subprocess.Popen(
            place.command(0, [sys.executable, "-c", _RECEIVE]), stdout=subprocess.PIPE, text=True
        )
        assert receiver.stdout is not None and receiver.stdout.readline() == "ready\n"
        send = place.command(1, [sys.executable, "-c", _SEND, host])
        subprocess.run(send, check=True, timeout=120)
        said, _ = receiver.communicate(timeout=120)
        # A busy machine makes it slower, and nothing makes it faster: but for the first burst.
        assert float(said) < 20e6 * 1.1
        carried = place.carried()
        assert carried is not None and carried > 2_000_000
