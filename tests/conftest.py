"""What tests of several parts share."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from party.plan import Plan
from party.plan.parameters import PlanParameters


@pytest.fixture(scope="session")
def tf_encrypted() -> Any:
    """tf-encrypted as the kit loads it, in this process."""
    from party import compat

    return compat.load()


@cache
def small_plan(protocol: str, features: int = 2, batch: int = 4) -> Plan:
    """A plan of a few rows and columns, built once; TensorFlow must be there."""
    from party.plan.build import build

    return build(PlanParameters(protocol, "logistic-regression", features, batch, 5, 9, "alice"))
