"""The exit: the one place where a command's errors are shown, and what its exit code is.

0: done. 1: the job failed, was stopped, or the program is at fault. 2: wrong input or usage.
Nobody is shown a traceback: its lines may carry values, and do not help who can only mend an input.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from party.process import files, streams
from party.process.errors import AS_JSON, ErrorDocument, JobError, KitError, printable

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

_INTERRUPTED = 130
"""What typer makes of a Ctrl-C before it comes here."""

LAST_WORDS = "TFE_KIT_LAST_WORDS"
"""In the environment: a file for the error that ended the program, and its cause. In a pod it is
what Kubernetes keeps of a container that has ended, and shows with the pod."""


class Stop(BaseException):
    """Somebody asked this process to end (SIGTERM, SIGINT or SIGQUIT), or closed its terminal."""

    asked = False
    """Whether anybody did: a library that is about to be imported makes an error of its own of an
    exception that comes out of a signal."""


def stop_on_signals() -> None:
    """Let the first of these signals raise ``Stop`` in the main thread; later ones change nothing,
    so that what follows a stop is done in peace."""

    def stop(number: int, _frame: object) -> None:
        for one in _STOPS:
            signal.signal(one, signal.SIG_IGN)
        Stop.asked = True
        raise Stop(signal.Signals(number).name)

    for one in _STOPS:
        # Under nohup it is to go on when its terminal closes.
        if one is not signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, stop)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Such a signal that comes in the block takes effect after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def guarded(command: Callable[[], object]) -> int:
    """Run a command; show an error on stderr; return the exit code.

    A command whose reader has gone before its end says nothing, and ends with 1; one whose words a
    full disk does not take says so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    return _written(_ran(command))


def _interrupt(number: int, frame: FrameType | None) -> None:
    Stop.asked = True
    signal.default_int_handler(number, frame)


def _ran(command: Callable[[], object]) -> int:
    try:
        command()
    except KitError as failure:
        return _shown(failure)
    except SystemExit as leaving:
        if leaving.code == _INTERRUPTED:
            return _shown(_stopped())
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except (KeyboardInterrupt, Stop):
        return _shown(_stopped())
    except OSError as error:
        return _shown(_disk_full(error, "standard output or a temporary file") or internal(error))
    except Exception as error:
        return _shown(_stopped() if Stop.asked else internal(error))
    return 0


def _stopped() -> JobError:
    return JobError("stopped", cause="stopped")


def _written(code: int) -> int:
    """The exit code, once what the command has said is where it goes. The interpreter would look
    for that too late to say what is wrong, and has an exit code of its own."""
    try:
        sys.stdout.flush()
    except OSError as error:
        streams.lead_nowhere(sys.stdout)
        if code:
            return code
        if error.errno in streams.NOBODY_READS:
            return JobError.exit_code
        return _shown(_disk_full(error, "standard output") or internal(error))
    return code


def _disk_full(error: OSError, where: str) -> JobError | None:
    """The error where it is of a full disk; ``where`` is what was written to, if no file says."""
    if error.errno not in files.DISK_FULL:
        return None
    what, place = f"cannot write: {error.strerror}", str(error.filename or where)
    return JobError(what, place, files.writing_hint(error), cause="disk-full")


def _shown(failure: KitError) -> int:
    if os.environ.get(AS_JSON):
        text = ErrorDocument.of(failure).to_json()
    else:
        lines = (printable(line, len(line)) for line in f"error: {failure}".split("\n"))
        text = "\n".join(lines)
    with contextlib.suppress(OSError):  # nobody may be there to read it
        print(text, file=sys.stderr, flush=True)
    if file := os.environ.get(LAST_WORDS):
        with contextlib.suppress(OSError):
            Path(file).write_text(f"{text}\n  cause: {failure.cause}\n", encoding="utf-8")
    return failure.exit_code


def internal(error: Exception, what: str = "internal error") -> JobError:
    """The error of a program that is at fault itself."""
    hint = "report it with this line and the versions in use"
    return JobError(f"{what}: {place_of(error)}", hint=hint)


def place_of(error: BaseException) -> str:
    """Type and place of an exception without its message, which may hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} in {last.name}"
