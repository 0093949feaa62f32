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
from party.process.errors import InputError

KEYS = ("server0", "server1", "server2")
"""The map's keys, in the order of ``PARTIES``."""

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

    Raises InputError, with the key, for text that is not JSON, unknown, missing or repeated keys,
    wrong addresses, and an address that two parties share.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except _RepeatedKeyError as error:
        raise InputError(f"the hosts map has {error.key!r} more than once", where) from None
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError("the hosts map is not JSON", where + line) from None
    if not isinstance(value, dict):
        raise InputError("the hosts map is not an object of names and addresses", where)
    for key in value:
        if key not in KEYS:
            near = get_close_matches(key, KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"its keys are {', '.join(KEYS)}"
            raise InputError(f"the hosts map has an unknown key {key!r}", where, hint)
    addresses: list[Address] = []
    for key, party in zip(KEYS, PARTIES, strict=True):
        place = f"{where}, key {key!r} ({party})"
        if key not in value:
            raise InputError(f"the hosts map has no {key!r}", where, f"add {party}'s host:port")
        if not isinstance(value[key], str):
            raise InputError("the address is not a string", place, 'write it as "host:port"')
        try:
            address = Address.parse(value[key])
        except ValueError as error:
            raise InputError(
                f"the address {value[key][:80]!r} {error}", place, 'write it as "host:port"'
            ) from None
        if address in addresses:
            other = KEYS[addresses.index(address)]
            raise InputError(f"the address {address} is also that of {other!r}", place)
        addresses.append(address)
    alice, bob, server = addresses
    return alice, bob, server


def load_hosts(path: Path) -> Hosts:
    """The hosts map in a file; see ``parse_hosts``."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the hosts map: {error.strerror}", str(path)) from None
    except UnicodeDecodeError:
        raise InputError("the hosts map is not UTF-8 text", str(path)) from None
    return parse_hosts(text, str(path))


def format_hosts(hosts: Hosts) -> str:
    """The text of a hosts map; ``parse_hosts`` reads it back."""
    named = {key: str(address) for key, address in zip(KEYS, hosts, strict=True)}
    return json.dumps(named, indent=2) + "\n"


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
