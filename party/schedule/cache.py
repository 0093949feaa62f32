"""Schedules on disk, by what they were made from; each is verified when it is read.

A file holds the SHA-256 of the rest, then the arrays of one schedule (NumPy's ``npz``, no pickles).
The digest tells damage, and ``verify`` proves that a schedule stays within its memory and its
channels. What it computes there was audited when it was made: so a file counts only if nobody but
the party itself (or root) can have written it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from party.agreement.job import PARTIES, digest_of
from party.plan.cut import Message
from party.plan.graph import Share
from party.plan.parameters import PlanParameters
from party.process import files
from party.process.errors import JobError
from party.schedule.schedule import Code, Held, Region, Schedule
from party.schedule.verify import verify

_ARRAYS = ("constants", "index")
_PACKAGE = Path(__file__).resolve().parents[1]


@lru_cache
def versions() -> dict[str, str]:
    """The versions that a plan depends on, by name; read without importing anything."""
    names = {"tf-encrypted": ("tf-encrypted",), "tensorflow": ("tensorflow-cpu", "tensorflow")}
    found = {"kit": _version("tfe-kit"), "python": ".".join(platform.python_version_tuple()[:2])}
    for name, candidates in names.items():
        found[name] = next((v for c in candidates if (v := _version(c)) != "none"), "none")
    return found


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"


@lru_cache
def _source_digest() -> str:
    """SHA-256 of all sources of the package: other code makes another plan of the same job."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.suffix in (".py", ".c", ".h"):
            digest.update(str(path.relative_to(_PACKAGE)).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def path(cache: Path, parameters: PlanParameters, party: int) -> Path:
    """Where the schedule of a party lies."""
    made_from = {
        "parameters": parameters.digest,
        "versions": versions(),
        "numpy": np.__version__,
        "sources": _source_digest(),
    }
    return cache / f"{digest_of(made_from)[:40]}-{PARTIES[party]}.schedule"


def save(file: Path, schedule: Schedule) -> None:
    """Writes a schedule, whole or not at all.

    Raises:
        JobError: the cache cannot be written.
    """
    meta = {
        "party": schedule.party,
        "plan_digest": schedule.plan_digest,
        "arena_bytes": schedule.arena_bytes,
        "programs": [
            {
                "name": code.name,
                "messages": [asdict(message) for message in code.messages],
                "rounds": code.rounds,
                "notes": code.notes,
                "opened": {name: asdict(place) for name, place in code.opened.items()},
            }
            for code in schedule.programs
        ],
        "state": [asdict(held) for held in schedule.state],
        "scale": schedule.scale,
    }
    arrays = {name: getattr(schedule, name) for name in _ARRAYS}
    arrays |= {f"program{i}": code.instructions for i, code in enumerate(schedule.programs)}
    room = io.BytesIO()
    np.savez(room, allow_pickle=False, meta=np.array(json.dumps(meta)), **arrays)
    content = room.getvalue()
    called, where = "the cache of schedules", str(file.parent)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise JobError(f"cannot write {called}: {error.strerror}", where) from None
    files.replace(file, hashlib.sha256(content).digest() + content, called=called, where=where)


def load(file: Path, party: int) -> Schedule | None:
    """The schedule in a file, proved in bounds; None where there is none.

    Raises:
        JobError: others could have written the file, it is damaged, or it holds what no builder
            made.
    """
    try:
        _check_owner(file)
        raw = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JobError(f"cannot read the cache of schedules: {error.strerror}", str(file)) from None
    damaged = JobError("a cached schedule is damaged", str(file), "remove the file and run again")
    if hashlib.sha256(raw[32:]).digest() != raw[:32]:
        raise damaged
    try:
        with np.load(io.BytesIO(raw[32:]), allow_pickle=False) as stored:
            schedule = _from(json.loads(str(stored["meta"])), stored)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile):
        raise damaged from None
    if schedule.party != party:
        raise damaged
    verify(schedule)
    return schedule


def _check_owner(file: Path) -> None:
    for path, writable in ((file, stat.S_IWGRP | stat.S_IWOTH), (file.parent, stat.S_IWOTH)):
        status = path.stat()
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & writable:
            raise JobError(
                "others can write to the cache of schedules",
                str(path),
                "remove it, or name a directory of your own with --cache",
            )


def _from(meta: dict[str, Any], stored: Mapping[str, Any]) -> Schedule:
    return Schedule(
        party=meta["party"],
        plan_digest=meta["plan_digest"],
        arena_bytes=meta["arena_bytes"],
        programs=tuple(
            Code(
                name=str(one["name"]),
                instructions=stored[f"program{i}"],
                messages=tuple(Message(**message) for message in one["messages"]),
                rounds=int(one["rounds"]),
                notes=tuple((int(depth), str(name)) for depth, name in one["notes"]),
                opened={str(name): Region(**place) for name, place in one["opened"].items()},
            )
            for i, one in enumerate(meta["programs"])
        ),
        state=tuple(
            Held(Region(**held["place"]), Share(**held["share"])) for held in meta["state"]
        ),
        fed={},
        received={},
        scale=meta["scale"],
        **{name: stored[name] for name in _ARRAYS},
    )
