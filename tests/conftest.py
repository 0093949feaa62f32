"""What holds for all tests: a plan for all that run parties, and a set of processes for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from party.agreement.job import Job
from tests.harness.plans import cached
from tests.harness.processes import JOB, Processes

# A property is about what is computed, never about how fast a busy machine does it.
settings.register_profile("kit", deadline=None)
settings.load_profile("kit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many slow tests go first, so that none is left to one process at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the plan of the usual job, whatever its rows and epochs."""
    directory = tmp_path_factory.mktemp("cache")
    cached(Job.model_validate_json(json.dumps(JOB)), directory)
    return directory


@pytest.fixture
def processes(tmp_path: Path, cache: Path) -> Iterator[Processes]:
    """The usual job."""
    made = Processes(tmp_path, cache)
    yield made
    made.close()
