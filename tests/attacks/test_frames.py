"""A party of the job that says anything but its part ends the run, by name, and nothing else.

The attacker joins with real keys and speaks raw frames to real processes. Its victim ends with exit
code 1 and names the attacker, the step, what came and what was due; the third party ends too, and
names the attacker. Nobody crashes or hangs, or allocates what a header says: the processes live
under a limit that such an allocation would break.

A header is a step, a key and a number of bytes. Neither type nor shape are in it, since the
receiver has them from its own plan: numbers of another type or another shape are told by their
number of bytes, and where that is the same they are numbers like others, which a party may always
choose to send wrong.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from party.agreement.job import PARTIES, Job, Party
from party.native.instructions import Type
from tests.attacks.conftest import Tried
from tests.attacks.intruder import HEAD, Frame, Intruder, intruder
from tests.harness.plans import cached
from tests.harness.processes import ENDLESS, JOB, PATIENCE_S, Processes, resident_bytes

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

ABORT, ALIVE = 0xFFFFFFFF, 0xFFFFFFFE
PROTOCOLS = ("pond", "aby3", "securenn")


@pytest.fixture
def chance() -> random.Random:
    return random.Random(3)


@pytest.fixture(scope="module")
def plans(cache: Path) -> None:
    """In the usual cache the plans of the other protocols too."""
    for protocol in PROTOCOLS[1:]:
        job = Job.model_validate_json(json.dumps(JOB | {"protocol": protocol}))
        cached(job, cache)


def wire(frames: list[Frame], chance: random.Random) -> bytes:
    return b"".join(one.on_the_wire(chance) for one in frames)


Mischief = Callable[[list[Frame], random.Random], bytes]
"""Makes, of the frames of a step as the victim expects them, what it is sent instead."""


def random_bytes(due: list[Frame], chance: random.Random) -> bytes:
    return chance.randbytes(5000)


def zeros(due: list[Frame], chance: random.Random) -> bytes:
    return bytes(5000)


def another_step(due: list[Frame], chance: random.Random) -> bytes:
    return wire([Frame(due[0].step + 1, due[0].key, due[0].size), *due[1:]], chance)


def the_step_before(due: list[Frame], chance: random.Random) -> bytes:
    return wire([Frame(due[0].step - 1, due[0].key, due[0].size), *due[1:]], chance)


def the_largest_step(due: list[Frame], chance: random.Random) -> bytes:
    return wire([Frame(2**64 - 1, due[0].key, due[0].size)], chance)


def another_key(due: list[Frame], chance: random.Random) -> bytes:
    return wire([Frame(due[0].step, 1000, due[0].size), *due[1:]], chance)


def smaller(due: list[Frame], chance: random.Random) -> bytes:
    return wire([Frame(due[0].step, due[0].key, due[0].size - 8), *due[1:]], chance)


def larger(due: list[Frame], chance: random.Random) -> bytes:
    return wire([Frame(due[0].step, due[0].key, due[0].size + 8), *due[1:]], chance)


def of_another_type(due: list[Frame], chance: random.Random) -> bytes:
    """As many elements as are due, of four bytes each where eight are due."""
    return instead_of_the_largest(due, chance, lambda size: size // 2)


def a_row_more(due: list[Frame], chance: random.Random) -> bytes:
    """What a batch of one row more would have."""
    rows = JOB["training"]["batch_size"]
    return instead_of_the_largest(due, chance, lambda size: size + size // rows)


def instead_of_the_largest(
    due: list[Frame], chance: random.Random, change: Callable[[int], int]
) -> bytes:
    """All is as it is due up to the largest tensor of shares, which is of the whole batch."""
    at = max((i for i in range(len(due)) if due[i].type is Type.INT64), key=lambda i: due[i].size)
    other = Frame(due[at].step, due[at].key, change(due[at].size))
    return wire([*due[:at], other, *due[at + 1 :]], chance)


def as_large_as_can_be(due: list[Frame], chance: random.Random) -> bytes:
    return HEAD.pack(due[0].step, due[0].key, 2**32 - 1) + bytes(1 << 20)


def of_no_bytes(due: list[Frame], chance: random.Random) -> bytes:
    return HEAD.pack(due[0].step, due[0].key, 0)


def repeated(due: list[Frame], chance: random.Random) -> bytes:
    return wire([due[0], *due], chance)


def swapped(due: list[Frame], chance: random.Random) -> bytes:
    return wire([due[1], due[0], *due[2:]], chance)


def left_out(due: list[Frame], chance: random.Random) -> bytes:
    return wire(due[1:], chance)


def a_sign_of_life_with_bytes(due: list[Frame], chance: random.Random) -> bytes:
    return wire([Frame(due[0].step, ALIVE, 8)], chance)


MISCHIEF: list[Mischief] = [
    random_bytes,
    zeros,
    another_step,
    the_step_before,
    the_largest_step,
    another_key,
    smaller,
    larger,
    of_another_type,
    a_row_more,
    as_large_as_can_be,
    of_no_bytes,
    repeated,
    swapped,
    left_out,
    a_sign_of_life_with_bytes,
]
IN_EVERY_PROTOCOL: list[Mischief] = [
    another_key,
    smaller,
    larger,
    of_another_type,
    a_row_more,
    repeated,
    swapped,
]
"""What depends on the frames of a plan; the rest is as wrong in any."""

AT = 2
"""The step at which the attacker stops behaving."""


def first_wrong(words: bytes, due: list[Frame]) -> tuple[Frame, Frame]:
    """Of what is sent, the first frame that is not the one due, and which one is."""
    for one in due:
        came = Frame(*HEAD.unpack_from(words))
        if came != one:
            return came, one
        words = words[HEAD.size + one.size :]
    raise AssertionError("nothing is wrong with it")


def ends_named(
    processes: Processes, attacker: Intruder, victim: str, told: str, leaves: bool = False
) -> None:
    """The victim says what happened; the third party ends too, and knows of whom it was, or of a
    victim that waits for nobody and had ended already."""
    for one in sorted(processes.running, key=lambda one: one.party != victim):
        if leaves and one.party != victim:
            attacker.close()  # who else would be waited for, as long as silence is borne
        code, words = one.ends()
        assert code == 1, (one.party, words)
        assert words.startswith("error: ") and "Traceback" not in words
        others = f"{attacker.party}|{victim}" if leaves else attacker.party
        assert re.search(told if one.party == victim else others, words), words
        assert one.status()["phase"] == "failed"
        assert not (one.output / "model.json").exists()


@pytest.mark.usefixtures("plans")
@pytest.mark.parametrize(
    ("protocol", "mischief"),
    [
        *[("pond", one) for one in MISCHIEF],
        *[(protocol, one) for protocol in PROTOCOLS[1:] for one in IN_EVERY_PROTOCOL],
    ],
)
def test_a_frame_that_is_not_due_ends_its_receiver_with_what_was(
    processes: Processes, chance: random.Random, tried: Tried, protocol: str, mischief: Mischief
) -> None:
    processes.write_job("job.yaml", protocol=protocol)
    with intruder(processes) as bob:
        bob.behaves(AT, chance)
        due = bob.frames("alice", AT)
        words = mischief(due, chance)
        came, one = first_wrong(words, due)
        bob.send("alice", words)
        bob.send("server", wire(bob.frames("server", AT), chance))
        told = rf"error: bob sent {came}, where {one} was due at step {AT + 1} of {bob.steps}\b"
        ends_named(processes, bob, "alice", told)
    tried(1, f"runs of {protocol} with a frame: {mischief.__name__.replace('_', ' ')}")


@pytest.mark.parametrize(
    ("attacker", "victim"), [(a, v) for a in PARTIES for v in PARTIES if a != v]
)
def test_no_party_may_say_to_another_what_is_not_due(
    processes: Processes, chance: random.Random, tried: Tried, attacker: Party, victim: str
) -> None:
    with intruder(processes, attacker) as one:
        one.behaves(AT, chance)
        if due := one.frames(victim, AT):
            one.send(victim, another_key(due, chance))
            at = rf"{attacker} sent step {due[0].step}, message 1000"
            told = rf"{at}, .* where {due[0]} was due at step {AT + 1}\b"
        else:  # Pond's third server is told nothing of a step, so it looks where all three meet
            one.send(victim, wire([Frame(AT, 1000, 8)], chance))
            one.behaves(one.steps + 1, chance, first=AT)
            came = rf"step {AT}, message 1000, 8 bytes"
            told = rf"{attacker} sent {came}, where step \d+, message \d+, 8 bytes was due\b"
        ends_named(processes, one, victim, told, leaves=not due)
    tried(1, f"runs in which {attacker} sends {victim} another frame")


def test_what_one_party_is_to_say_cannot_come_from_another(
    processes: Processes, chance: random.Random, tried: Tried
) -> None:
    """Bob sends Alice the third server's frames, right in step, key and size."""
    with intruder(processes) as bob:
        bob.behaves(AT, chance)
        due = bob.frames("alice", AT)
        bob.send("alice", wire(bob.frames("alice", AT, of="server"), chance))
        ends_named(processes, bob, "alice", rf"bob sent .* where {due[0]} was due at step 3 of")
    tried(1, "runs with another party's frames")


def test_a_frame_cut_off_by_the_end_of_its_sender_is_a_death(
    processes: Processes, chance: random.Random, tried: Tried
) -> None:
    with intruder(processes) as bob:
        bob.behaves(AT, chance)
        bob.send("alice", wire(bob.frames("alice", AT), chance)[:-5])
        bob.close()
        # The server may see Bob go first, and say so before Alice has looked.
        gone = r"error: (bob went away|server gave up because of bob) at step \d+ of \d+"
        ends_named(processes, bob, "alice", gone)
    tried(1, "runs with a frame cut off")


@pytest.mark.parametrize("culprit", [0, 1, 2, 3, 2**64 - 1])
def test_who_gives_up_is_named_whomever_it_blames(
    processes: Processes, chance: random.Random, tried: Tried, culprit: int
) -> None:
    with intruder(processes) as bob:
        bob.behaves(AT, chance)
        bob.send("alice", HEAD.pack(culprit, ABORT, 0))
        alice, server = processes.running
        code, words = alice.ends()
        assert code == 1 and re.match("error: bob (gave up|sent more than was agreed)", words)
        code, words = server.ends()
        assert code == 1 and "gave up" in words, "what Bob said is passed on, and believed of none"
    tried(1, "runs given up with a false culprit")


def test_a_word_after_the_last_one_is_too_much(
    processes: Processes, chance: random.Random, tried: Tried
) -> None:
    with intruder(processes) as bob:
        bob.behaves(bob.steps + 1, chance)
        bob.send("alice", wire([Frame(bob.blocks + bob.steps + 1, 0, 8)], chance))
        last = bob.blocks + bob.steps + 1
        told = rf"bob sent more than was agreed \(step {last}, message 0, 8 bytes\)"
        alice, server = processes.running
        code, words = alice.ends()
        assert code == 1 and re.search(told + " at the end", words), words
        assert not (alice.output / "model.json").exists()
        bob.close()
        assert server.ends() == (0, ""), "it had done its part"
    tried(1, "runs with a frame after the last")


LEAST_AHEAD = 2**16
"""Bytes: a ring takes as many."""


def test_who_runs_ahead_is_not_read(
    processes: Processes, chance: random.Random, tried: Tried
) -> None:
    """While Alice waits for the third server, Bob sends her all of a long job: she reads a window
    of it, and the rest waits at Bob."""
    processes.write_job("job.yaml", **ENDLESS)
    with intruder(processes) as bob:
        alice, server = processes.running
        alice.reaches("running")
        server.signal(signal.SIGSTOP)
        before, steps = resident_bytes(alice), itertools.count()
        bob.behaves(0, chance)

        def ahead() -> int:
            step = next(steps)
            bob.meets(step)  # the server may have come so far before it was stopped
            return bob.send("alice", wire(bob.frames("alice", step), chance))

        with bob.repeating(ahead) as sent:
            count, end = -1, time.monotonic() + PATIENCE_S
            while count != sent.count or count <= LEAST_AHEAD:
                assert time.monotonic() < end, count
                count = sent.count
                time.sleep(2)
            assert count < 4 * 2**20, "a ring, and what is on the way"
            assert resident_bytes(alice, "VmHWM") - before < 8 * 2**20
            alice.signal(signal.SIGTERM)
            code, words = alice.ends()
            assert code == 1 and "stopped at step" in words
    tried(count, "bytes sent ahead, until nothing was read any more")


ALIVES = HEAD.pack(0, ALIVE, 0) * 4096
LIMIT_S = 10
"""Of which a run of some steps takes a small part, on a busy machine too."""
MANY_BYTES = 16 * 2**20
MANY_KEYS = 20_000
"""Half a megabyte. Of either so much was read: rings and buffers on the way hold less."""


def end_by_their_limit(processes: Processes) -> None:
    for one in processes.running:
        code, words = one.ends()
        # whose limit is a moment later hears of the other's
        reasons = "the time limit has passed|because of|(alice|server) gave up at"
        assert code == 1 and re.search(reasons, words), words


@pytest.mark.parametrize("steps", [AT, None])
def test_signs_of_life_without_end_do_not_outlive_a_time_limit(
    processes: Processes, chance: random.Random, tried: Tried, steps: int | None
) -> None:
    """In the middle of a run, and after its last step."""
    with intruder(processes, time_limit=str(LIMIT_S)) as bob:
        bob.behaves(bob.steps + 1 if steps is None else steps, chance)
        with bob.repeating(lambda: bob.send("alice", ALIVES)) as sent:
            end_by_their_limit(processes)
    assert sent.count > MANY_BYTES
    tried(sent.count // HEAD.size, "signs of life without end")


def test_new_keys_without_end_do_not_outlive_a_time_limit(
    processes: Processes, chance: random.Random, tried: Tried
) -> None:
    """TLS 1.3 lets a peer change its keys at any time, and as often as it likes."""
    with intruder(processes, time_limit=str(LIMIT_S)) as bob:
        bob.behaves(AT, chance)
        with bob.repeating(lambda: bob.change_keys("alice")) as sent:
            end_by_their_limit(processes)
    assert sent.count > MANY_KEYS
    tried(sent.count, "changes of keys without end")
