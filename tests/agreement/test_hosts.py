"""The hosts map: the walk-through's config.json is read, and nothing that only looks like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party.agreement.hosts import Address, format_hosts, load_hosts, parse_hosts
from party.process.errors import InputError

GOOD = {"server0": "alice.example:4440", "server1": "10.0.0.2:4440", "server2": "[2001:db8::3]:1"}


def test_the_walk_throughs_map_is_read() -> None:
    assert parse_hosts(json.dumps(GOOD), "config.json") == (
        Address("alice.example", 4440),
        Address("10.0.0.2", 4440),
        Address("2001:db8::3", 1),
    )


labels = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,5})?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=6).map(".".join)
addresses = st.builds(
    Address,
    st.one_of(names, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)),
    st.integers(1, 65535),
)


@pytest.mark.slow
@given(st.lists(addresses, min_size=3, max_size=3, unique=True))
def test_a_written_map_is_read_back(three: list[Address]) -> None:
    hosts = (three[0], three[1], three[2])
    assert parse_hosts(format_hosts(hosts), "x") == hosts


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        parsed = Address.parse(text)
    except ValueError:
        return
    assert 1 <= parsed.port <= 65535
    assert Address.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server1": None}, "not a string"),
        ({"server1": "10.0.0.2"}, "is not host:port"),
        ({"server1": "10.0.0.2:0"}, "port from 1 to 65535"),
        ({"server1": "10.0.0.2:65536"}, "port from 1 to 65535"),
        ({"server1": "10.0.0.2:+80"}, "port from 1 to 65535"),
        ({"server1": "2001:db8::3:80"}, "brackets"),
        ({"server1": "[10.0.0.2]:80"}, "no IPv6 address between its brackets"),
        ({"server1": "10.0.0.256:80"}, "no valid IPv4"),
        ({"server1": "https://bob:80"}, "is a URL"),
        ({"server1": "https://bob"}, "is a URL"),
        ({"server1": "tcp://[::1]:80/"}, "is a URL"),
        ({"server1": "bob@x:80"}, "no DNS name"),
        ({"server1": " bob:80"}, "no DNS name"),
        ({"server1": "alice.example:4440"}, "is also that of 'server0'"),
        ({"server1": "ALICE.example:4440"}, "is also that of 'server0'"),
    ],
)
def test_a_wrong_address_is_refused_with_its_key(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_hosts(json.dumps(GOOD | change), "config.json")
    assert caught.value.where == "config.json, key 'server1' (bob)"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps(GOOD) + " " * 2**20, "more than 1048576 bytes"),
        ('{"server0": ' + "9" * 5000 + "}", "is not JSON"),
        ("[]", "is a list, and not an object"),
        ("null", "is null, and not an object"),
        ("7", "is a number, and not an object"),
        ('"alice:1"', "is a text, and not an object"),
        ("{}", "has no 'server0'"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "server2"}), "has no 'server2'"),
        (json.dumps(GOOD | {"server3": "x:1"}), "unknown key 'server3'"),
        ('{"server0": "a:1", "server0": "b:1"}', "'server0' more than once"),
    ],
)
def test_what_is_no_hosts_map_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_hosts(text, "config.json")
    assert (caught.value.where or "").startswith("config.json")
    assert caught.value.hint


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(InputError) as caught:
        parse_hosts(json.dumps(GOOD | {"sever1": "x:1"}), "config.json")
    assert caught.value.hint == "did you mean 'server1'?"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file") as caught:
        load_hosts(tmp_path / "config.json")
    assert caught.value.where == str(tmp_path / "config.json")
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="not UTF-8"):
        load_hosts(tmp_path / "config.json")


def test_a_byte_order_mark_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert load_hosts(path) == parse_hosts(json.dumps(GOOD), "config.json")
