"""``python -m tests.kind.hour``: jobs for an hour, with a pod deleted every minute.

Releases of a queue of jobs follow each other on a cluster of their own, until the time is up and
the last queue is done. Every job must end with the undisturbed run's weights. In each queue the
pods of two parties are deleted, and the third one's process lives on through all of it, each
party's in its turn. Memory, descriptors and threads of that process are looked at while it trains,
and none may grow while it lives (``tests.faults.growth``): it takes three queues to see all
parties'.

python -m tests.kind.hour --minutes 60
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event, Thread

from tests.faults.growth import MEASURES, Growth
from tests.faults.runs import ROUNDING
from tests.harness.plaintext import distance, received
from tests.kind.cluster import PARTIES, ROOT, Cluster, Deployment, Object, kind_cluster, run
from tests.kind.conftest import IMAGE, example_job, plain_values
from tests.kind.faults import TRAINING, Faults

JOBS = [f"job-{number}" for number in range(16)]
"""Of one queue: some minutes of work."""

LOOK_EVERY_S, DELETE_EVERY_S = 5.0, 60.0

_LOOK = """
set -- $(awk '/^VmRSS/ {print $2} /^Threads/ {print $2}' /proc/PID/status)
echo $1 $(ls /proc/PID/fd | wc -l) $2
cat /proc/PID/root/state/output/status.json
"""


@dataclass
class Watch:
    """Which party is left alone, what its process held, and how often another's was deleted."""

    growth: Growth = field(default_factory=Growth)
    spared: str = ""
    deleted: int = 0
    due: float = field(default_factory=lambda: time.monotonic() + DELETE_EVERY_S)


@contextmanager
def disturbed(deployment: Deployment, watch: Watch, chance: random.Random) -> Iterator[None]:
    """While the block lasts, look at the spared party, and delete a pod of another every minute."""
    over = Event()
    faults = Faults(deployment)

    def look() -> None:
        with suppress(BaseException):  # a pod on its way in, which says nothing
            process = faults.process(watch.spared)
            said = faults.on_node("sh", "-c", _LOOK.replace("PID", process))
            held, _, status = said.partition("\n")
            if json.loads(status)["phase"] == "running":
                watch.growth.take(watch.spared, process, [int(word) for word in held.split()])

    def disturb() -> None:
        while not over.wait(LOOK_EVERY_S):
            look()
            if time.monotonic() < watch.due:
                continue
            try:
                faults.delete(chance.choice([p for p in PARTIES if p != watch.spared]), 0)
            except BaseException:  # it is gone already; another one then, at the next look
                continue
            watch.due = time.monotonic() + DELETE_EVERY_S
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
            nothing = Watch(due=float("inf"))
            (model,) = queue(cluster, room / "undisturbed", ["alone"], nothing, said.seed)
            undisturbed = received(model)
            watch, number, begin = Watch(), 0, time.monotonic()
            while time.monotonic() < begin + said.minutes * 60:
                watch.spared = PARTIES[number % len(PARTIES)]
                number += 1
                models = queue(cluster, room / str(number), JOBS, watch, said.seed + number)
                off = [distance(received(model), undisturbed) for model in models]
                failed += [f"queue {number}: weights off by {o:.1e}" for o in off if o > ROUNDING]
                print(
                    f"queue {number}: {len(models)} jobs, weights within {max(off):.1e}, "
                    f"{watch.deleted} pods deleted, {time.monotonic() - begin:.0f} s",
                    flush=True,
                )
    failed += watch.growth.grown(PARTIES)
    for party in PARTIES:
        lives = watch.growth.parts(party)
        told = ", ".join(
            f"{name} {median(parts):+.1%}"
            for name, parts in zip(MEASURES, zip(*lives, strict=True), strict=bool(lives))
        )
        print(f"{party}, {len(lives)} processes, in the last half of each: {told or 'too few'}")
    print(
        f"{number * len(JOBS)} jobs, {watch.deleted} pods deleted, {watch.growth.looks} looks; "
        f"failed: {'; '.join(failed) or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
