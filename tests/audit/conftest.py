"""Plans to audit and the jobs that they are for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from party.agreement.job import Align, AlignedJob, Descent, Job, Sizes, Training
from party.plan import Plan
from party.plan.parameters import PlanParameters
from tests.harness import plans
from tests.harness.reports import reported

PROTOCOLS = ("pond", "aby3", "securenn")

TALLY = "mutants"
"""The property of a test's report: protocol, kind, and how many were refused and how many were
harmless."""

ROWS = {
    "drop": "a mask or random term dropped",
    "zero": "zeros for random values",
    "range": "random values of a smaller range",
    "narrow": "one random number for two elements",
    "swap": "two masks in each other's place",
    "repeat": "a stream's key used again",
    "seed": "a seed used again",
    "misplace": "an operation at another party",
    "send": "a value sent to another party",
    "receiver": "a value to the other's receiver",
    "kind": "another operation",
    "shape": "another type or shape",
    "open": "something else opened",
    "fail": "an operation that may fail or saturate",
    "float": "a share or a message of floats",
    "carry": "a seed carried as a share",
    "copy": "another copy of a share",
}
"""What the docs' table of counts calls each kind of mutant."""

Counts = tuple[int, ...]
"""How many mutants are made, refused and harmless."""


def in_the_docs() -> dict[str, dict[str, Counts]]:
    """The docs' table of counts over mini-batches: by row, and by protocol, how many are made,
    tried, refused and harmless."""
    return _table("| mutants of mini-batches | ")


def descents_in_the_docs() -> dict[str, dict[str, Counts]]:
    """The same of descents."""
    return _table("| mutants of a descent | ")


def _table(heading: str) -> dict[str, dict[str, Counts]]:
    lines = Path("docs/audit.md").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(heading))
    table = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        label, *cells = (cell.strip(" *") for cell in line.strip("|").split("|"))
        numbers = tuple(int(cell.replace(",", "")) for cell in cells)
        table[label] = {"pond": numbers[:4], "aby3": numbers[4:]}
    return table


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


SPLIT: dict[str, Any] = {"features": {"alice": ("x0", "x1"), "bob": ("z0",)}}
"""Columns at both holders."""

MATCHED: dict[str, Any] = {
    "align": Align(key="id"),
    "sizes": Sizes(alice=20, bob=50, common=12),
}
"""After an alignment of 20 rows with 50."""

ARRANGED: dict[str, dict[str, Any]] = {
    "columns at alice": {},
    "columns at bob": {
        "features": {"bob": ("x0", "x1")},
        "label": {"alice": "y"},
        "result": "bob",
    },
    "columns at both": SPLIT | {"result": "own"},
    "label at alice": SPLIT | {"label": {"alice": "y"}, "result": "both"},
    "for nobody": SPLIT | {"result": "nobody"},
    "rows matched": SPLIT | MATCHED | {"result": "own"},
    "rows matched with a label": MATCHED,
}
"""Who has what, and who receives the model, in the jobs of a descent that are audited."""


def descent_job(protocol: str, rows: int = 12, tolerance: float = 0.0005, **change: Any) -> Job:
    """A job of passes over all rows, of which the last follows a question whether to go on."""
    agreed: dict[str, Any] = {
        "name": "audit",
        "protocol": protocol,
        "rows": rows,
        "features": ("x0", "x1", "x2", "x3"),
        "label": "y",
        "training": Descent(passes=9, tolerance=tolerance),
    }
    kind = AlignedJob if "sizes" in change else Job
    return kind(**agreed | change)


@contextmanager
def small_samples(block_rows: int = 4) -> Iterator[None]:
    """Meanwhile a descent over three blocks of rows begins on a sample, which is one of them."""
    rules = {"BLOCK_ROWS": block_rows, "WARM_PART": 3, "SMALL_PART": 3, "SAMPLED_ROWS": 1}
    with ExitStack() as stack:
        for rule, number in rules.items():
            stack.enter_context(patch(f"party.agreement.job.{rule}", number))
        yield


def sampled_job(protocol: str, rows: int = 12, **change: Any) -> Job:
    """The job of a descent that begins on a sample where ``small_samples`` hold, with weights of
    classes and columns at both holders: it has every program that a training can have."""
    given: dict[str, Any] = {
        "training": Descent(passes=9, tolerance=0.0005, class_weight={"0": 0.5, "1": 3.0}),
        "result": "own",
    }
    agreed = descent_job(protocol, rows, **SPLIT | given | change)
    assert agreed.warm_blocks == 1
    return agreed


def plan_of(agreed: Job) -> Plan:
    """The job's plan, as it is built, built once."""
    return plans.plan(PlanParameters.of(agreed))


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
    found = {
        (protocol, kind): Counter(tally)
        for protocol, kind, tally in reported(terminalreporter, TALLY)
    }
    if found:
        terminalreporter.section("mutants of plans")
        for (protocol, kind), tally in found.items():
            terminalreporter.write_line(
                f"{protocol:>12} {kind:<9} {tally.total():>6,} made {tally['refused']:>6,} refused"
                f" {tally['harmless']:>6,} harmless"
            )


def counts(tally: Counter[str]) -> Counts:
    """As they stand in the docs."""
    return tally.total(), tally["refused"], tally["harmless"]
