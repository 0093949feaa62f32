"""Keys, a plan and processes for each attack; what was tried is counted and told at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.processes import Processes
from tests.harness.reports import reported

Tried = Callable[[int, str], None]

_TRIED = "tried"
"""The property of a test's report, which its worker sends to whoever writes the summary."""


@pytest.fixture
def processes(tmp_path: Path, cache: Path) -> Iterator[Processes]:
    """The usual job's parties."""
    made = Processes(tmp_path, cache)
    yield made
    made.close()


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Counts what was tried, for the summary: ``tried(1000, "connections held open")``."""

    def count(number: int, what: str) -> None:
        request.node.user_properties.append((_TRIED, [number, what]))

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The list of what was tried."""
    tried = list(reported(terminalreporter, _TRIED))
    if tried:
        terminalreporter.section("attacks tried, and lost by the attacker")
        for number, what in tried:
            terminalreporter.write_line(f"{number:>9,}  {what}")
