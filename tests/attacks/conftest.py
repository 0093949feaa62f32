"""Keys, a plan and a siege for each attack; what was tried is counted and told at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from party.agreement.job import Job
from party.compiler.driver import build
from tests.attacks.siege import Siege
from tests.runtime.scene import JOB

Tried = Callable[[int, str], None]

_tried: list[tuple[str, int, str]] = []


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the plan of the usual job, whatever its rows and epochs."""
    directory = tmp_path_factory.mktemp("cache")
    build(Job.model_validate_json(json.dumps(JOB)), directory, range(3))
    return directory


@pytest.fixture
def siege(tmp_path: Path, cache: Path) -> Iterator[Siege]:
    """The usual job's parties."""
    made = Siege(tmp_path, cache)
    yield made
    made.close()


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Counts what was tried, for the summary: ``tried(1000, "connections held open")``."""

    def count(number: int, what: str) -> None:
        _tried.append((request.node.name, number, what))

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The list of what was tried."""
    if _tried:
        terminalreporter.section("attacks tried, and lost by the attacker")
        for _, number, what in _tried:
            terminalreporter.write_line(f"{number:>9,}  {what}")
