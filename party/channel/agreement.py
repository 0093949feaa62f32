"""The agreement: what the parties say to each other before they start, and what follows from it.

    {"type": "hello", "protocol_version": 3, "party": ..., "run": nonce, "versions": {...},
     "job": digest, "job_fields": {field: value as JSON text}, "plan": digest}
    {"type": "ready", "run": digest of the three nonces}
    {"type": "refusal", "what": why this party will not start, "hint": what to do about it}
    {"type": "taken"}                                     another connection of this party lives

No connection is touched here: messages go in and come out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from party.agreement.job import PARTIES, Job, Party
from party.process.errors import JobError, KitError, printable

PROTOCOL_VERSION = 3
"""Of the join and of the frames that follow it."""

_LONGEST = 200
"""Bytes of a value that is said; of a longer one a digest is."""

_FIELDS_BYTES = 3000
"""Of all fields of a job."""

_WHAT_BYTES, _HINT_BYTES = 1200, 500
"""Of a refusal. In JSON a text takes up to twice as much; the whole fits into a message."""

_NONCE, _DIGEST = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{64}")
_WHOLE = re.compile("[^\\ud800-\\udfff]*")
"""Texts that can be said on: JSON knows halves of characters, too."""


def hello(job: Job, party: Party, plan_digest: str) -> dict[str, Any]:
    """What a party says first: all that must be alike, and a nonce for the name of the run."""
    return {
        "type": "hello",
        "protocol_version": PROTOCOL_VERSION,
        "party": party,
        "run": secrets.token_hex(16),
        "versions": versions(),
        "job": job.digest,
        "job_fields": _job_fields(job.model_dump(mode="json")),
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


def difference(mine: dict[str, Any], theirs: dict[str, Any]) -> KitError | None:
    """The error that two hellos which do not agree amount to: the same at both ends."""
    first, second = sorted((mine, theirs), key=lambda one: PARTIES.index(one["party"]))
    one, two = first["party"], second["party"]

    def differing(field: str, a: object, b: object) -> str:
        return f"{printable(field)}: {one} has {printable(a)}, {two} has {printable(b)}"

    def error(differences: list[str], hint: str) -> JobError:
        what = f"{one} and {two} disagree: {'; '.join(differences[:8])}"
        return JobError(what, hint=hint, cause="refused")

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
        return error([differing("protocol_version", *spoken)], same_software)
    if unlike := among("versions", "versions."):
        return error(unlike, same_software)
    if first["job"] != second["job"]:
        unlike = among("job_fields", "") or [differing("job", first["job"], second["job"])]
        return error(unlike, "give all three parties the same job file")
    if first["plan"] != second["plan"]:
        return error(
            [differing("plan", first["plan"], second["plan"])],
            "same job and versions, different plans: install the same image, with nothing changed",
        )
    return None


def _job_fields(job: dict[str, Any]) -> dict[str, str]:
    """What a job says, field by field; of many columns, column by column or all at once, so that
    it fits into a message."""
    columns = job["columns"]
    for said in (columns, {name: _text(one) for name, one in columns.items()}, _text(columns)):
        fields = _fields(job | {"columns": said})
        found = {name: _short(value) for name, value in fields}
        if len(_text(found).encode()) <= _FIELDS_BYTES:
            break
    return found


def _fields(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, inner in value.items():
        if isinstance(inner, dict):
            found += _fields(inner, f"{prefix}{name}.")
        else:
            found.append((prefix + name, inner))
    return found


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _short(value: object) -> str:
    """A field's value as JSON text, or, where that is long, what it is and its digest."""
    text = _text(value)
    encoded = text.encode()
    if len(encoded) <= _LONGEST:
        return text
    kind = f"{len(value)} items" if isinstance(value, list) else f"{len(encoded)} bytes"
    return f"{kind} (sha256 {hashlib.sha256(encoded).hexdigest()[:16]})"


def checked_hello(message: dict[str, Any]) -> dict[str, Any] | None:
    """The message if it is a hello, whatever it says; None if it is not."""
    maps = [message.get(name) for name in ("versions", "job_fields")]
    version = message.get("protocol_version")
    whole = (
        message.get("party") in PARTIES
        and type(version) is int
        and 0 <= version < 1 << 32
        and _is_text(message.get("run"), _NONCE)
        and all(_is_text(message.get(name), _DIGEST) for name in ("job", "plan"))
        and all(isinstance(one, dict) and all(map(_is_text, (*one, *one.values()))) for one in maps)
    )
    return message if whole else None


def refusal(what: str, hint: str) -> dict[str, Any]:
    """The words with which a party refuses to start, cut where they are too long."""
    return {"type": "refusal", "what": _cut(what, _WHAT_BYTES), "hint": _cut(hint, _HINT_BYTES)}


def checked_refusal(message: dict[str, Any]) -> tuple[str, str] | None:
    """What a refusal says, and its hint, as they may be shown; None if it is none."""
    what, hint = message.get("what"), message.get("hint", "")
    if not isinstance(what, str) or not isinstance(hint, str):
        return None
    return printable(what, _WHAT_BYTES), printable(hint, _HINT_BYTES)


TAKEN: dict[str, Any] = {"type": "taken"}
"""Said to a party that has a living connection already."""


def ready(run: str) -> dict[str, Any]:
    """The words with which a party says that it is ready for a run."""
    return {"type": "ready", "run": run}


def checked_ready(message: dict[str, Any]) -> str | None:
    """The run that another is ready for; None if the message says no such thing."""
    run = message.get("run")
    return run if message.get("type") == "ready" and isinstance(run, str) else None


def run_name(hellos: Mapping[Party, dict[str, Any]]) -> str | None:
    """The name of the run that three hellos begin; None while one is missing."""
    if len(hellos) < len(PARTIES):
        return None
    nonces = "|".join(hellos[party]["run"] for party in PARTIES)
    return hashlib.sha256(nonces.encode()).hexdigest()


def _is_text(value: object, shape: re.Pattern[str] = _WHOLE) -> bool:
    return isinstance(value, str) and shape.fullmatch(value) is not None


def _cut(text: str, longest: int) -> str:
    return text.encode()[:longest].decode(errors="ignore")
