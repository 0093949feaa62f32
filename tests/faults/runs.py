"""A run of three real parties with faults drawn from a seed, and what must be true of its end."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from party.agreement.hosts import format_hosts
from party.agreement.job import PARTIES, load_job
from tests.faults.relays import CUTS, REORDER, Fault, Link
from tests.harness import plaintext
from tests.harness.dying import full_while
from tests.harness.plans import cached
from tests.harness.processes import JOB, Processes, Running

EPOCHS = 40
TRAINING = JOB["training"] | {"epochs": EPOCHS, "learning_rate": 0.05}
LINKS = (("bob", "alice"), ("server", "alice"), ("server", "bob"))
"""Who dials whom."""

MOST_BYTES = {"bob-alice": 220_000, "server-alice": 250_000, "server-bob": 1_150_000}
"""About what the links carry in a run without faults."""

WITHIN_S = 240.0
ROUNDING = 2e-4
"""What all roundings of the steps may come to, beside a run without faults and relative to its
weights. A step that is left out or done twice makes more of a difference: the tests say so."""

_KILLS = (signal.SIGKILL, signal.SIGTERM)

_FULL = "No space left on device"
FULL_S = (0.2, 1.0, 4.0)
"""So long a disk takes nothing."""

SILENCES_S = (5.0, 20.0, 40.0)
"""So long nothing is heard of a machine or a process; of a machine, more than 15 s are missed."""


@dataclass(frozen=True)
class Ended:
    """What came of a run.

    Attributes:
        seed: its.
        faults: those that happened, as words.
        seconds: how long it took.
        rejoins: how often Alice's run went on.
        weights: what came of it.
        distance: from those of a run without faults; 0 for that itself.
    """

    seed: int
    faults: tuple[str, ...]
    seconds: float
    rejoins: int
    weights: dict[str, float]
    distance: float


class FaultyRun:
    """Three parties behind relays, of whom some are killed and started again."""

    def __init__(
        self,
        directory: Path,
        cache: Path,
        seed: int,
        undisturbed: dict[str, float] | None,
        most: int,
        killing: float,
        silent: float,
        rare: float,
    ) -> None:
        self.undisturbed, self.killing = undisturbed, killing
        chance = random.Random(seed)
        self.seed = seed
        self.processes = Processes(directory, cache, training=TRAINING)
        job = load_job(directory / "job.yaml")
        cached(job, cache)  # once, and not at each of the three
        self.faults: list[str] = []
        self.flipped = self.found = 0
        self.now: dict[str, Running] = {}
        self._lock = threading.Lock()
        drawn: dict[tuple[str, str], list[Fault]] = {link: [] for link in LINKS}
        for _ in range(chance.randint(1, most) if undisturbed and most else 0):
            link = chance.choice(LINKS)
            # As many in the first kilobytes, where hands are shaken, as anywhere else.
            high = chance.choice((8_000, MOST_BYTES["-".join(link)]))
            at = chance.randint(1, high)
            where = f"{at} bytes into {'-'.join(link)}"
            if rare and chance.random() < rare:
                drawn[link].append(self._rare(chance, at, where))
            elif silent and chance.random() < silent:
                seconds = chance.choice(SILENCES_S)
                if chance.random() < 0.5:
                    words = f"{'-'.join(link)} is gone for {seconds:.0f} s, {where}"
                    drawn[link].append(Fault(at, "vanish", words, self._vanisher(link, seconds)))
                else:
                    party = chance.choice(PARTIES)
                    words = f"{party} stands still for {seconds:.0f} s, {where}"
                    drawn[link].append(Fault(at, "stop", words, self._stopper(party, seconds)))
            elif chance.random() < self.killing:
                party, number = chance.choice(PARTIES), chance.choice(_KILLS)
                words = f"{number.name} of {party}, {where}"
                drawn[link].append(Fault(at, "kill", words, self._killer(party, number)))
            else:
                what = chance.choice(CUTS)
                drawn[link].append(Fault(at, what, f"{what}, {where}"))
        self.links = {
            link: Link(self.processes.address(link[1]), drawn[link], self.faults.append)
            for link in LINKS
        }
        for party in PARTIES:
            hosts = tuple(
                self.links[party, other].address
                if (party, other) in self.links
                else self.processes.address(other)
                for other in PARTIES
            )
            (directory / f"{party}.json").write_text(format_hosts(hosts))  # type: ignore[arg-type]

    def _rare(self, chance: random.Random, at: int, where: str) -> Fault:
        what, party = chance.choice(("fill", "flip", REORDER)), chance.choice(PARTIES)
        seconds, bit = chance.choice(FULL_S), chance.random()
        if what == "fill":
            words = f"the disk of {party} is full for {seconds} s, {where}"
            return Fault(at, what, words, self._filler(party, seconds))
        if what == "flip":
            words = f"SIGKILL of {party}, and a bit of its newest checkpoint turned, {where}"
            return Fault(at, what, words, self._killer(party, signal.SIGKILL, bit))
        return Fault(at, what, f"{what}, {where}")

    def _killer(
        self, party: str, number: signal.Signals, bit: float | None = None
    ) -> Callable[[], None]:
        def kill() -> None:
            with self._lock:
                running = self.now[party]
                if running.process.poll() == 0:
                    return  # it is done
                running.signal(number)
                if running.ends()[0] != 0:
                    flipped = bit is not None and self._flip(running.output, bit)
                    self.start(party)
                    if flipped:
                        self.flipped += 1
                        self.now[party].says("is not used: it is damaged")
                        self.found += 1

        return kill

    @staticmethod
    def _flip(output: Path, bit: float) -> bool:
        """Whether there was a checkpoint to harm. Not any more where an opening has begun: what is
        lost then is a result, and no run brings it back."""
        points = sorted((output / "checkpoints").glob("point-*"))
        if not points or (output / "ledger.jsonl").exists():
            return False
        text = bytearray(points[-1].read_bytes())
        at = int(bit * 8 * len(text))
        text[at // 8] ^= 1 << (at % 8)
        points[-1].write_bytes(text)
        return True

    def _full(self, party: str) -> Path:
        return self.processes.directory / f"{party}.full"

    def _filler(self, party: str, seconds: float) -> Callable[[], None]:
        def fill() -> None:
            self._full(party).touch()
            self._later(seconds, lambda: self._full(party).unlink(missing_ok=True))

        return fill

    def _vanisher(self, link: tuple[str, str], seconds: float) -> Callable[[], None]:
        def vanish() -> None:
            self.links[link].vanish()
            self._later(seconds, self.links[link].come_back)

        return vanish

    def _stopper(self, party: str, seconds: float) -> Callable[[], None]:
        def stop() -> None:
            with self._lock:  # of whoever starts or kills it
                running = self.now[party]
            running.signal(signal.SIGSTOP)
            self._later(seconds, lambda: running.signal(signal.SIGCONT))

        return stop

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, do)
        timer.daemon = True
        timer.start()

    def start(self, party: str) -> None:
        """Start a party, or start it again."""
        self.processes.before = full_while(self._full(party))
        self.now[party] = self.processes.start(
            party,
            config=f"{party}.json",
            listen=str(self.processes.address(party)),
            rejoin_limit="100",
            checkpoint_every="0.05",
        )

    def begin(self) -> None:
        """Start all three."""
        with self._lock:
            for party in PARTIES:
                self.start(party)

    def end(self) -> Ended:
        """Run until all have ended, well; AssertionError where one has not."""
        begin = time.monotonic()
        if not self.now:
            self.begin()
        left = list(PARTIES)
        while left:
            assert time.monotonic() - begin < WITHIN_S, f"seed {self.seed}: {left} do not end"
            left = [party for party in left if not self._is_done(party)]
            time.sleep(0.02)
        return self._checked(time.monotonic() - begin)

    def _is_done(self, party: str) -> bool:
        """Whether a party has ended, well. Who could open nothing, since its disk was full, is
        started again when there is room, as a cluster does."""
        with self._lock:  # whoever kills starts again before this is free
            running = self.now[party]
            if running.process.poll() is None:
                return False
            code, words = running.ends()
            if code == 1 and _FULL in words:
                if not self._full(party).exists():
                    self.start(party)
                return False
        assert (code, words) == (0, ""), f"seed {self.seed}: {party}: {words}"
        return True

    def _checked(self, seconds: float) -> Ended:
        assert self.found == self.flipped, f"seed {self.seed}: a changed checkpoint was used"
        job = load_job(self.processes.directory / "job.yaml")
        reports = [
            json.loads((self.now[party].output / "report.json").read_text()) for party in PARTIES
        ]
        assert {one["steps"] for one in reports} == {job.steps}, f"seed {self.seed}"
        assert len({(one["run"], one["plan"]) for one in reports}) == 1, f"seed {self.seed}"
        for party in PARTIES:
            left = [
                *(self.now[party].output / "checkpoints").glob("*"),
                *(self.now[party].output / "checkpoints").glob(".*"),
            ]
            assert left == [], f"seed {self.seed}: {left}"
            assert self.now[party].status()["phase"] == "done"
        model = json.loads((self.now["alice"].output / "model.json").read_text())
        weights = plaintext.received(model)
        distance = plaintext.distance(weights, self.undisturbed or weights)
        assert distance < ROUNDING, f"seed {self.seed}: {distance}"
        rejoins = self.now["alice"].status()["rejoins"]
        return Ended(self.seed, tuple(self.faults), seconds, rejoins, weights, distance)

    def close(self) -> None:
        """End whatever is left."""
        with self._lock:
            self.processes.close()
        for link in self.links.values():
            link.close()


@contextmanager
def faulty(
    directory: Path,
    cache: Path,
    seed: int,
    undisturbed: dict[str, float] | None,
    most: int = 3,
    killing: float = 0.4,
    silent: float = 0.0,
    rare: float = 0.0,
) -> Iterator[FaultyRun]:
    """A run of a seed in a directory of its own; one without faults to compare others with, where
    there is none yet. ``most``: faults; ``silent``: the part of them in which a machine is gone, or
    a process stands still, for a while; ``killing``: the part of the others that ends a party;
    ``rare``: the part of all in which a disk is full for a while, a bit of a checkpoint is turned,
    or connections arrive in another order."""
    directory.mkdir(parents=True)
    run = FaultyRun(directory, cache, seed, undisturbed, most, killing, silent, rare)
    try:
        yield run
    finally:
        run.close()
