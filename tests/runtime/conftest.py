"""One plan for all tests of running parties, and a scene for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from party.agreement.job import Job
from party.compiler.driver import build
from tests.runtime.scene import JOB, Scene


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the plan of ``scene.JOB``, whatever its rows and epochs."""
    directory = tmp_path_factory.mktemp("cache")
    build(Job.model_validate_json(json.dumps(JOB)), directory, range(3))
    return directory


@pytest.fixture
def scene(tmp_path: Path, cache: Path) -> Iterator[Scene]:
    """The usual job."""
    made = Scene(tmp_path, cache)
    yield made
    made.close()
