"""Who counts as one source, and whose connection makes room."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from party.channel.admission import crowded_out, source, unmapped

v4 = st.ip_addresses(v=4).map(str)
v6 = st.integers(2**48, 2**128 - 1).map(ipaddress.IPv6Address)
"""None of them stands for one of IPv4."""


@given(v6, st.integers(0, 2**64 - 1))
def test_a_network_of_ipv6_is_one_source(address: ipaddress.IPv6Address, other: int) -> None:
    neighbour = ipaddress.IPv6Address(int(address) >> 64 << 64 | other)
    assert source(str(address)) == source(str(neighbour)) or neighbour.ipv4_mapped


@given(v6, st.integers(64, 127))
def test_two_networks_of_ipv6_are_two_sources(address: ipaddress.IPv6Address, bit: int) -> None:
    other = ipaddress.IPv6Address(int(address) ^ 1 << bit)
    assert source(str(address)) != source(str(other))


@given(v4, v4)
def test_an_address_of_ipv4_is_a_source_however_a_socket_shows_it(one: str, other: str) -> None:
    assert source(one) == source(f"::ffff:{one}") == unmapped(f"::ffff:{one}") == one
    assert (source(one) == source(f"::ffff:{other}")) == (one == other)


def test_addresses_on_two_links_are_two_sources() -> None:
    assert source("fe80::1%eth0") == source("fe80::2%eth0") != source("fe80::1%eth1")


@dataclass(frozen=True)
class Stranger:
    number: int
    source: str


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(1, 40))
def test_the_source_with_the_most_gives_up_its_oldest(sources: list[str], limit: int) -> None:
    strangers = [Stranger(number, name) for number, name in enumerate(sources)]
    gone = crowded_out(strangers, limit)
    assert (gone is None) == (len(strangers) < limit)
    if gone is not None:
        assert sources.count(gone.source) == max(map(sources.count, sources))
        assert gone.number == sources.index(gone.source)
