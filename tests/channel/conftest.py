"""Keys of one job for all tests of the join, and three parties that may join for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from tests.harness.joins import JOB, Joins


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directories alice, bob, server and authority."""
    made = tmp_path_factory.mktemp("keys") / "job"
    certs.make_all(JOB.name, made, days=1, authority_days=1)
    return made


@pytest.fixture
def joins(keys: Path) -> Iterator[Joins]:
    """Three parties' addresses, and a way to let each join."""
    made = Joins(keys)
    yield made
    made.close()
