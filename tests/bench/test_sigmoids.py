"""The table of sigmoids in docs/jobs.md is what ``python -m bench.sigmoids`` prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.sigmoids import USED, error
from party.protocols import sines

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r"<!-- sigmoids: begin -->\n(.*)<!-- sigmoids: end -->", re.DOTALL)


@pytest.mark.slow(5)
def test_the_table_in_the_documentation_is_the_scripts() -> None:
    found = TABLE.search((ROOT / "docs/jobs.md").read_text(encoding="utf-8"))
    assert found is not None
    done = subprocess.run(
        [sys.executable, "-m", "bench.sigmoids"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert found[1] == done.stdout, "python -m bench.sigmoids prints it"


def test_each_sigmoid_in_use_has_a_line() -> None:
    assert {one.value for one in USED} == {sines.NARROW, sines.WIDE}


def test_errors_are_looked_for_on_both_sides() -> None:
    for wave in (sines.NARROW, sines.WIDE):
        assert error(wave, 0.0, wave.range) <= sines.ERROR
        assert error(wave, wave.range, 0.6 * wave.period) > 0.99, "the wave falls as it rose"
