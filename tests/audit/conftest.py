"""Plans to audit and the jobs that they are for."""

from __future__ import annotations

from collections import Counter

import pytest

from party.job import Job, Training
from party.plan import Plan
from party.plan.parameters import PlanParameters
from tests import compiler

PROTOCOLS = ("pond", "aby3", "securenn")

TALLY: dict[tuple[str, str], Counter[str]] = {}
"""Of each protocol and kind of mutant, how many were refused and how many harmless."""


def job(protocol: str, features: int = 4, batch: int = 6, learning_rate: float = 30 / 512) -> Job:
    """A job of some columns; the smallest of which every tensor is larger than a seed."""
    return Job(
        name="audit",
        protocol=protocol,  # type: ignore[arg-type]
        rows=10 * batch,
        features=tuple(f"x{i}" for i in range(features)),
        label="y",
        training=Training(epochs=1, batch_size=batch, learning_rate=learning_rate),
    )


def plan_of(agreed: Job) -> Plan:
    """The job's plan, as it is built, built once."""
    return compiler.plan(PlanParameters.of(agreed))


@pytest.fixture(params=PROTOCOLS)
def agreed(request: pytest.FixtureRequest) -> Job:
    """A small job of each protocol."""
    return job(request.param)


@pytest.fixture
def plan(agreed: Job) -> Plan:
    """The small job's plan."""
    return plan_of(agreed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The mutants tried."""
    if TALLY:
        terminalreporter.section("mutants of plans")
        for (protocol, kind), tally in TALLY.items():
            terminalreporter.write_line(
                f"{protocol:>9} {kind:<9} {tally.total():>6,} made {tally['refused']:>6,} refused"
                f" {tally['harmless']:>6,} harmless"
            )
