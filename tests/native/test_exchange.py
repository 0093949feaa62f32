"""Executors exchange messages, hold each other back, and end together when one of them ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.native import ChannelError, Connection, Context, Kind
from party.native.instructions import Op, Type
from tests.harness.executors import ABORT, ALICE, ALIVE, BOB, SERVER, Parties, aligned, frame
from tests.harness.keys import context, contexts
from tests.harness.links import LIMIT_S
from tests.harness.tasks import Task
from tests.native.assembling import Array, instruction, program, read, receive, send

pytestmark = pytest.mark.slow

BIG = 3 << 20


def ring(party: int, size: int) -> Array:
    """Each party sends a counter on to the next one, which adds what it gets to its own."""
    after, before = (party + 1) % 3, (party + 2) % 3
    return program(
        *send(after, 7, 0, size),
        *receive(before, 7, size, size),
        instruction(Op.ADD, Type.INT64, size // 8, 0, [0, size]),
    )


def both_ways(peer: int, size: int) -> Array:
    """A message to the peer, then one from it."""
    return program(*send(peer, 1, 0, size), *receive(peer, 1, size, size))


def one_way(peer: int, size: int) -> Array:
    """A message to the peer."""
    return program(*send(peer, 1, 0, size))


def other_way(peer: int, size: int) -> Array:
    """A message from the peer."""
    return program(*receive(peer, 1, 0, size))


def test_three_parties_exchange_in_every_step(parties: Parties) -> None:
    size, steps = 8 * 100, 50
    expected = [np.full(100, p, np.int64) for p in range(3)]
    for _ in range(steps):
        expected = [expected[p] + expected[p - 1] for p in range(3)]
    for p in range(3):
        parties.seat(p, 2 * size)
        parties.arenas[p].view(np.int64)[:100] = p
    tasks = [parties.run(p, ring(p, size), steps, finish=True) for p in range(3)]
    for p, task in enumerate(tasks):
        task.well()
        assert (read(parties.arenas[p], 0, np.int64, 100) == expected[p]).all()
        counters = parties.executors[p].counters
        assert counters["messages_sent"] == counters["messages_received"] == steps
        assert counters["bytes_sent"] == counters["bytes_received"] == steps * (16 + size)
        assert counters["writes"] <= steps + 10, "a message leaves in one write"
        assert parties.executors[p].progress == steps


def test_messages_of_a_round_leave_in_one_write(parties: Parties) -> None:
    size, count = 512, 20
    sender, receiver = parties.seat(ALICE, size), parties.seat(BOB, size * count)
    posts = [instruction(Op.SEND, inputs=[0], p=[BOB, k, size]) for k in range(count)]
    gets = [line for k in range(count) for line in receive(ALICE, k, k * size, size)]
    before = sender.counters["writes"]
    parties.run(ALICE, program(*posts, instruction(Op.FLUSH, p=[BOB]))).well()
    parties.run(BOB, program(*gets)).well()
    assert sender.counters["writes"] - before <= 1 + 4, "handshake included"
    assert not parties.arenas[BOB].any()
    assert receiver.counters["messages_received"] == count


def test_what_is_not_flushed_leaves_at_the_end_of_the_step(parties: Parties) -> None:
    parties.seat(ALICE, 64)
    parties.seat(BOB, 64)
    parties.run(ALICE, program(instruction(Op.SEND, inputs=[0], p=[BOB, 1, 64])), 3).well()
    parties.run(BOB, other_way(ALICE, 64), 3).well()


@pytest.mark.parametrize("size", [0, 8, BIG])
def test_large_messages_both_ways_do_not_deadlock(parties: Parties, size: int) -> None:
    for p in (ALICE, BOB):
        parties.seat(p, 2 * size + 64)
    tasks = [parties.run(p, both_ways(1 - p, size), 3, finish=False) for p in (ALICE, BOB)]
    for p, task in enumerate(tasks):
        task.well()
        assert (parties.arenas[p][size : 2 * size] == 1 - p).all()


def test_large_messages_in_a_circle_do_not_deadlock(parties: Parties) -> None:
    for p in range(3):
        parties.seat(p, 2 * BIG)
    for task in [parties.run(p, ring(p, BIG), 2, finish=True) for p in range(3)]:
        task.well()


def test_all_peers_are_read_while_one_is_awaited(parties: Parties) -> None:
    """Bob cannot go on before Alice has taken his message, which she reads last."""
    for p in range(3):
        parties.seat(p, 2 * BIG)
    tasks = [
        parties.run(ALICE, program(*receive(SERVER, 1, 0, 64), *receive(BOB, 1, 0, BIG))),
        parties.run(BOB, program(*send(ALICE, 1, 0, BIG), *send(SERVER, 1, 0, 64))),
        parties.run(SERVER, program(*receive(BOB, 1, 0, 64), *send(ALICE, 1, 0, 64))),
    ]
    for task in tasks:
        task.well()


def test_a_party_that_runs_ahead_is_held_by_the_window(parties: Parties) -> None:
    size, steps, window = 1 << 16, 200, 1 << 20
    sender = parties.seat(ALICE, size)
    parties.seat(BOB, size, window)
    code = program(*receive(SERVER, 1, 0, 8), *receive(ALICE, 1, 0, size))
    ahead = parties.run(ALICE, one_way(BOB, size), steps)
    behind = parties.run(BOB, code, steps)
    held, since = sender.progress, time.monotonic()
    while held < 16 or time.monotonic() < since + 0.5:
        assert ahead.is_alive() and time.monotonic() < since + LIMIT_S
        if held != sender.progress:
            held, since = sender.progress, time.monotonic()
        time.sleep(0.01)
    assert 16 <= held <= 16 + 40, "the window, and what sockets hold"
    parties.say(SERVER, BOB, b"".join(frame(s, 1, bytes(8)) for s in range(steps)))
    ahead.well()
    behind.well()


def test_what_comes_ahead_of_the_next_program_is_kept(parties: Parties) -> None:
    """A fast peer sends its part of the next program, larger than the window, before we run it."""
    size = 1 << 18
    for p in (ALICE, BOB):
        parties.seat(p, size)
    fast = parties.run(ALICE, one_way(BOB, 64), 5)
    fast.well()
    fast = parties.run(ALICE, one_way(BOB, size), 1, first=5)
    parties.run(BOB, other_way(ALICE, 64), 5).well()
    parties.run(BOB, other_way(ALICE, size), 1, first=5).well()
    fast.well()
    assert not parties.arenas[BOB].any()


def test_a_sign_of_life_waits_for_the_end_of_a_message(tls: Sequence[Context]) -> None:
    """Part of it has left to Bob, who has read that, while Alice waits for the server."""
    post = instruction(Op.SEND, inputs=[0], p=[BOB, 1, BIG])
    for silence_s in (2.0, 8.0, 32.0):  # more where a busy machine holds up the test itself
        begun, parties = time.monotonic(), Parties(tls)
        for p in range(3):
            parties.seat(p, BIG + 64)
        parties.arenas[ALICE][:] = np.random.default_rng(0).integers(0, 256, BIG + 64)
        code = program(post, *receive(SERVER, 1, BIG, 64))
        alice = parties.run(ALICE, code, silence_s=silence_s)
        bob = parties.run(BOB, other_way(ALICE, BIG))
        time.sleep(0.4 * silence_s)  # a sign of life is due after a quarter
        parties.run(SERVER, one_way(ALICE, 64)).well()
        for task in (alice, bob):
            task.ended()
        parties.close()
        if time.monotonic() - begun < silence_s:
            break
    for task in (alice, bob):
        task.well()
    assert (parties.arenas[BOB][:BIG] == parties.arenas[ALICE][:BIG]).all()


@settings(max_examples=15)
@given(st.data())
def test_any_sequence_of_messages_arrives(tls: list[Context], data: st.DataObject) -> None:
    size = st.sampled_from([0, 1, 15, 16, 17, 4096, 16384, 16385, 65536, 200_000])
    messages = data.draw(
        st.lists(st.tuples(st.booleans(), size, st.booleans()), min_size=1, max_size=12)
    )
    parties = Parties(tls)
    draw = np.random.default_rng(0)
    total = sum(size for _, size, _ in messages) + 64
    codes: list[list[object]] = [[], []]
    at = 0
    for key, (direction, bytes_, flush) in enumerate(messages):
        sender = int(direction)
        codes[sender] += send(1 - sender, key, at, bytes_)[: 2 if flush else 1]
        # before it waits, a party lets go of what it has queued, as every schedule does
        codes[1 - sender] += [
            instruction(Op.FLUSH, p=[sender]),
            *receive(sender, key, total + at, bytes_),
        ]
        at += bytes_
    for p in (ALICE, BOB):
        parties.seat(p, 2 * total)
        parties.arenas[p][:] = draw.integers(0, 256, 2 * total)
    tasks = [parties.run(p, program(*codes[p]), 2) for p in (ALICE, BOB)]
    for task in tasks:
        task.well()
    at = 0
    for direction, bytes_, _ in messages:
        sender = int(direction)
        sent = parties.arenas[sender][at : at + bytes_]
        got = parties.arenas[1 - sender][total + at : total + at + bytes_]
        assert (sent == got).all()
        at += bytes_
    parties.close()


def test_keys_are_renewed_on_the_way(tmp_path: Path) -> None:
    made = contexts(tmp_path)
    often = [
        context(folder, rekey_records=3)
        for folder in (tmp_path / p for p in ("alice", "bob", "server"))
    ]
    assert len(made) == 3
    parties = Parties(often)
    for p in (ALICE, BOB):
        parties.seat(p, 2 * BIG)
    tasks = [parties.run(p, both_ways(1 - p, BIG), 2) for p in (ALICE, BOB)]
    for task in tasks:
        task.well()
    parties.close()


# Ends that are no good ones.


@pytest.mark.parametrize("step", [0, 1, 17])
def test_a_peer_that_dies_ends_the_others_with_who_and_when(parties: Parties, step: int) -> None:
    for p in range(3):
        parties.seat(p, 128)
    others = [parties.run(p, ring(p, 64), 1000) for p in (ALICE, SERVER)]
    parties.run(BOB, ring(BOB, 64), step).well()
    parties.die(BOB)
    for task in others:
        error = task.ill()
        assert error.culprit == BOB
        assert error.kind in (Kind.PEER_GONE, Kind.ABORTED)
        assert step - 1 <= error.step <= step + 1


def test_a_peer_that_dies_is_noticed_while_another_is_awaited(parties: Parties) -> None:
    parties.seat(ALICE, 64)
    task = parties.run(ALICE, other_way(SERVER, 64))
    time.sleep(0.05)
    parties.die(BOB)
    error = task.ill()
    assert (error.kind, error.peer) == (Kind.PEER_GONE, BOB)
    assert str(error) == "bob is gone: the peer has closed the connection"


def test_a_peer_that_dies_is_noticed_while_it_is_written_to(parties: Parties) -> None:
    parties.seat(ALICE, BIG)
    task = parties.run(ALICE, one_way(BOB, BIG), 100)
    time.sleep(0.05)
    parties.die(BOB)
    error = task.ill()
    assert (error.kind, error.peer) == (Kind.PEER_GONE, BOB)


def test_a_party_in_trouble_tells_the_others_who_is_to_blame(parties: Parties) -> None:
    """The server has no connection to Bob here: it knows of his end from Alice alone."""
    parties.seat(ALICE, 64)
    parties.seat(SERVER, 64, peers=[ALICE])
    alice = parties.run(ALICE, other_way(BOB, 64))
    server = parties.run(SERVER, other_way(ALICE, 64))
    time.sleep(0.05)
    parties.die(BOB)
    assert alice.ill().kind is Kind.PEER_GONE
    error = server.ill()
    assert (error.kind, error.peer, error.culprit) == (Kind.ABORTED, ALICE, BOB)
    assert str(error) == "alice gave up because of bob"


def test_a_party_with_an_error_of_its_own_blames_itself(parties: Parties) -> None:
    parties.seat(ALICE, 128)
    parties.arenas[ALICE][:] = 0
    parties.seat(BOB, 128)
    bob = parties.run(BOB, other_way(ALICE, 64))
    bad = instruction(Op.FLOORMOD, Type.INT64, 8, 0, [0, 64])
    alice = parties.run(ALICE, program(bad, *send(BOB, 1, 0, 64)))
    error = alice.ill()
    assert error.kind is Kind.ARITHMETIC
    assert str(error) == "instruction 0 (FLOORMOD) divides by zero"
    error = bob.ill()
    assert (error.kind, error.peer, error.culprit) == (Kind.ABORTED, ALICE, ALICE)
    assert str(error) == "alice gave up"


def test_an_end_is_noticed_behind_messages_that_fill_the_window(parties: Parties) -> None:
    """Bob waits for the server and reads no more of Alice, who is held up and then stopped."""
    size = 1 << 16
    parties.seat(ALICE, size)
    parties.seat(BOB, size, window=size)
    alice = parties.run(ALICE, one_way(BOB, size), 100)
    bob = parties.run(BOB, program(*receive(SERVER, 1, 0, 8), *receive(ALICE, 1, 0, size)), 100)
    time.sleep(0.2)
    parties.executors[ALICE].stop()
    assert alice.ill().kind is Kind.STOPPED
    assert bob.ill().culprit == ALICE


@pytest.mark.parametrize(
    ("step", "key", "size"),
    [(1, 1, 64), (0, 2, 64), (0, 1, 63), (0, 1, 65), (0, 1, 0), (2**64 - 1, 2**31, 2**32 - 1)],
)
def test_a_wrong_header_is_refused_before_its_body_comes(
    parties: Parties, step: int, key: int, size: int
) -> None:
    parties.seat(ALICE, 64)
    task = parties.run(ALICE, other_way(BOB, 64))
    parties.say(BOB, ALICE, frame(step, key, size=size))
    error = task.ill()
    assert (error.kind, error.peer, error.culprit) == (Kind.BAD_FRAME, BOB, BOB)
    assert str(error) == (
        f"bob sent step {step}, message {key}, {size} bytes, "
        "where step 0, message 1, 64 bytes was due"
    )
    assert (parties.arenas[ALICE] == ALICE).all()
    told = parties.hear(BOB, ALICE, 16)
    assert told == frame(BOB, ABORT)
    assert parties.hear(BOB, ALICE, 1) == b""


@settings(max_examples=25)
@given(noise=st.binary(min_size=16, max_size=300))
def test_noise_instead_of_messages_ends_the_run(tls: list[Context], noise: bytes) -> None:
    parties = Parties(tls)
    parties.seat(ALICE, 64)
    task = parties.run(ALICE, program(*receive(BOB, 1, 0, 64), *receive(SERVER, 1, 0, 64)))
    parties.say(BOB, ALICE, noise)
    error = task.ill()
    assert error.culprit is not None
    assert error.kind in (Kind.BAD_FRAME, Kind.ABORTED)
    parties.close()


def test_a_peer_cannot_name_a_culprit_that_does_not_exist(parties: Parties) -> None:
    parties.seat(ALICE, 64)
    task = parties.run(ALICE, other_way(BOB, 64))
    parties.say(BOB, ALICE, frame(2**63, ABORT))
    error = task.ill()
    assert (error.kind, error.culprit) == (Kind.BAD_FRAME, BOB)


def test_signs_of_life_are_no_messages(parties: Parties) -> None:
    parties.seat(ALICE, 64)
    task = parties.run(ALICE, other_way(BOB, 64), 2)
    for step in range(2):
        parties.say(BOB, ALICE, frame(9, ALIVE) * 3 + frame(step, 1, bytes([7]) * 64))
    task.well()
    assert (parties.arenas[ALICE] == 7).all()


def test_a_peer_that_ends_in_order_is_missed_only_when_it_is_needed(parties: Parties) -> None:
    parties.seat(ALICE, 64)
    parties.seat(BOB, 64)
    parties.run(BOB, one_way(ALICE, 64), 2).well()
    bob = parties.finish(BOB)
    task = parties.run(ALICE, other_way(BOB, 64), 3)
    error = task.ill()
    assert (error.kind, error.peer, error.step) == (Kind.PEER_GONE, BOB, 2)
    error = bob.ill()
    assert (error.kind, error.peer, error.culprit) == (Kind.ABORTED, ALICE, BOB)
    assert str(error) == "alice gave up because of us"


@pytest.mark.parametrize("writing", [False, True])
def test_stop_reaches_a_blocked_executor_at_once(parties: Parties, writing: bool) -> None:
    executor = parties.seat(ALICE, BIG)
    code = one_way(BOB, BIG) if writing else other_way(BOB, BIG)
    task = parties.run(ALICE, code, 100)
    time.sleep(0.1)
    executor.stop()
    error = task.ill()
    assert error.kind is Kind.STOPPED
    assert str(error) == "stopped"


def test_stop_reaches_a_computing_executor_and_every_later_run(parties: Parties) -> None:
    executor = parties.seat(ALICE, 1 << 20)
    task = parties.run(ALICE, program(instruction(Op.ADD, Type.INT8, 1 << 20, 0, [0, 0])), 10**9)
    time.sleep(0.05)
    executor.stop()
    assert task.ill().kind is Kind.STOPPED
    assert "over" in str(parties.run(ALICE, other_way(BOB, 64)).ill())
    waiting = parties.seat(SERVER, 64)
    waiting.stop()
    assert parties.run(SERVER, other_way(BOB, 64)).ill().kind is Kind.STOPPED


@pytest.mark.parametrize("writing", [False, True])
def test_the_time_limit_reaches_a_blocked_executor(parties: Parties, writing: bool) -> None:
    parties.seat(ALICE, BIG)
    code = one_way(BOB, BIG) if writing else other_way(BOB, BIG)
    task = parties.run(ALICE, code, 100, limit_s=0.2)
    error = task.ill()
    assert (error.kind, error.peer) == (Kind.TIME_LIMIT, BOB)
    assert str(error) == "the time limit has passed while waiting for bob"
    assert task.seconds >= 0.2


def test_the_time_limit_reaches_a_computing_executor(parties: Parties) -> None:
    parties.seat(ALICE, 64)
    add = instruction(Op.ADD, Type.INT8, 64, 0, [0, 0])
    error = parties.run(ALICE, program(add), 10**9, limit_s=0.1).ill()
    assert (error.kind, str(error)) == (Kind.TIME_LIMIT, "the time limit has passed")


def test_a_peer_that_is_stuck_is_told_from_one_that_waits(tls: Sequence[Context]) -> None:
    """Alice waits for Bob, Bob for the server, which is connected and says nothing. A busy machine
    may hold up Bob himself for longer than Alice bears: then with more patience."""
    for silence_s in (0.4, 2.0, 10.0):
        parties = Parties(tls)
        parties.seat(ALICE, 64)
        parties.seat(BOB, 64)
        bob = parties.run(BOB, other_way(SERVER, 64), silence_s=1.5 * silence_s)
        alice = parties.run(ALICE, other_way(BOB, 64), silence_s=silence_s)
        waiting, stuck = bob.ill(), alice.ill()
        parties.close()
        if stuck.kind is not Kind.SILENCE:
            break
    assert (waiting.kind, waiting.peer) == (Kind.SILENCE, SERVER)
    assert str(waiting) == f"nothing has been heard of server for {1.5 * silence_s:g} s"
    assert (stuck.kind, stuck.peer, stuck.culprit) == (Kind.ABORTED, BOB, SERVER)


HELD_UP = {
    "alive, now and then": (other_way(BOB, 64), frame(0, ALIVE), 0.02),
    "alive, all the time": (other_way(BOB, 64), frame(0, ALIVE) * 1000, 0.0),
    "a message byte by byte": (other_way(BOB, 10_000), b"\1", 0.02),
    "alive, and takes nothing": (one_way(BOB, BIG), frame(0, ALIVE), 0.02),
}


class Voice:
    """What a test says as Bob to Alice, and its own longest silence meanwhile."""

    def __init__(self, parties: Parties) -> None:
        self.parties = parties
        self.longest_s, self._spoke = 0.0, time.monotonic()

    def says(self, words: bytes) -> None:
        self.parties.say(BOB, ALICE, words)
        self._has_spoken()

    def talks(self, task: Task, words: bytes, pause_s: float) -> None:
        """Says the same until the other end has enough, and reads no more."""
        left = words
        with contextlib.suppress(ChannelError):
            while task.is_alive():
                before, left = left, self.parties.offer(BOB, ALICE, left)
                if left != before:
                    self._has_spoken()
                time.sleep(0.001 if left else pause_s)
                left = left or words

    def _has_spoken(self) -> None:
        now = time.monotonic()
        self.longest_s, self._spoke = max(self.longest_s, now - self._spoke), now


def kept_up(
    tls: Sequence[Context], play: Callable[[Parties, Voice, float], Task]
) -> tuple[Task, float]:
    """A play in which the test is never silent for as long as counts as trouble. A busy machine may
    hold up the test itself: then it is played again, with more patience."""
    for silence_s in (0.2, 1.0, 5.0):
        parties = Parties(tls)
        voice = Voice(parties)
        task = play(parties, voice, silence_s)
        task.ended()
        parties.close()
        if voice.longest_s < silence_s / 2:
            break
    return task, silence_s


@pytest.mark.parametrize("how", HELD_UP)
def test_a_peer_that_is_alive_cannot_hold_a_run_up_for_ever(
    tls: Sequence[Context], how: str
) -> None:
    """Where there is no time limit."""
    code, words, pause_s = HELD_UP[how]

    def play(parties: Parties, voice: Voice, silence_s: float) -> Task:
        parties.seat(ALICE, BIG)
        task = parties.run(ALICE, code, 100, limit_s=0, silence_s=silence_s)
        if words == b"\1":
            voice.says(frame(0, 1, size=10_000))
        voice.talks(task, words, pause_s)
        return task

    task, silence_s = kept_up(tls, play)
    error, held_s = task.ill(), 10 * silence_s
    assert (error.kind, error.peer, error.culprit) == (Kind.STALLED, BOB, BOB)
    assert str(error) == f"bob is alive, but has held up what is due for {held_s:g} s"
    assert task.seconds >= held_s


def test_a_peer_that_is_slow_holds_nothing_up(tls: Sequence[Context]) -> None:
    """Each message may take its time, however many there are: more than may pass without one."""

    def play(parties: Parties, voice: Voice, silence_s: float) -> Task:
        parties.seat(ALICE, 64)
        task = parties.run(ALICE, other_way(BOB, 64), 30, limit_s=0, silence_s=silence_s)
        for step in range(30):
            time.sleep(0.4 * silence_s)
            with contextlib.suppress(ChannelError):
                voice.says(frame(0, ALIVE) + frame(step, 1, bytes(64)))
        return task

    task, _ = kept_up(tls, play)
    task.well()


# The end in order.


def test_a_peer_that_is_alive_and_does_not_end_is_not_waited_for_for_ever(
    tls: Sequence[Context],
) -> None:
    def play(parties: Parties, voice: Voice, silence_s: float) -> Task:
        parties.seat(ALICE, 64)
        parties.run(ALICE, program()).well()
        task = parties.finish(ALICE, limit_s=0, silence_s=silence_s)
        voice.talks(task, frame(0, ALIVE), 0.02)
        return task

    task, _ = kept_up(tls, play)
    assert task.ill().kind is Kind.STALLED


def test_finish_waits_for_peers_that_are_not_there_yet(parties: Parties) -> None:
    for p in range(3):
        parties.seat(p, 64)
    early = [parties.finish(p) for p in (ALICE, SERVER)]
    time.sleep(0.1)
    assert all(task.is_alive() for task in early)
    parties.finish(BOB).well()
    for task in early:
        task.well()
    assert "over" in str(parties.run(ALICE, other_way(BOB, 64)).ill())


@pytest.mark.parametrize("extra", [frame(0, 1, b"more"), frame(0, ALIVE, b"x"), b"\0"])
def test_more_than_was_agreed_is_an_error_at_the_end(parties: Parties, extra: bytes) -> None:
    parties.seat(ALICE, 64, peers=[BOB])
    task = parties.finish(ALICE)
    parties.say(BOB, ALICE, frame(3, ALIVE) + extra)
    parties.seat(BOB, 64, peers=[ALICE])
    bob = parties.finish(BOB)
    error = task.ill()
    assert (error.kind, error.peer) == (Kind.BAD_FRAME, BOB)
    assert "more than was agreed" in str(error)
    bob.ended()


def test_a_peer_that_dies_at_the_end_is_named(parties: Parties) -> None:
    for p in (ALICE, SERVER):
        parties.seat(p, 64)
    tasks = [parties.finish(p) for p in (ALICE, SERVER)]
    time.sleep(0.05)
    parties.die(BOB)
    for task in tasks:
        assert task.ill().culprit == BOB


def test_finish_has_a_limit_and_can_be_stopped(parties: Parties) -> None:
    parties.seat(ALICE, 64)
    error = parties.finish(ALICE, limit_s=0.1).ill()
    assert (error.kind, error.peer) == (Kind.TIME_LIMIT, BOB)
    executor = parties.seat(SERVER, 64, peers=[BOB])
    task = parties.finish(SERVER)
    time.sleep(0.05)
    executor.stop()
    assert task.ill().kind is Kind.STOPPED


# What is on the wire.


def test_bytes_altered_on_the_way_are_noticed(tls: list[Context]) -> None:
    """A go-between passes records on, then alters one bit of one."""
    import socket

    near, middle_near = socket.socketpair()
    middle_far, far = socket.socketpair()
    for each in (near, middle_near, middle_far, far):
        each.setblocking(False)
    ends = (Connection(tls[0], near.fileno(), True), Connection(tls[1], far.fileno(), False))

    def carry(alter: bool = False) -> None:
        for source, target in ((middle_near, middle_far), (middle_far, middle_near)):
            try:
                data = bytearray(source.recv(1 << 16))
            except BlockingIOError:
                continue
            if alter:
                data[-1] ^= 1
            target.send(data)

    for _ in range(10):
        for end in ends:
            end.handshake()
        carry()
    assert ends[0].peer_identity() == "spiffe://exchange/bob"
    secret = b"nobody is to read this, nor to alter it"
    ends[0].write(secret)
    seen = middle_near.recv(1 << 16, socket.MSG_PEEK)
    assert secret not in seen
    assert len(secret) < len(seen) < len(secret) + 64
    carry(alter=True)
    with pytest.raises(Exception, match="altered on the way"):
        ends[1].read(100)
    for each in (near, middle_near, middle_far, far):
        each.close()


def test_memory_is_aligned_for_every_type() -> None:
    assert aligned(100).ctypes.data % 64 == 0


def test_a_closed_executor_has_forgotten_everything(parties: Parties) -> None:
    executor = parties.seat(BOB, 64)
    parties.seat(ALICE, 64)
    parties.run(ALICE, one_way(BOB, 64), 2).well()
    parties.run(BOB, other_way(ALICE, 64), 2).well()
    counters = executor.counters
    parties.arenas[BOB][:] = 7
    executor.close()
    executor.close()
    executor.stop()
    assert not parties.arenas[BOB].any()
    assert (executor.counters, executor.progress) == (counters, 2)
    with pytest.raises(ValueError, match="the executor is closed"):
        executor.run(other_way(ALICE, 64), 0, 1)


def test_an_executor_does_not_use_a_connection_that_was_closed(parties: Parties) -> None:
    executor = parties.seat(ALICE, 64)
    connection = parties.connections[ALICE][BOB]
    assert connection is not None
    connection.close()
    with pytest.raises(ChannelError, match="the connection is closed"):
        executor.run(other_way(BOB, 64), 0, 1)


def test_who_meets_hears_what_all_three_say_and_none_of_it_is_counted(parties: Parties) -> None:
    """Before a run, and behind one, in which the window is in use."""
    for p in range(3):
        parties.seat(p, 128)
    heard: dict[int, tuple[int, int, int]] = {}

    def meet(p: int, step: int) -> None:
        heard[p] = parties.executors[p].meet(step, 2**40 * p + step, LIMIT_S, LIMIT_S)

    for step in (0, 1):
        for task in [Task(partial(meet, p, step)) for p in range(3)]:
            task.well()
        assert set(heard.values()) == {(step, 2**40 + step, 2**41 + step)}
        for task in [parties.run(p, ring(p, 64), 1, first=step) for p in range(3)]:
            task.well()
    for p in range(3):
        counters = parties.executors[p].counters
        assert counters["bytes_sent"] == counters["bytes_received"] == 2 * (16 + 64)


def test_who_meets_at_another_step_is_found_out(parties: Parties) -> None:
    def meet(p: int) -> None:
        parties.executors[p].meet(4 + p, 0, LIMIT_S, LIMIT_S)

    for p in (ALICE, BOB):
        parties.seat(p, 64, peers=[ALICE, BOB])
    tasks = [Task(partial(meet, p)) for p in (ALICE, BOB)]
    assert {task.ill().kind for task in tasks} & {Kind.BAD_FRAME}


def test_an_end_says_whether_it_is_for_good(parties: Parties) -> None:
    """A peer that is gone, or was stopped, may come back; one whose time is up, or that is wrong,
    does not. Whoever hears of it from another hears that too."""
    parties.seat(ALICE, 64)
    parties.seat(SERVER, 64, peers=[ALICE])
    alice = parties.run(ALICE, other_way(BOB, 64))
    server = parties.run(SERVER, other_way(ALICE, 64))
    parties.die(BOB)
    assert not alice.ill().final and not server.ill().final


@pytest.mark.parametrize("final", [False, True])
def test_a_stop_is_not_for_good_and_a_time_limit_is(parties: Parties, final: bool) -> None:
    parties.seat(ALICE, 64)
    parties.seat(BOB, 64)
    alice = parties.run(ALICE, other_way(BOB, 64))
    bob = parties.run(BOB, other_way(SERVER, 64), limit_s=0.1 if final else LIMIT_S)
    if not final:
        parties.executors[BOB].stop()
    assert bob.ill().kind is (Kind.TIME_LIMIT if final else Kind.STOPPED)
    assert alice.ill().final is final
