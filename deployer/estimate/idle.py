"""A process with all that a party's has in it, and nothing to do: it says what memory it takes."""

from __future__ import annotations

import party.cli
import party.compiler
import party.runtime.sealed
import party.table  # noqa: F401
from party.native.library import library
from party.reporting.result import peak_bytes

if __name__ == "__main__":
    library()
    print(peak_bytes())
