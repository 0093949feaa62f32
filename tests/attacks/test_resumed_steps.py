"""A step that is done again after a fault tells nothing: no mask of it is used a second time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from party.schedule import changed_by
from tests.attacks.conftest import Tried
from tests.attacks.transcripts import Theatre, bits_of, blocks, messages, worlds
from tests.harness.plans import small_plan

STEPS, TIMES = 3, 48


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_a_step_from_the_same_point_is_sent_behind_other_masks(
    protocol: str, tmp_path: Path, tried: Tried
) -> None:
    """The parties go back to the same shares again and again, and do the same steps. Of every
    message, no block of 16 bytes comes twice, and the lowest bits of two repetitions agree as often
    as coins do; the sharing of the tables is done again too, as after a restart."""
    plan = small_plan(protocol, columns=4, batch=32)
    theatre = Theatre(plan, tmp_path)
    theatre.train(worlds(plan, -1)[1], STEPS)
    made = theatre.parties
    points = [room.copy() for room in made.arenas.values()]
    views = []
    for _ in range(TIMES):
        for room, point in zip(made.arenas.values(), points, strict=True):
            room[:] = point
        views.append(theatre.train(worlds(plan, -1)[1], 1))
    for party in range(3):
        received = [messages(view[party]) for view in views]
        if not any(received):
            continue
        repeated = {name: np.concatenate([one[name] for one in received]) for name in received[0]}
        found = blocks([repeated])
        assert not found.odd and not found.twice
        same = count = 0
        for values in repeated.values():
            lowest = bits_of(values)[:, :, 0]
            same, count = same + int((lowest[1:] == lowest[:-1]).sum()), count + lowest[1:].size
        assert abs(same - count / 2) <= 8 * np.sqrt(count) / 2
        tried(found.count, f"blocks of a step done {TIMES} times from one point ({protocol})")


def test_what_a_point_keeps_is_what_steps_change_and_no_table() -> None:
    from party.schedule import schedule

    plan = small_plan("pond", columns=4, batch=32)
    for party in range(3):
        made = schedule(plan, party)
        kept = {held.share.value for held in changed_by(made, {"step", "open"})}
        assert not any(name.startswith("table") for name in kept)
        assert kept == {
            held.share.value for held in made.state if not held.share.value.startswith("table")
        }
