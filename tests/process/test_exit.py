"""What a command's exit code says, whoever reads what it writes, and wherever that goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from party.process import files
from party.process.errors import InputError, JobError

COMMAND = """
import sys
from party.process.exit import guarded
sys.exit(guarded(lambda: print("x" * {length})))
"""

INTERRUPTED = """
import os, signal, sys
from deployer.commands import new_app
from party.process.exit import guarded
app = new_app()
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background nobody is interrupted
app.command()(lambda: os.kill(os.getpid(), signal.SIGINT))
sys.exit(guarded(app))
"""


WHILE_IMPORTING = """
import os, signal, sys
from party.process.exit import guarded, stop_on_signals
def imports():
    if {stops}:
        stop_on_signals()
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        raise RuntimeError("the library cannot be imported") from None
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(guarded(imports))
"""


@pytest.mark.parametrize(("length", "unbuffered"), [(9, ""), (1 << 20, "1")])
def test_a_command_whose_words_do_not_fit_on_a_disk_says_so(length: int, unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        code, words = _with_stdout(full, length, unbuffered)
    assert code == 1
    assert words.startswith(
        "error: cannot write: No space left on device\n  where: standard output"
    )
    assert words.endswith("do: free some space on the disk\n")


@pytest.mark.parametrize("length", [9, 1 << 20])
def test_a_command_whose_reader_has_gone_ends_without_a_word(length: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        code, words = _with_stdout(pipe, length, "")
    assert code == 1 and "Exception" not in words
    assert length > 9 or words == ""


def test_a_command_that_is_interrupted_says_so_and_was_not_done() -> None:
    """Whatever the library makes of a Ctrl-C that reads the command line."""
    command = [sys.executable, "-c", INTERRUPTED]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "error: stopped\n")


@pytest.mark.parametrize("stops", [True, False])
def test_a_command_that_is_interrupted_while_it_imports_is_not_at_fault(stops: bool) -> None:
    """NumPy and pydantic make errors of their own of what a signal raises in them."""
    command = [sys.executable, "-c", WHILE_IMPORTING.format(stops=stops)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "error: stopped\n")


def test_a_file_takes_the_place_of_another_file_alone_and_not_of_what_it_is_made_of(
    tmp_path: Path,
) -> None:
    table, link, pipe = tmp_path / "table.csv", tmp_path / "link", tmp_path / "pipe"
    table.write_text("1\n")
    link.symlink_to(table)
    os.mkfifo(pipe)
    for output, what in (
        (table, "cannot write the scores: it would replace what it is made of"),
        (tmp_path / "." / "table.csv", "it would replace what it is made of"),
        (link, "it would take the place of what is no file"),
        (pipe, "it would take the place of what is no file"),
        (Path("/dev/null"), "it would take the place of what is no file"),
        (tmp_path, "cannot write the scores: Is a directory"),
        (tmp_path / "no/scores.csv", "cannot write the scores: No such file or directory"),
        (table / "scores.csv", "cannot write the scores: Not a directory"),
    ):
        with pytest.raises(InputError) as caught:
            files.see_to_place(output, "the scores", tmp_path / "model.json", table)
        assert what in caught.value.what and caught.value.hint
        assert caught.value.where == str(output)
    files.see_to_place(table, "the scores", tmp_path / "model.json")
    files.see_to_place(tmp_path / "scores.csv", "the scores", table)


def test_a_file_that_cannot_be_written_is_told_of_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        files.replace(tmp_path, b"")
    assert (caught.value.where, caught.value.hint) == (
        str(tmp_path),
        "name a file, not a directory",
    )


def _with_stdout(stdout: IO[bytes], length: int, unbuffered: str) -> tuple[int, str]:
    """The exit code of a command that prints so much, and what is on its stderr."""
    env = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", COMMAND.format(length=length)]
    ran = subprocess.run(
        command, check=False, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    return ran.returncode, ran.stderr
