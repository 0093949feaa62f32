"""The edge: the one place where a command's errors are shown, and what its exit code is.

0: done. 1: the job failed, was stopped, or the program is at fault. 2: wrong input or usage.
Nobody is shown a traceback: its lines may carry values, and do not help who can only mend an input.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from party.process.errors import KitError, printable


class Stop(BaseException):
    """Somebody asked this process to end (SIGTERM or SIGINT)."""


def stop_on_signals() -> None:
    """Let the first SIGTERM or SIGINT raise ``Stop`` in the main thread; later ones change nothing,
    so that what follows a stop is done in peace."""

    def stop(number: int, _frame: object) -> None:
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        raise Stop(signal.Signals(number).name)

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, stop)


def guarded(command: Callable[[], object]) -> int:
    """Run a command; show an error on stderr; return the exit code."""
    try:
        command()
    except KitError as failure:
        lines = (printable(line, len(line)) for line in f"error: {failure}".split("\n"))
        print("\n".join(lines), file=sys.stderr, flush=True)
        return failure.exit_code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except (KeyboardInterrupt, Stop):
        print("error: stopped", file=sys.stderr, flush=True)
        return 1
    except Exception as error:
        print(f"error: internal error: {place_of(error)}", file=sys.stderr, flush=True)
        print("  do: report it with this line and the versions in use", file=sys.stderr, flush=True)
        return 1
    return 0


def place_of(error: BaseException) -> str:
    """Type and place of an exception without its message, which may hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} in {last.name}"
