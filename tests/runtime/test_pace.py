"""Writing checkpoints takes at most so much of a run, however slow a disk, and all decide alike."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from party.runtime.pace import MOST_PART, Heard, Pace, said

EVERY_US = 5_000_000
PARTIES = range(3)
TICK_US = 100
DAY_US = 86_400_000_000

disks = st.lists(st.integers(0, 2_000_000), min_size=1, max_size=4)
works = st.lists(st.integers(1, 8_000_000), min_size=1, max_size=4)


@settings(max_examples=50)
@given(disks=st.tuples(disks, disks, disks), works=st.tuples(works, works, works))
def test_writing_takes_a_small_part_of_the_time(
    disks: tuple[list[int], ...], works: tuple[list[int], ...]
) -> None:
    """A clock that only these parties move: each works from meeting to meeting, and writes behind
    one that says so; what disks and works take goes round in a circle."""
    paces = [Pace(EVERY_US) for _ in PARTIES]
    clock, written, ahead, wrote = 0, [0] * 3, [0] * 3, [0] * 3
    points = [0]
    for meeting in range(200):
        took = [works[p][meeting % len(works[p])] + ahead[p] for p in PARTIES]
        clock += max(took)
        heard = Heard.of([said(took[p], wrote[p]) for p in PARTIES])
        due = [pace.is_due(heard) for pace in paces]
        assert len(set(due)) == 1, "points of one run"
        ahead = [0] * 3
        if not due[0]:
            continue
        for p in PARTIES:  # all that was written before, the last time included, is a small part
            assert written[p] <= MOST_PART * (clock - points[0])
            paces[p].kept()
            ahead[p] = wrote[p] = disks[p][len(points) % len(disks[p])]
            written[p] += wrote[p]
        assert clock - points[-1] >= 0.6 * EVERY_US
        points.append(clock)
    slowest = max(wrote_us for disk in disks for wrote_us in disk)
    longest = max(max(work) for work in works) + slowest
    expected = max(0.6 * EVERY_US, (slowest + TICK_US) / MOST_PART) + longest
    gaps = [after - before for before, after in pairwise(points)]
    assert all(gap <= expected for gap in gaps), "none is put off for longer than it takes"
    assert clock - points[-1] <= expected


@given(took_us=st.integers(0, 10 * DAY_US), wrote_us=st.integers(0, 1_600_000_000))
def test_what_is_said_is_understood(took_us: int, wrote_us: int) -> None:
    number = said(took_us, wrote_us)
    heard = Heard.of([said(0, 0), number, said(took_us // 2, wrote_us // 2)])
    assert 0 <= number < 2**64
    assert heard.took_us == took_us
    assert wrote_us <= heard.wrote_us < wrote_us + TICK_US


def test_what_is_too_large_to_say_is_not_wrapped_around() -> None:
    assert Heard.of([said(2**50, 2**50)]) == Heard.of([said(2**45, 2**45)]) == Heard.of([2**64 - 1])
