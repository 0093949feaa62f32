"""Work in threads, whose outcome is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from party.native import RunError
from tests.harness.links import LIMIT_S


class Task(threading.Thread):
    """Work in a thread of its own; the error that ended it is kept.

    Attributes:
        failure: what was raised, if anything.
        seconds: how long it took.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.failure: BaseException | None = None
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        begun = time.monotonic()
        try:
            self._work()
        except BaseException as failure:
            self.failure = failure
        self.seconds = time.monotonic() - begun

    def ended(self, within_s: float = LIMIT_S) -> None:
        """Waits for the end; fails where there is none."""
        self.join(within_s)
        assert not self.is_alive(), "it hangs"

    def well(self, within_s: float = LIMIT_S) -> None:
        """Waits for the end, which must be a good one; raises what was raised otherwise."""
        self.ended(within_s)
        if self.failure is not None:
            raise self.failure

    def ill(self) -> RunError:
        """Waits for the end, which must be an executor's error."""
        self.ended()
        assert self.failure is not None, "it ended well"
        if not isinstance(self.failure, RunError):
            raise self.failure
        return self.failure
