"""How the tensorflow runtime ends a job that is done."""

from __future__ import annotations

from typing import Any

import pytest

from party.runtime.distributed import _say_done

pytestmark = pytest.mark.slow


class GoesAtOnce:
    """A session on servers that are gone before they have answered."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def run(self, beat: Any, fed: Any, options: Any) -> None:
        import tensorflow as tf

        assert options.timeout_in_ms > 0, "it may never answer"
        self.told.append(beat)
        raise tf.errors.UnavailableError(None, None, "Socket closed")


def test_a_server_that_leaves_when_it_hears_that_the_job_is_done_fails_nobody() -> None:
    session = GoesAtOnce()
    _say_done(session, ["bob", "server"], {})
    assert session.told == ["bob", "server"]
