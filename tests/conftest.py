"""What holds for all tests: a plan for all that run parties, and a set of processes for each."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache as once
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from party.agreement.job import Job
from tests.harness.plans import cached
from tests.harness.processes import JOB, Processes
from tests.harness.tables import ASKING, ask_here

# A property is about what is computed, never about how fast a busy machine does it; and a test is
# about the commit, not about the day: its examples follow from its text. Others, and others each
# time, are tried with ``pytest --hypothesis-profile=search``. A fixture is made once for all of
# them, as a machine is on which many inputs are tried.
PATIENT: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
settings.register_profile("search", derandomize=False, **PATIENT)
settings.register_profile("kit", derandomize=True, **PATIENT)
settings.load_profile("kit")


CASES = os.environ.get("TFE_KIT_CASES", "all")
"""``some``: by the commit a third of the cases of each test that is marked ``drawn``, of the tests
of a file that are all alike (``drawn("file")``), and of the files of a folder that are marked
``in_turn``."""


def pytest_report_header() -> list[str]:
    drawn = f"a third of drawn cases and of files in turn, by commit {commit()[:12]}"
    return [drawn] if CASES == "some" else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with many slow tests go first, so that none is left to one process at the end."""
    if CASES == "some":
        draw(config, items)
    slow: Counter[Path] = Counter()
    for item in items:
        if mark := item.get_closest_marker("slow"):
            slow[item.path] += mark.args[0] if mark.args else 1
    items.sort(key=lambda item: -slow[item.path])


def draw(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves a part of what is drawn and of what comes in turn: other ones at each commit, and the
    same ones in all processes of a run."""
    families: dict[str, list[pytest.Item]] = {}
    folders: dict[Path, set[Path]] = {}
    for item in items:
        if mark := item.get_closest_marker("drawn"):
            alike = item.path.as_posix() if "file" in mark.args else item.nodeid.partition("[")[0]
            families.setdefault(alike, []).append(item)
        if item.get_closest_marker("in_turn"):
            folders.setdefault(item.path.parent, set()).add(item.path)
    left: set[pytest.Item] = set()
    for cases in families.values():
        cases.sort(key=lambda item: _lot(item.nodeid))
        left.update(cases[math.ceil(len(cases) / 3) :])
    for folder, files in folders.items():
        now = set(sorted(files)[_lot(folder.name)[0] % 3 :: 3])
        left.update(item for item in items if item.path in files - now)
    config.hook.pytest_deselected(items=[item for item in items if item in left])
    items[:] = [item for item in items if item not in left]


def _lot(name: str) -> bytes:
    return sha256((commit() + name).encode()).digest()


@once
def commit() -> str:
    """The one that is checked out; nothing where there is none, or no git."""
    command = ["git", "rev-parse", "HEAD"]
    with suppress(OSError):
        here = Path(__file__).parent
        return subprocess.run(command, cwd=here, capture_output=True, text=True).stdout.strip()
    return ""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the plan of the usual job, whatever its rows and epochs."""
    directory = tmp_path_factory.mktemp("cache")
    cached(Job.model_validate_json(json.dumps(JOB)), directory)
    return directory


@pytest.fixture
def tables_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is read, and not of the process that reads it."""
    for asking in ASKING:
        monkeypatch.setattr(asking, ask_here)


@pytest.fixture
def processes(tmp_path: Path, cache: Path) -> Iterator[Processes]:
    """The usual job."""
    made = Processes(tmp_path, cache)
    yield made
    made.close()
