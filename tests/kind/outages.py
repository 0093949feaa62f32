"""``python -m tests.kind.outages``: how soon one run goes on after kills, cuts and a lost node.

One pod is killed several times in a row; another loses its network, for minutes; the node restarts.
After each it says how long it took until all three train again, and until they are beyond where
they were, since they go back to a checkpoint; the model must be the undisturbed run's.

python -m tests.kind.outages --kills 4 --cuts 150 600
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.runs import ROUNDING
from tests.harness.plaintext import distance, received
from tests.kind.cluster import PARTIES, ROOT, Cluster, Deployment, Object, kind_cluster, run
from tests.kind.conftest import IMAGE, example_job, plain_values
from tests.kind.faults import Faults

TRAINING = {"epochs": 4_000, "batch_size": 128, "learning_rate": 0.01, "order_seed": 18}
"""Some minutes of mini-batches: longer than all that happens beside the outages themselves."""

LOOK_EVERY_S = 0.2
WITHIN_S = 600.0

WITNESS = "server"
"""To whom nothing happens but with the whole node. Since when it trains tells one stretch of the
run from the next."""


@dataclass(frozen=True)
class Point:
    """Where a run is: the least and the furthest step of the three, and since when the witness
    trains."""

    least: int
    furthest: int
    since: str

    @classmethod
    def of(cls, status: dict[str, Object]) -> Point | None:
        """None where not all three train."""
        if any(one["phase"] != "running" or not one["own"] for one in status.values()):
            return None
        steps = [int(one["own"]["step"]) for one in status.values()]
        return cls(min(steps), max(steps), str(status[WITNESS]["own"]["since"]))


@dataclass(frozen=True)
class Gap:
    """How long an outage kept a run, in seconds.

    Attributes:
        trains: until all three trained again.
        gained: until they were beyond where they had been, since they go back to a checkpoint.
    """

    trains: float
    gained: float

    def __str__(self) -> str:
        return f"trains again {self.trains:.1f} s after, beyond where it was {self.gained:.1f} s"


class Outages:
    """What happens to one run, and how long it takes to go on."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.faults = deployment, Faults(deployment)

    def began(self) -> Point:
        """Where a run is, once all train."""
        begin = time.monotonic()
        while (point := Point.of(self.deployment.status())) is None:
            assert time.monotonic() < begin + WITHIN_S, "not all three train"
            time.sleep(LOOK_EVERY_S)
        return point

    def goes_on(self, since: float, done: Point) -> Gap:
        """From a moment, and a point before it."""
        trains = None
        while True:
            point = Point.of(self.deployment.status())
            now = time.monotonic() - since
            if point is not None and point.since != done.since:
                trains = now if trains is None else trains
                if point.least > done.furthest:
                    return Gap(trains, now)
            assert now < WITHIN_S, f"does not go on: {point}"
            time.sleep(LOOK_EVERY_S)

    def restarts(self) -> dict[str, int]:
        """How often the container of each pod was started again."""
        return {party: int(one["restarts"]) for party, one in self.deployment.status().items()}

    def kill_pod(self, party: str) -> Gap:
        """A pod that is gone at once."""
        done, since = self.began(), time.monotonic()
        self.faults.kill_pod(party, 0)
        return self.goes_on(since, done)

    def kill_process(self, party: str) -> Gap:
        """A process that is killed in its container, which Kubernetes starts again: at once, and
        after ten, twenty, forty seconds when it happens again."""
        done, since = self.began(), time.monotonic()
        self.faults.kill_process(party, 0)
        return self.goes_on(since, done)

    def cut(self, party: str, seconds: float) -> Gap:
        """A network that loses all, from its end."""
        done = self.began()
        self.faults.cut_off(party, seconds)
        return self.goes_on(time.monotonic(), done)

    def restart_node(self) -> Gap:
        """A node that starts again, from when its API answers."""
        done = self.began()
        self.faults.restart_node("", 0)
        return self.goes_on(time.monotonic(), done)


def begun(cluster: Cluster, namespace: str, room: Path) -> Deployment:
    """A run that has been installed."""
    room.mkdir()
    values = plain_values(cluster, namespace, example_job() | {"training": TRAINING})
    deployment = Deployment(cluster, room, values)
    deployment.put_keys()
    deployment.put_tables()
    deployment.deployer("apply", "--no-wait")
    return deployment


def model(deployment: Deployment) -> Object:
    """Of a run that ends."""
    deployment.wait_until_done(3600)
    return received(deployment.model())


def say(what: str, gap: Gap) -> None:
    """At once."""
    print(f"{what}: {gap}", flush=True)


def main() -> int:
    """Run; say how long each outage kept the run; 1 where the model is another one."""
    words = argparse.ArgumentParser(description="One run on Kubernetes, and what befalls it.")
    words.add_argument("--kills", type=int, default=4, help="of one pod, in a row")
    words.add_argument("--processes", type=int, default=2, help="killed in one container, in a row")
    words.add_argument("--cuts", type=float, nargs="*", default=[150.0, 600.0], help="seconds")
    said = words.parse_args()
    run("docker", "build", "--tag", IMAGE, ROOT, timeout=1800)
    with tempfile.TemporaryDirectory() as made:
        room = Path(made)
        with kind_cluster(room / "kubeconfig", IMAGE) as cluster:
            with cluster.namespace() as namespace:
                undisturbed = model(begun(cluster, namespace, room / "undisturbed"))
            with cluster.namespace() as namespace:
                deployment = begun(cluster, namespace, room / "disturbed")
                outages = Outages(deployment)
                outages.began()
                for number in range(said.kills):
                    say(f"kill {number + 1} of one pod", outages.kill_pod("bob"))
                for number in range(said.processes):
                    say(f"kill {number + 1} of a process", outages.kill_process("alice"))
                for party, seconds in zip(PARTIES, said.cuts, strict=False):
                    say(f"cut of {party} for {seconds:.0f} s", outages.cut(party, seconds))
                    print(f"  restarts: {outages.restarts()}", flush=True)
                say("restart of the node", outages.restart_node())
                off = distance(model(deployment), undisturbed)
    print(f"weights within {off:.1e} of the undisturbed run's")
    return 0 if off < ROUNDING else 1


if __name__ == "__main__":
    sys.exit(main())
