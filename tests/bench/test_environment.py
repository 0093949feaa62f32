"""Peers run in environments of their own, whose every package is pinned."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.environment import FORMER, PSI, PUBLISHED, SPU, Environment, NoEnvironment


@pytest.mark.parametrize("environment", [PUBLISHED, SPU, PSI], ids=lambda each: each.name)
def test_every_package_of_an_environment_has_one_version(environment: Environment) -> None:
    lines = environment.requirements.read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert packages and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in packages)


def test_a_python_that_is_not_there_is_named(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NoEnvironment, match=r"SPU 0\.9\.5 needs Python 2\.99, and there is none"):
        replace(SPU, version="2.99").python()


def test_a_commit_that_is_not_in_the_history_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NoEnvironment, match=r"26 November 2026 failed: fatal"):
        replace(FORMER, commit="f" * 40).folder()
    assert not list(tmp_path.rglob("complete"))
