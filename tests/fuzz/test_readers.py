"""Whatever stands in a file that a person wrote, it is read, or refused with what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from party.process.errors import InputError
from tests.fuzz import grammar
from tests.fuzz.readers import READERS, Reader, put, run

INPUTS = 10_000
SEED = 5


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_input_breaks_a_reader(reader: Reader, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    count = INPUTS * reader.share // 100
    assert run(reader, SEED, range(count), tmp_path) == []


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_inputs_are_nearly_right(reader: Reader, tmp_path: Path) -> None:
    """Of each reader's inputs some are taken, and others are refused for many reasons."""
    taken, reasons = 0, set()
    for number in range(100):
        put(reader.content(SEED, number), tmp_path / "input")
        try:
            reader.read(tmp_path / "input")
            taken += 1
        except InputError as error:
            reasons.add(error.what)
    assert taken >= 5 and len(reasons) >= 5


def test_an_input_is_made_again_from_its_seed_and_number() -> None:
    for reader in READERS:
        assert reader.content(7, 3) == reader.content(7, 3)
        assert len({str(reader.content(7, number)) for number in range(20)}) > 10


def _raises(error: Exception) -> Callable[[Path], object]:
    def read(_: Path) -> object:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (_raises(ValueError("x")), "ValueError"),
        (_raises(RecursionError()), "RecursionError"),
        (_raises(InputError("wrong", "here")), "without a hint"),
        (_raises(InputError(f"{grammar.CANARIES[0]} is wrong", "", "mend it")), "a value of the"),
        (_raises(InputError("x" * 200_000, "", "mend it")), "characters are said"),
    ],
)
def test_a_planted_error_is_found(read: Callable[[Path], object], why: str, tmp_path: Path) -> None:
    reader = replace(READERS[0], read=read)
    found = run(reader, SEED, range(3), tmp_path)
    assert len(found) == 3 and why in found[0]
    assert f"--seed {SEED} --only job/0" in found[0]


def test_a_reader_that_takes_long_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.readers.MOST_S", 0.0)
    assert "it took" in run(READERS[0], SEED, range(10), tmp_path)[0]


BAD: tuple[tuple[str, bytes, str], ...] = (
    ("job", b"\xef\xbb\xbfname: &a [*a]\n", "an alias"),
    ("job", b"[" * 600, "inside of each other"),
    ("config", b'{"server0": "https://h:1"}', "is a URL"),
    ("config", b"\xff\xfe[]", "UTF-16"),
    ("config", b"[1]", "is a list"),
    ("table", b"PK\x03\x04\0xl/workbook", "an Excel workbook"),
    ("table", b"0,5;0,25\n" * 5, "semicolons"),
    ("table", b"0,1,2\n1,2,3\n", "the first row is 0, 1, 2"),
    ("table", f"age,{grammar.CANARIES[1]}\n1,2\n".encode(), "columns that the header"),
    ("table", f"1,2,{grammar.CANARIES[1]}\n".encode() * 5, "not numbers"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("which", "content", "words"), BAD, ids=lambda one: str(one)[:20])
def test_a_command_refuses_what_its_reader_does(
    which: str, content: bytes, words: str, tmp_path: Path
) -> None:
    """Exit code 2, an error, a place and a remedy on stderr, and nothing else."""
    files = {
        "job": json.dumps(grammar.JOB).encode(),
        "config": json.dumps(grammar.HOSTS).encode(),
        "table": b"",
    }
    for name, text in (files | {which: content}).items():
        (tmp_path / name).write_bytes(text)
    if which == "config":
        command = ["party", "alice", "--job", "job", "--config", "config", "--keys", "keys"]
        command += ["--table", "table", "--output", "out"]
    else:
        command = ["deployer", "data", "check", "job", "alice", "table"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert [line for line in lines if line.startswith("  where: ")]
    assert [line for line in lines if line.startswith("  do: ")]
    assert not [canary for canary in grammar.CANARIES if canary in done.stderr]
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
