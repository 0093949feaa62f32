"""The processes that a party starts for what it will not do itself.

They import what this process imports, and nothing from the directory where it was started: whoever
can put a file there is not to have it run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import party


def command(module: str) -> list[str]:
    """Runs a module of the kit with this interpreter."""
    return [sys.executable, "-P", "-m", module]


def environment(**more: str) -> dict[str, str]:
    """This process's environment, in which a child finds the same packages, and more of it.

    The child may be started in another directory than this process: no path is relative.
    """
    packages = [Path(directory).parent for directory in party.__path__]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(path.absolute()) for path in [*packages, *map(Path, filter(None, given))]]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | more
