"""The hosts map: at which address each party listens.

It is the walk-through's own ``config.json``::

    {"server0": "alice.example:4440", "server1": "10.0.0.2:4440", "server2": "[2001:db8::3]:4440"}

``server0`` is Alice, ``server1`` is Bob, ``server2`` the third server. A party of higher index
dials those of lower index, so nobody ever dials server2; its address still stands in the map, as
in the walk-through.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from party.agreement.job import PARTIES
from party.agreement.text_file import check_size, read_text
from party.process.errors import InputError, printable

KEYS = ("server0", "server1", "server2")
"""The map's keys, in the order of ``PARTIES``."""

_MAP = "the hosts map"
_WRITE = 'write {"server0": "host:port", "server1": "host:port", "server2": "host:port"}'

_LABEL = "[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A DNS name or IP address, without brackets, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """``host:port``, ``1.2.3.4:port`` or ``[v6]:port``; ValueError says what is wrong."""
        if "://" in text:
            raise ValueError("is a URL")
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise ValueError("is not host:port")
        if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
            raise ValueError("has no port from 1 to 65535")
        if host.startswith("[") and host.endswith("]"):
            try:
                return cls(str(ipaddress.IPv6Address(host[1:-1])), int(port))
            except ValueError:
                raise ValueError("has no IPv6 address between its brackets") from None
        if ":" in host:
            raise ValueError("needs brackets around its IPv6 address: [address]:port")
        if not _NAME.fullmatch(host):
            raise ValueError("has no DNS name or IP address before its port")
        if re.fullmatch(r"[0-9.]+", host):
            try:
                ipaddress.IPv4Address(host)
            except ValueError:
                raise ValueError("has no valid IPv4 address before its port") from None
        return cls(host.lower(), int(port))


Hosts = tuple[Address, Address, Address]
"""The addresses of alice, bob and server."""


def parse_hosts(text: str, where: str) -> Hosts:
    """The hosts map in a JSON text. ``where`` names the text in an error.

    Raises InputError, with the key, for text that is too long or not JSON, unknown, missing or
    repeated keys, wrong addresses, and an address that two parties share.
    """
    check_size(len(text), _MAP, where)
    try:
        value = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_unique)
    except _RepeatedKeyError as error:
        what = f"{_MAP} has {printable(error.key, 80)!r} more than once"
        raise InputError(what, where, "keep one of them") from None
    except RecursionError:
        raise InputError(f"{_MAP} is nested too deeply", where, _WRITE) from None
    except (ValueError, OverflowError) as error:
        place = where
        if isinstance(error, json.JSONDecodeError):
            place += f", line {error.lineno}, column {error.colno}"
        raise InputError(f"{_MAP} is not JSON", place, _WRITE) from None
    if not isinstance(value, dict):
        what = f"{_MAP} is {_kind(value)}, and not an object of names and addresses"
        raise InputError(what, where, _WRITE)
    for key in value:
        if key not in KEYS:
            near = get_close_matches(key[:80], KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"its keys are {', '.join(KEYS)}"
            raise InputError(f"{_MAP} has an unknown key {printable(key, 80)!r}", where, hint)
    addresses: list[Address] = []
    for key, party in zip(KEYS, PARTIES, strict=True):
        place = f"{where}, key {key!r} ({party})"
        if key not in value:
            raise InputError(f"the hosts map has no {key!r}", where, f"add {party}'s host:port")
        if not isinstance(value[key], str):
            what = f"the address is {_kind(value[key])}, and not a string"
            raise InputError(what, place, 'write it as "host:port"')
        try:
            address = Address.parse(value[key])
        except ValueError as error:
            hint = 'write it as "host:port"'
            if "://" in value[key]:
                hint += ", without https:// before it or a path after it"
            what = f"the address {printable(value[key], 80)!r} {error}"
            raise InputError(what, place, hint) from None
        if address in addresses:
            other = KEYS[addresses.index(address)]
            hint = "give each party a host or a port of its own"
            raise InputError(f"the address {address} is also that of {other!r}", place, hint)
        addresses.append(address)
    alice, bob, server = addresses
    return alice, bob, server


def load_hosts(path: Path) -> Hosts:
    """The hosts map in a file, with or without a byte order mark; see ``parse_hosts``."""
    return parse_hosts(read_text(path, _MAP), str(path))


def format_hosts(hosts: Hosts) -> str:
    """The text of a hosts map; ``parse_hosts`` reads it back."""
    named = {key: str(address) for key, address in zip(KEYS, hosts, strict=True)}
    return json.dumps(named, indent=2) + "\n"


def _kind(value: Any) -> str:
    """What a JSON value is, in a word, and not what stands in it."""
    if value is None:
        return "null"
    kinds = {bool: "a boolean", str: "a text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")


class _RepeatedKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise _RepeatedKeyError(key)
        seen[key] = value
    return seen
