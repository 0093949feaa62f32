"""Parties that are killed at a place of their own program, however busy the machine is; or whose
disk is full for as long as somebody says so."""

from __future__ import annotations

import sys
from pathlib import Path

DIED = 9

_DIES = """
import importlib, os, sys
from party import cli
place, when, died = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.argv = sys.argv[6:]
module, _, name = place.partition(":")
owner = importlib.import_module(module)
*outer, name = name.split(".")
for one in outer:
    owner = getattr(owner, one)
done, calls = getattr(owner, name), 0

def dies(*args, **named):
    global calls
    calls += 1
    if calls == when:
        os._exit(died)
    return done(*args, **named)

setattr(owner, name, dies)
cli.main()
"""


def dying(place: str, when: int = 1) -> tuple[str, ...]:
    """For ``Processes.before``: ends the party, as a kill does, in place of a call.

    Args:
        place: ``module:function`` or ``module:Class.method``.
        when: the number of the call, from 1.
    """
    return (sys.executable, "-c", _DIES, place, str(when), str(DIED))


_FULL = """
import errno, os, sys
from pathlib import Path
from party import cli
said = Path(sys.argv[1])
sys.argv = sys.argv[4:]
synced = os.fsync

def fsync(number):
    if said.exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    synced(number)

os.fsync = fsync
cli.main()
"""


def full_while(said: Path) -> tuple[str, ...]:
    """For ``Processes.before``: the party's disk takes nothing while there is such a file."""
    return (sys.executable, "-c", _FULL, str(said))
