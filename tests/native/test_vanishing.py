"""A peer's machine that is gone is told from a peer that does not read, and from one at rest."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from party.native import ChannelError, Connection, Context, Want
from tests.harness.links import LIMIT_S, shake
from tests.harness.vanishing import come_back, vanish

WITHIN_S = 1.0
"""In the place of the product's fifteen."""

Ends = tuple[Connection, Connection, socket.socket]


@pytest.fixture
def ends(tls: list[Context]) -> Iterator[Ends]:
    """Two connections over TCP, and the socket of the second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with one, other:
        for each in (one, other):
            each.setblocking(False)
        server = Connection(tls[0], one.fileno(), True)
        client = Connection(tls[1], other.fileno(), False)
        shake(server, client)
        assert client.write(b"hello") == 5
        yield server, client, other


def is_missed(one: Connection) -> bool:
    """Whether its peer's machine counts as gone."""
    try:
        one.see_to_answers(WITHIN_S)
    except ChannelError as error:
        assert str(error) == "its machine has not answered for 1 s"
        return True
    return False


def stays(one: Connection, seconds: float) -> None:
    """Its peer's machine is there for as long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert not is_missed(one)
        time.sleep(0.01)


def test_a_machine_that_is_gone_is_missed_and_one_that_comes_back_is_not(ends: Ends) -> None:
    one, _, socket_of_other = ends
    vanish(socket_of_other)
    stays(one, 2 * WITHIN_S)  # it owes no answer
    assert one.write(b"and?") == 4
    end = time.monotonic() + LIMIT_S
    while not is_missed(one):
        assert time.monotonic() < end
        time.sleep(0.01)
    come_back(socket_of_other)
    while is_missed(one):  # until what was sent is sent once more, and acknowledged
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_that_stands_still_is_not_gone(ends: Ends) -> None:
    """However much waits for it: its machine says that there is no room."""
    one, _, _ = ends
    piece = bytes(1 << 14)
    end = time.monotonic() + 4 * WITHIN_S
    full = False
    while time.monotonic() < end:
        taken = one.write(piece)
        full = isinstance(taken, Want)
        if full:
            time.sleep(0.01)
        assert not is_missed(one)
    assert full


def test_a_machine_that_goes_while_it_has_no_room_is_missed(ends: Ends) -> None:
    """Nothing is on the way to it then but the question whether there is room."""
    one, _, socket_of_other = ends
    piece = bytes(1 << 14)
    full_since = None
    while full_since is None or time.monotonic() - full_since < WITHIN_S:
        if not isinstance(one.write(piece), Want):
            full_since = None
        elif full_since is None:
            full_since = time.monotonic()
        else:
            time.sleep(0.01)
    assert not is_missed(one)
    vanish(socket_of_other)
    end = time.monotonic() + LIMIT_S
    while not is_missed(one):
        assert time.monotonic() < end
        time.sleep(0.01)
