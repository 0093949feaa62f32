"""Planted values, in every shape that they could leak in, and where to look for them."""

from __future__ import annotations

import base64
import json
import os
import random
import shlex
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from party.agreement.job import PARTIES, Job, load_job
from tests.harness.processes import JOB, ROWS, Processes

TRAINING: dict[str, Any] = JOB["training"] | {"batch_size": 32}
"""The labels of a batch are enough to be told from chance."""

ENDLESS = {"training": TRAINING | {"epochs": 1_000_000}}
"""Of the same plan, and longer than any test."""

SEEDS = Path(__file__).parent / "seeds.c"
SEED_TEXT = b"a seed we'd know"
"""What each seed begins with that ``seeds.c`` gives out."""

BETWEEN = (",", ", ", " ", "\t", ";", "\n", "\r\n", r"\n", r"\r\n", "], [", "],[")
"""What numbers stand apart by, in text, and in text that is quoted."""

FRACTIONS = (13, 20, 24)
"""Bits after the point, of fixed-point numbers."""

_PIECE = 8
"""So many cells of a column are looked for in a row."""

_CELL = 9
"""So many characters of a cell are taken for the cell. Nothing else has numbers of seven digits
with a fraction."""

_FRACTION = 10
"""So many characters of a number about 1: few enough for its last digits not to matter, and enough
for no measured time to be taken for it."""

_LEAST = 8
"""Bytes of a pattern of bytes; what is shorter could be there by chance."""

_LEAST_TELLING = 3
"""Of these, bytes that numbers near 0 are not filled up with: eight that are nearly all zero are in
the header of a gzip file, and anywhere."""

_LEAST_TEXT = 15
"""Characters of a list of numbers with few digits."""

_PAGE = os.sysconf("SC_PAGE_SIZE")

_WINDOW = 6
"""The search looks for so many bytes of each pattern first."""


@dataclass(frozen=True)
class Canary:
    """One planted value: whose it is, what it is, and the bytes that give it away."""

    owner: str
    what: str
    pattern: bytes


class Planted(Processes):
    """A job whose tables and keys are easily recognised."""

    def __init__(self, directory: Path, cache: Path, **change: Any) -> None:
        super().__init__(directory, cache, **({"training": TRAINING} | change))

    def write_tables(self) -> None:
        """Cells of seven digits, and labels of coins."""
        self.features, self.labels = plant_tables(self.directory)

    def canaries(self) -> list[Canary]:
        """All that is planted before a run."""
        keys = [self.directory / "keys" / party / "tls.key" for party in PARTIES]
        orders = orders_of(load_job(self.directory / "job.yaml"))
        return [
            *of_features(self.features, orders),
            *of_labels(self.labels, orders),
            *(canary for key in keys for canary in of_key(key.parent.name, key.read_bytes())),
            *of_key("nobody", (self.directory / "keys/authority/ca.key").read_bytes()),
        ]


def plant_tables(directory: Path) -> tuple[Any, list[int]]:
    """Writes Alice's and Bob's tables; gives what is in them."""
    chance = random.Random(7)
    features = [[chance.uniform(1e6, 9e6) for _ in range(2)] for _ in range(ROWS)]
    labels = [chance.randrange(2) for _ in range(ROWS)]
    cells = "\n".join(",".join(f"{cell:.6f}" for cell in row) for row in features)
    (directory / "alice.csv").write_text(f"age,amount\n{cells}\n")
    (directory / "bob.csv").write_text("\n".join(["fraud", *map(str, labels)]) + "\n")
    return np.array(features), labels


def orders_of(job: Job) -> list[Any]:
    """The order of the rows in each epoch; of a long job, in the first five."""
    return [job.batches(epoch).reshape(-1) for epoch in range(min(5, job.epochs))]


def of_features(table: Any, orders: Iterable[Any]) -> Iterator[Canary]:
    """Cells, rows, and pieces of columns, as text and as numbers of any kind, raw and standardised,
    as they stand and in the order of each epoch; their moments."""
    mean, scale = table.mean(0), table.std(0)
    standardised, everywhere = (table - mean) / scale, np.arange(len(table))
    for moments in (mean, scale):
        yield from _each("alice", "a moment as text", map(_as_cell, moments))
        yield from _each("alice", "the moments as numbers", _numbers(moments))
    cells = (text for cell in table.ravel() for text in _cell(cell))
    yield from _each("alice", "a feature as text", cells)
    cells = (text for cell in standardised.ravel() for text in _long(cell))
    yield from _each("alice", "a standardised feature as text", cells)
    for what, values in (("raw", table), ("standardised", standardised)):
        rows = list(values)
        for piece in (*rows, *_columns(values, [everywhere])):
            yield from _each("alice", f"{what} features as text", _texts(piece))
        held = np.c_[values, np.ones(len(values))]  # as a party does, with the intercept's one
        pairs = [two for taken in (everywhere, *orders) for two in _pairs(held[taken])]
        for piece in (*held, *pairs):
            yield from _each("alice", f"{what} features as numbers", _numbers(piece))
        for piece in (*rows, *_columns(values, [everywhere, *orders])):
            yield from _each("alice", f"{what} features as numbers", _numbers(piece))


def _columns(values: Any, orders: Iterable[Any]) -> Iterator[Any]:
    """Pieces of columns, as Arrow and Fortran lay a table out, in each order."""
    for rows in orders:
        for column in values[rows].T:
            yield from np.split(column, len(column) // _PIECE)


def _pairs(rows: Any) -> Iterator[Any]:
    """Each two rows, as they lie one after the other."""
    yield from rows.reshape(len(rows) // 2, -1)


def _as_cell(value: float) -> bytes:
    return f"{value:.6f}"[:_CELL].encode()


def _cell(value: float) -> Iterator[bytes]:
    """A cell of seven digits, cut off, rounded, or with an exponent."""
    yield _as_cell(value)
    for form in (f"{value:.1f}", f"{value:.3e}"):
        yield form.encode()


def _long(value: float) -> Iterator[bytes]:
    """A number about 1 with all of its digits, in double and in single precision."""
    for one in (f"{abs(value):.15f}", f"{abs(float(np.float32(value))):.15f}"):
        yield one[:_FRACTION].encode()
    yield str(np.float32(abs(value))).encode()[:_FRACTION]


def _texts(values: Any) -> Iterator[bytes]:
    """Some numbers beside each other, with few digits or all, in every notation."""
    forms = [[form.format(v) for v in values] for form in ("{:.1f}", "{:.3f}", "{:.6f}", "{:.3e}")]
    forms += [list(map(repr, map(float, part))) for part in (values, values.astype(np.float32))]
    if np.abs(values).max() > 100:
        forms += [[str(int(rounded(v))) for v in values] for rounded in (np.rint, np.trunc)]
    for text in (between.join(form).encode() for form in forms for between in BETWEEN):
        if len(text) >= _LEAST_TEXT:
            yield from with_notations(text)


def _numbers(values: Any) -> Iterator[bytes]:
    """Some numbers as floats, integers, and in fixed point, of any width that holds them."""
    values = np.asarray(values, np.float64)
    kinds = [values.astype(kind) for kind in ("<f4", "<f8")]
    small = np.abs(values).max() < 2**15
    kinds += [values.astype("<f2")] if small else []
    for bits in FRACTIONS if small else (0, *FRACTIONS):
        for rounded in (np.rint, np.trunc):
            kinds += _integers(rounded(values * 2.0**bits))
    for numbers in kinds:
        yield from with_notations(numbers.tobytes())


def _integers(values: Any) -> Iterator[Any]:
    for kind in ("<i2", "<i4", "<i8"):
        if np.abs(values).max() <= np.iinfo(kind).max:
            yield values.astype(kind)


def of_labels(labels: list[int], orders: Iterable[Any]) -> Iterator[Canary]:
    """Each half of the column, and each half of an epoch in its order: a batch of it."""
    column = np.array(labels)
    for rows in (np.arange(len(column)), *orders):
        for half in np.split(column[rows], 2):
            yield from _each("bob", "labels as text", _label_texts(half))
            yield from _each("bob", "labels as numbers", _label_numbers(half))
        for bits in ("big", "little"):
            packed = np.packbits(column[rows].astype(np.uint8), bitorder=bits)
            yield from _each("bob", "labels as bits", with_notations(packed.tobytes()))


def _label_texts(labels: Any) -> Iterator[bytes]:
    for form in ("{}", "{}.0", "{}.", '"{}"'):
        for between in ("", *BETWEEN):
            yield from with_notations(between.join(map(form.format, labels)).encode())


def _label_numbers(labels: Any) -> Iterator[bytes]:
    for kind in ("<i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"):
        yield from with_notations(labels.astype(kind).tobytes())
    for bits in FRACTIONS:
        for kind in ("<i4", "<i8"):
            yield from with_notations((labels.astype(kind) << bits).tobytes())


def of_key(owner: str, pem: bytes) -> Iterator[Canary]:
    """A private key: a line of its PEM, and its number in every notation."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    raw = number.to_bytes(32, "big")
    longest = max(pem.splitlines(), key=len)
    patterns = [str(number).encode()]
    for pattern in (longest, raw, raw[::-1]):
        patterns += with_notations(pattern)
    yield from _each(owner, f"the private key of {owner}", patterns)


def of_model(model: dict[str, Any]) -> Iterator[Canary]:
    """Each weight and all of them, as text and as numbers."""
    weights = np.array([*model["weights"], model["intercept"]])
    for weight in weights:
        if len(repr(float(weight))) < _FRACTION:
            continue  # 0.0, or 0.125, could be anything's
        yield from _each("alice", "a weight as text", _long(weight))
        yield from _each("alice", "a weight as <f8", with_notations(weight.tobytes()))
    together = [*_texts(weights), *_texts(np.abs(weights))]
    yield from _each("alice", "the weights as text", together)
    yield from _each("alice", "the weights as numbers", _numbers(weights))


def of_seeds(pids: Iterable[int], count: int) -> Iterator[Canary]:
    """What every seed begins with, and the first seeds of some processes with the first block of
    the shares and masks that grow from each (``party/native/random.c``)."""
    words = [str(word) for word in struct.unpack("<4i", SEED_TEXT)]
    told = [between.join(words).encode() for between in BETWEEN]
    yield from _each("nobody", "a seed", [*with_notations(SEED_TEXT), *told])
    for pid in pids:
        for number in range(count):
            seed = SEED_TEXT + struct.pack("<QQ", pid, number)
            yield from _each("nobody", "a share", with_notations(grown(seed)))


def grown(seed: bytes) -> bytes:
    """The first 16 bytes that grow from a seed."""
    return Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor().update(bytes(16))


def compile_seeds(directory: Path) -> Path:
    """The library that gives out seeds that we would know, to be preloaded."""
    library = directory / "seeds.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    text = f'-DTEXT="{SEED_TEXT.decode()}"'
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", text]
    subprocess.run([*compiler, *flags, SEEDS, "-o", library, "-ldl"], check=True)
    return library


def with_notations(pattern: bytes) -> Iterator[bytes]:
    """A pattern as it is, in hex, and in base64, wherever in the encoded text it begins; but for
    what of it could be anything's."""
    if _tells(pattern):
        yield pattern
        yield pattern.hex().encode()
        yield pattern.hex().upper().encode()
    for skipped in range(3):
        groups = pattern[skipped : skipped + (len(pattern) - skipped) // 3 * 3]
        if _tells(groups):
            yield base64.b64encode(groups)


def _tells(pattern: bytes) -> bool:
    return len(pattern.translate(None, b"\x00\xff")) >= _LEAST_TELLING


def _each(owner: str, what: str, patterns: Iterable[bytes]) -> Iterator[Canary]:
    for pattern in patterns:
        if len(pattern) >= _LEAST:
            yield Canary(owner, what, pattern)


class Search:
    """Looks for all of many patterns in one pass.

    Of each pattern a few bytes, as little alike as any in it, are looked for first; where they are
    there, the whole of it is.
    """

    def __init__(self, canaries: Iterable[Canary]) -> None:
        unique = {(one.owner, one.pattern): one for one in canaries}
        anchors: dict[int, list[Canary]] = {}
        for one in unique.values():
            anchors.setdefault(_anchor(one.pattern), []).append(one)
        self._by_anchor = anchors
        self._anchors = np.array(list(anchors), np.uint64)
        self._maybe = np.zeros(1 << 22, bool)
        self._maybe[_folded(self._anchors)] = True
        self.size = len(unique)

    def found(self, content: bytes) -> list[Canary]:
        """What of it is there."""
        near = [one for anchor in self._near(content) for one in self._by_anchor[anchor]]
        return [one for one in near if one.pattern in content]

    def _near(self, content: bytes, at_once: int = 1 << 20) -> set[int]:
        padded, near = content + bytes(8 - _WINDOW), set()
        count = len(content) - _WINDOW + 1
        for begin in range(0, count, at_once):
            shape = (min(at_once, count - begin),)
            windows = np.ndarray(shape, "<u8", padded, begin, (1,)) & _MASK
            likely = windows[self._maybe[_folded(windows)]]
            near.update(np.intersect1d(likely, self._anchors).tolist())
        return near


_MASK = np.uint64((1 << 8 * _WINDOW) - 1)


def _folded(windows: Any) -> Any:
    """22 bits of each."""
    return (windows * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(42)


def _anchor(pattern: bytes) -> int:
    best = pattern[:_WINDOW]
    for start in range(1, min(len(pattern) - _WINDOW, 64) + 1):
        if len(set(best)) > _WINDOW - 2:
            break
        best = max(best, pattern[start : start + _WINDOW], key=lambda piece: len(set(piece)))
    return int.from_bytes(best, "little")


def sightings(place: str, content: bytes, sought: Search) -> list[str]:
    """What of it is in a place."""
    return sorted({f"{one.what} in {place}" for one in sought.found(content)})


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


def may_look_into_processes() -> bool:
    """Whether this process may read what sealed ones hide (CAP_SYS_PTRACE)."""
    (able,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "CapEff" in x]
    return bool(int(able.split()[1], 16) >> 19 & 1)


def of_process(pid: int) -> dict[str, bytes]:
    """What the kernel shows of a process to whoever may look; nothing of one that has ended."""
    found = {}
    for name in ("cmdline", "environ", "comm", "status", "maps"):
        try:
            content = Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue
        if content:
            found[f"/proc/{pid}/{name}"] = content
    return found


def memory_of(pid: int) -> Iterator[bytes]:
    """All that a process may have written to, piece by piece, and the table that it maps."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw") or "/memfd:" in line:
                begin, end = (int(one, 16) for one in span.split("-"))
                try:
                    content = os.pread(memory.fileno(), end - begin, begin)
                except OSError:
                    continue  # given back meanwhile
                yield from _written(content)


def _written(content: bytes) -> Iterator[bytes]:
    """Without the pages that are all zeros: most were never used."""
    pages = np.frombuffer(content, "<u8").reshape(-1, _PAGE // 8).any(1)
    edges = np.flatnonzero(np.diff(pages, prepend=False, append=False)) * _PAGE
    for begin, end in edges.reshape(-1, 2):
        yield content[begin:end]


def descendants(pid: int) -> list[int]:
    """A process and all that any of its threads started."""
    children: list[str] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += task.read_text().split()
        except OSError:
            continue
    return [pid, *(each for child in children for each in descendants(int(child)))]


@contextmanager
def watched(pids: Callable[[], Iterable[int]]) -> Iterator[dict[str, bytes]]:
    """Looks at processes and at all that they start, over and over, while the block runs; gives
    what was last seen of each."""
    seen: dict[str, bytes] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for pid in pids():
                for each in descendants(pid):
                    seen.update(of_process(each))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def read_model(output: Path) -> dict[str, Any]:
    """Alice's model."""
    model: dict[str, Any] = json.loads((output / "model.json").read_text())
    return model
