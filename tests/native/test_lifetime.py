"""What Python drops first does not matter to what is still in use."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

from party.native import Connection
from tests.harness.keys import contexts
from tests.harness.links import shake


def test_a_connection_outlives_the_context_it_was_made_from(tmp_path: Path) -> None:
    made = contexts(tmp_path)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        left = Connection(made[0], ours.fileno(), True)
        right = Connection(made[1], theirs.fileno(), False)
        made.clear()
        gc.collect()
        shake(left, right)
        assert left.write(b"still here") == 10
        assert right.read(100) == b"still here"
        left.close()
        right.close()
