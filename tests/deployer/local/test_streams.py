"""Whoever stops to read, and whatever the terminal can show: the training goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from party.process.streams import takes_unicode
from tests.deployer.local.commands import Commands

pytestmark = pytest.mark.slow


@pytest.mark.drawn
@pytest.mark.parametrize(
    "script",
    [
        '"$@" | head -c 1',
        '"$@" <&- >&- 2>&-',
        '"$@" | true',
        '"$@" >&-',
        '"$@" 2>&-',
        '"$@" > /dev/full',
    ],
)
def test_a_training_goes_on_when_nobody_reads(tmp_path: Path, cache: Path, script: str) -> None:
    with Commands(tmp_path, cache) as commands:
        # A pipe's exit code is its last command's: the first one's is written down.
        first, pipe, last = script.partition(" | ")
        run = commands.shell(f"{{ {first}; echo $? > {tmp_path}/code; }} {pipe} {last}")
        _, _, words = run.ends()
        assert (tmp_path / "code").read_text() == "0\n"
        assert "Traceback" not in words and "error" not in words and "Exception" not in words
        assert (run.output / "alice/model.json").exists()
        assert (run.output / "report.json").exists()


def test_an_error_keeps_its_exit_code_when_nobody_reads_it(tmp_path: Path, cache: Path) -> None:
    with Commands(tmp_path, cache) as commands:
        (tmp_path / "bob.csv").unlink()
        for closed in ("2>&-", "2>/dev/full"):
            run = commands.shell(f'"$@" {closed}; echo $?')
            assert run.ends()[1] == "2\n"


@pytest.mark.drawn
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_that_an_encoding_lacks_are_shown_as_escapes(
    tmp_path: Path, cache: Path, encoding: str
) -> None:
    names = ["gr\u00f6\u00dfe", "\u91d1\u989d\U0001f600"]
    with Commands(tmp_path, cache, features=names) as commands:
        table = commands.directory / "alice.csv"
        text = table.read_text().partition("\n")[2]
        table.write_text(",".join(names) + "\n" + text, encoding="utf-8")
        run = commands.run(PYTHONIOENCODING=encoding)
        code, said, words = run.ends()
        assert (code, words) == (0, "")
        assert "\\u91d1\\u989d\\U0001f600" in said
        model = json.loads((run.output / "alice/model.json").read_text(encoding="utf-8"))
        assert model["features"] == names
        for line in (run.output / "alice/log.jsonl").read_text(encoding=encoding).splitlines():
            json.loads(line)


def test_json_for_a_stream_of_another_encoding_is_escaped_as_json_is() -> None:
    class Stream:
        def __init__(self, encoding: str | None) -> None:
            self.encoding = encoding

    assert takes_unicode(Stream("UTF-8")) and takes_unicode(Stream("utf8"))  # type: ignore[arg-type]
    assert takes_unicode(Stream(None))  # type: ignore[arg-type]
    assert not takes_unicode(Stream("ascii"))  # type: ignore[arg-type]
