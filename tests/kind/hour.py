"""``python -m tests.kind.hour``: jobs for an hour, with a pod deleted every minute.

Releases of a queue of jobs follow each other on a cluster of their own, until the time is up and
the last queue is done. Every job must end with the undisturbed run's weights. Of each party's
process memory, descriptors and threads are looked at throughout: the median of the last third of
the time must not be above that of the first. (The most would be chance: a look may fall into the
moment in which a checkpoint is written or peers are looked for.)

python -m tests.kind.hour --minutes 60
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event, Thread

from tests.faults.runs import ROUNDING
from tests.harness.plaintext import distance, received
from tests.kind.cluster import PARTIES, ROOT, Cluster, Deployment, Object, kind_cluster, run
from tests.kind.conftest import IMAGE, example_job, plain_values
from tests.kind.faults import TRAINING, Faults

JOBS = [f"job-{number}" for number in range(16)]
"""Of one queue: some minutes of work."""

LOOK_EVERY_S, DELETE_EVERY_S = 5.0, 60.0
MEASURES = ("memory_kib", "descriptors", "threads")
ROOM = {"memory_kib": 1.1, "descriptors": 1.1, "threads": 1.0}
"""How much more the last third may have than the first: pages come and go a little."""

_LOOK = """
set -- $(awk '/^VmRSS/ {print $2} /^Threads/ {print $2}' /proc/PID/status)
echo $1 $(ls /proc/PID/fd | wc -l) $2
"""


@dataclass
class Watch:
    """What the processes of the parties held, by the part of the time, in thirds."""

    begin: float
    seconds: float
    held: dict[tuple[str, int], list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    looks: int = 0
    deleted: int = 0
    due: float = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.begin + DELETE_EVERY_S

    def take(self, party: str, seen: list[int]) -> None:
        """Note what a process held just now."""
        third = min(2, int(3 * (time.monotonic() - self.begin) / self.seconds))
        self.held[party, third].append(seen)
        self.looks += 1

    def usual(self, party: str, third: int) -> list[float]:
        """The medians of what a party held in a third of the time."""
        return [median(one) for one in zip(*self.held[party, third], strict=True)]

    def grown(self) -> list[str]:
        """What was more at the end than at the beginning, by party."""
        return [
            f"{party}'s {name}: {first} in the first third, {last} in the last"
            for party in PARTIES
            for name, first, last in zip(
                MEASURES, self.usual(party, 0), self.usual(party, 2), strict=True
            )
            if last > first * ROOM[name]
        ]


@contextmanager
def disturbed(deployment: Deployment, watch: Watch, chance: random.Random) -> Iterator[None]:
    """While the block lasts, look at all parties, and delete the pod of one every minute."""
    over = Event()
    faults = Faults(deployment)

    def look() -> None:
        for party in PARTIES:
            try:
                process = faults.process(party)
                said = faults.on_node("sh", "-c", _LOOK.replace("PID", process)).split()
                watch.take(party, [int(word) for word in said])
            except BaseException:  # a pod on its way out or in, which says nothing
                continue

    def disturb() -> None:
        while not over.wait(LOOK_EVERY_S):
            look()
            if time.monotonic() >= watch.due:
                watch.due = time.monotonic() + DELETE_EVERY_S
                faults.delete(chance.choice(PARTIES), 0)
                watch.deleted += 1

    thread = Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def queue(cluster: Cluster, room: Path, names: list[str], watch: Watch, seed: int) -> list[Object]:
    """The models of a queue of jobs, in order; a pod deleted every minute meanwhile."""
    room.mkdir()
    chance = random.Random(seed)
    with cluster.namespace() as namespace:
        values = plain_values(cluster, namespace, example_job() | {"training": TRAINING})
        deployment = Deployment(cluster, room, values | {"jobs": [{"name": one} for one in names]})
        deployment.put_keys()
        deployment.put_tables()
        deployment.deployer("apply", "--no-wait")
        with disturbed(deployment, watch, chance):
            deployment.wait_until_done(3600)
        return [
            json.loads(deployment.deployer("result", "--job", one, "--json").stdout)
            for one in names
        ]


def main() -> int:
    """Run; say what came of each queue; 1 where something was lost or has grown."""
    words = argparse.ArgumentParser(description="Jobs for a while, a pod deleted every minute.")
    words.add_argument("--minutes", type=float, default=60)
    words.add_argument("--seed", type=int, default=1)
    said = words.parse_args()
    run("docker", "build", "--tag", IMAGE, ROOT, timeout=1800)
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as made:
        room = Path(made)
        with kind_cluster(room / "kubeconfig", IMAGE) as cluster:
            nothing = Watch(time.monotonic(), float("inf"))
            (model,) = queue(cluster, room / "undisturbed", ["alone"], nothing, said.seed)
            undisturbed = received(model)
            watch = Watch(time.monotonic(), said.minutes * 60)
            number = 0
            while time.monotonic() < watch.begin + watch.seconds:
                number += 1
                models = queue(cluster, room / str(number), JOBS, watch, said.seed + number)
                off = [distance(received(model), undisturbed) for model in models]
                failed += [f"queue {number}: weights off by {o:.1e}" for o in off if o > ROUNDING]
                print(
                    f"queue {number}: {len(models)} jobs, weights within {max(off):.1e}, "
                    f"{watch.deleted} pods deleted, {time.monotonic() - watch.begin:.0f} s",
                    flush=True,
                )
    failed += watch.grown()
    for party in PARTIES:
        for third in range(3):
            held = zip(MEASURES, watch.usual(party, third), strict=True)
            print(f"{party}, third {third + 1}:", ", ".join(f"{n} {v:g}" for n, v in held))
    print(
        f"{number * len(JOBS)} jobs, {watch.deleted} pods deleted, {watch.looks} looks; "
        f"failed: {'; '.join(failed) or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
