"""The processes that a party starts for what it will not do itself.

They import what this process imports, and nothing from the directory where it was started: whoever
can put a file there is not to have it run. And they end when this process does, whatever ends it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import party
from party.process.errors import JobError

_PARENT = "TFE_KIT_PARENT"
"""In a child's environment: the process that started it, and with which it ends."""

_SET_PDEATHSIG = 1  # prctl(2)


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
    own = {"PYTHONPATH": os.pathsep.join(paths), _PARENT: str(os.getpid())}
    return os.environ | own | more


def end_with_parent(by: signal.Signals) -> None:
    """Called first by a process that may be such a child: the kernel sends it a signal when its
    parent ends, by SIGKILL, too. It changes nothing for a process that somebody else started.

    Raises JobError where the parent ended before this was called.
    """
    parent = os.environ.pop(_PARENT, None)
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, int(by), 0, 0, 0)
    # Whoever lost its parent earlier has another one now, and would wait for a signal for ever.
    if str(os.getppid()) != parent:
        raise JobError("the process that started this one has ended", hint="start it again")
