"""What is made for one training is there for the next one of the same job."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.plans import MADE


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where schedules are kept, between trainings and between processes of tests."""
    MADE.mkdir(parents=True, exist_ok=True)
    return MADE
