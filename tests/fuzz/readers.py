"""What is fuzzed, and what must come of every input.

A reader gives a good result, or refuses with an InputError that says what to do: never another
exception, never after more than two seconds, and never with a value of anybody's data.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from deployer.manifests.values import load_values
from party.agreement.hosts import load_hosts
from party.agreement.job import load_job
from party.process.errors import InputError
from party.table import read_table
from party.table.describing import describe
from party.table.expected import Expected
from tests.fuzz import grammar

MOST_S = 10.0
"""Seconds of this process's own time that an input may take."""

Content = bytes | dict[str, bytes]


def _job(path: Path) -> None:
    job = load_job(path)
    assert len(job.digest) == 64 and job.doubts is not None
    for holder in job.holders:
        assert Expected.of(job, holder).columns


def _table(path: Path, party: str) -> None:
    table = read_table(path, grammar.SMALL, party)  # type: ignore[arg-type]
    assert np.isfinite(table.matrix).all()


def _typed(path: Path) -> None:
    assert np.isfinite(read_table(path, grammar.TYPED, "alice").matrix).all()
    assert describe(path).rows == grammar.ROWS


@dataclass(frozen=True)
class Reader:
    """A reader, its inputs, and how many of a hundred inputs are its own."""

    name: str
    make: Callable[[Random], Content]
    read: Callable[[Path], object]
    share: int

    def content(self, seed: int, number: int) -> Content:
        """An input: the same for the same seed and number."""
        return self.make(Random(f"{seed}/{self.name}/{number}"))


READERS = (
    Reader("job", grammar.job, _job, 25),
    Reader("values", grammar.values, lambda path: load_values([path]), 15),
    Reader("hosts", grammar.hosts, load_hosts, 15),
    Reader("alice", partial(grammar.table, party="alice"), partial(_table, party="alice"), 12),
    Reader("bob", partial(grammar.table, party="bob"), partial(_table, party="bob"), 8),
    Reader("parts", grammar.parts, partial(_table, party="alice"), 5),
    Reader("typed", grammar.typed, _typed, 12),
    Reader("settings", grammar.in_settings, lambda path: _typed(path / "t.yaml"), 5),
    Reader("arrow", grammar.in_arrow, _typed, 3),
)


def put(content: Content, path: Path) -> None:
    """Write an input to a path, in place of an earlier one."""
    if path.is_dir():
        shutil.rmtree(path)
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    path.unlink(missing_ok=True)
    path.mkdir()
    for name, text in content.items():
        (path / name).write_bytes(text)


def broken(reader: Reader, path: Path) -> str | None:
    """What claim an input breaks, if it breaks one; and whether it was refused is not asked."""
    begin = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(path)
    except InputError as error:
        said = str(error)
        if not error.what or not error.hint or error.exit_code != 2:
            return f"it is refused without a hint: {said}"
        if "changed while it was read" in said:
            return "the quick look refuses what the exact one takes"
        if len(said) > 100_000:
            return f"{len(said)} characters are said"
        for canary in grammar.CANARIES:
            if canary in said or canary.replace(".", "") in said:
                return f"a value of the data is told: {said}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    taken_s = time.process_time() - begin
    return f"it took {taken_s:.1f} s" if taken_s > MOST_S else None


def run(reader: Reader, seed: int, numbers: range, directory: Path) -> list[str]:
    """Tries some inputs of a reader; the first few claims that were broken, and by which input."""
    found = []
    path = directory / reader.name
    for number in numbers:
        put(reader.content(seed, number), path)
        if (why := broken(reader, path)) is not None:
            again = f"python -m tests.fuzz --seed {seed} --only {reader.name}/{number}"
            found.append(f"{why}\n  again: {again}")
            if len(found) == 5:
                break
    return found
