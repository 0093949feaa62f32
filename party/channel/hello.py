"""What a party says first to another, and what it makes of the other's words."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from typing import Any

from party.faults import Fault, JobFault
from party.job import PARTIES, Job, Party

PROTOCOL_VERSION = 1
"""Of the join and of the frames that follow it."""

_SHOWN = 200
"""Longest text of a value that is said, in bytes, or shown, in characters."""


def hello(job: Job, party: Party, plan_digest: str) -> dict[str, Any]:
    """What a party says first: all that must be alike, and a nonce for the name of the run."""
    return {
        "type": "hello",
        "protocol_version": PROTOCOL_VERSION,
        "party": party,
        "run": secrets.token_hex(16),
        "versions": versions(),
        "job": job.digest,
        "job_fields": {name: _short(value) for name, value in _fields(job.model_dump(mode="json"))},
        "plan": plan_digest,
    }


def versions() -> dict[str, str]:
    """Versions of what decides a plan, without importing any of it."""
    from importlib.metadata import PackageNotFoundError, version

    def of(*distributions: str) -> str:
        for name in distributions:
            with contextlib.suppress(PackageNotFoundError):
                return version(name)
        return "none"

    return {
        "kit": of("tfe-kit"),
        "tensorflow": of("tensorflow-cpu", "tensorflow"),
        "tf_encrypted": of("tf-encrypted"),
    }


def difference(mine: dict[str, Any], theirs: dict[str, Any]) -> Fault | None:
    """The fault that two hellos which do not agree amount to: the same at both ends."""
    first, second = sorted((mine, theirs), key=lambda one: PARTIES.index(one["party"]))
    one, two = first["party"], second["party"]

    def differing(field: str, a: object, b: object) -> str:
        return f"{field}: {one} has {printable(a)}, {two} has {printable(b)}"

    def fault(differences: list[str], hint: str) -> JobFault:
        return JobFault(f"{one} and {two} disagree: {'; '.join(differences[:8])}", hint=hint)

    def among(field: str, prefix: str) -> list[str]:
        a, b = first[field], second[field]
        names = [*a, *(name for name in b if name not in a)]
        return [
            differing(prefix + name, a.get(name, "none"), b.get(name, "none"))
            for name in names
            if a.get(name) != b.get(name)
        ]

    same_software = "install the same versions at all three parties"
    if first["protocol_version"] != second["protocol_version"]:
        spoken = first["protocol_version"], second["protocol_version"]
        return fault([differing("protocol_version", *spoken)], same_software)
    if unlike := among("versions", "versions."):
        return fault(unlike, same_software)
    if first["job"] != second["job"]:
        unlike = among("job_fields", "") or [differing("job", first["job"], second["job"])]
        return fault(unlike, "give all three parties the same job file")
    if first["plan"] != second["plan"]:
        return fault(
            [differing("plan", first["plan"], second["plan"])],
            "same job and versions, different plans: install the same image, with nothing changed",
        )
    return None


def _fields(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, inner in value.items():
        if isinstance(inner, dict):
            found += _fields(inner, f"{prefix}{name}.")
        else:
            found.append((prefix + name, inner))
    return found


def _short(value: object) -> str:
    """A field's value as JSON text, or, where that is long, what it is and its digest."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    encoded = text.encode()
    if len(encoded) <= _SHOWN:
        return text
    kind = f"{len(value)} items" if isinstance(value, list) else f"{len(encoded)} bytes"
    return f"{kind} (sha256 {hashlib.sha256(encoded).hexdigest()[:16]})"


def printable(value: object, longest: int = _SHOWN) -> str:
    """A peer's text as it may be shown: cut short, and without what would move a cursor."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(c if c.isprintable() else "?" for c in text[:longest])


def checked_hello(message: dict[str, Any]) -> dict[str, Any] | None:
    """The message if it is a hello by its types, however long its texts; else None."""
    texts = all(isinstance(message.get(name), str) for name in ("party", "run", "job", "plan"))
    maps = all(
        isinstance(message.get(name), dict)
        and all(isinstance(value, str) for value in message[name].values())
        for name in ("versions", "job_fields")
    )
    return message if texts and maps and "protocol_version" in message else None
