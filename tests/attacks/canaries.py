"""Planted values, in every shape that they could leak in, and where to look for them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from party.job import PARTIES
from tests.runtime.scene import ROWS, Scene

_DIGITS = 7
"""So many characters of a number, its point among them, are taken for the number."""


@dataclass(frozen=True)
class Canary:
    """One planted value: whose it is, what it is, and the bytes that give it away."""

    owner: str
    what: str
    pattern: bytes


class Planted(Scene):
    """A job whose tables and keys are easily recognised."""

    def write_tables(self) -> None:
        chance = random.Random(7)
        self.features = [
            [chance.uniform(1000, 9000), chance.uniform(1000, 9000)] for _ in range(ROWS)
        ]
        self.labels = [chance.randrange(2) for _ in range(ROWS)]
        cells = "\n".join(",".join(f"{cell:.6f}" for cell in row) for row in self.features)
        (self.directory / "alice.csv").write_text(f"age,amount\n{cells}\n")
        column = "\n".join(map(str, self.labels))
        (self.directory / "bob.csv").write_text(f"fraud\n{column}\n")

    def canaries(self) -> list[Canary]:
        """All that is planted before a run."""
        keys = [self.directory / "keys" / party / "tls.key" for party in PARTIES]
        return [
            *of_features(np.array(self.features)),
            *of_labels(self.labels),
            *(canary for key in keys for canary in of_key(key.parent.name, key.read_bytes())),
            *of_key("nobody", (self.directory / "keys/authority/ca.key").read_bytes()),
        ]


def of_features(table: Any) -> Iterator[Canary]:
    """Each cell as text; each row as numbers of any kind, raw and standardised; their moments."""
    mean, scale = table.mean(0), table.std(0)
    for cell in [*table.ravel(), *mean, *scale]:
        yield Canary("alice", "a feature or a moment, as text", f"{cell:.6f}"[:_DIGITS].encode())
    standardised = (table - mean) / scale
    for rows in (table, standardised):
        for row in rows:
            for kind in ("<f4", "<f8"):
                yield Canary("alice", f"a row as {kind}", row.astype(kind).tobytes())
    for bits in (13, 16):
        for row in np.rint(standardised * 2**bits).astype("<i8"):
            yield Canary("alice", "a row in fixed point", row.tobytes())


def of_labels(labels: list[int]) -> Iterator[Canary]:
    """Half of the column, in a row, as text and as numbers of any kind."""
    for half in (labels[: ROWS // 2], labels[ROWS // 2 :]):
        for between in ("", " ", ",", ", ", "\n", ".0, ", ".0\n"):
            yield Canary("bob", "labels as text", between.join(map(str, half)).encode())
        for kind in ("<i1", "<i4", "<i8", "<f4", "<f8"):
            yield Canary("bob", f"labels as {kind}", np.array(half, kind).tobytes())
        for scale in (2**13, 2**16):
            yield Canary("bob", "labels in fixed point", (np.array(half, "<i8") * scale).tobytes())
    for order in ("big", "little"):
        packed = np.packbits(np.array(labels, np.uint8), bitorder=order)
        yield Canary("bob", "labels as bits", packed.tobytes())


def of_key(owner: str, pem: bytes) -> Iterator[Canary]:
    """A private key: a line of its PEM, and its number in every notation."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    raw = number.to_bytes(32, "big")
    longest = max(pem.splitlines(), key=len)
    what = f"the private key of {owner}"
    for pattern in (
        longest,
        raw,
        raw[::-1],
        raw.hex().encode(),
        str(number).encode(),
        base64.b64encode(raw)[:40],
    ):
        yield Canary(owner, what, pattern)
    yield Canary(owner, what, raw.hex().upper().encode())


def of_model(model: dict[str, Any]) -> Iterator[Canary]:
    """The weights as text, and as numbers."""
    weights = [*model["weights"], model["intercept"]]
    for weight in weights:
        yield Canary("alice", "a weight as text", f"{abs(weight):.12f}"[: _DIGITS + 1].encode())
    for kind in ("<f4", "<f8"):
        yield Canary("alice", f"the weights as {kind}", np.array(weights, kind).tobytes())
    for scale in (2**13, 2**16):
        raw = np.rint(np.array(weights) * scale).astype("<i8")
        yield Canary("alice", "the weights in fixed point", raw.tobytes())


def sightings(place: str, content: bytes, canaries: Iterable[Canary]) -> list[str]:
    """What of it is in a place."""
    seen = {f"{one.what} in {place}" for one in canaries if one.pattern in content}
    return sorted(seen)


def files_in(directory: Path) -> dict[str, bytes]:
    """The content of every file below a directory; those that are gone meanwhile are left out."""
    found = {}
    for path in sorted(directory.rglob("*")):
        try:
            if path.is_file():
                found[str(path)] = path.read_bytes()
        except OSError:
            continue
    return found


def of_process(pid: int) -> dict[str, bytes]:
    """What the kernel shows of a process to whoever may look."""
    found = {}
    for name in ("cmdline", "environ", "comm", "status", "maps"):
        try:
            found[f"/proc/{pid}/{name}"] = Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue
    return found


def descendants(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in descendants(int(child)))]


def read_model(output: Path) -> dict[str, Any]:
    """Alice's model."""
    model: dict[str, Any] = json.loads((output / "model.json").read_text())
    return model
