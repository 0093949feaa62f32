"""What tests count, told at the end of a run, whichever process they ran in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def reported(reporter: pytest.TerminalReporter, name: str) -> Iterator[Any]:
    """The values that tests have put under a name into ``user_properties``."""
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                yield from (value for key, value in report.user_properties if key == name)
