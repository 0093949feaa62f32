"""``python -m tests.kind.faults``: runs on a cluster of their own, with faults drawn from seeds.

python -m tests.kind.faults --runs 30
python -m tests.kind.faults --seed 17
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.faults.runs import ROUNDING
from tests.harness.plaintext import distance, received
from tests.kind.cluster import PARTIES, ROOT, Cluster, Deployment, kind_cluster, run
from tests.kind.conftest import IMAGE, example_job, plain_values

TRAINING = {"epochs": 1_000, "batch_size": 128, "learning_rate": 0.01, "order_seed": 18}
"""Some tens of seconds of mini-batches: long enough for three faults."""

WITHIN_S = 600.0


class Faults:
    """What can be done to a deployment at work. Each lasts ``seconds`` where it lasts at all."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.cluster = deployment, deployment.cluster
        self.node = str(self.cluster.context).removeprefix("kind-") + "-control-plane"

    def on_node(self, *words: str) -> str:
        return run("docker", "exec", self.node, *words).stdout.strip()

    def _pod(self, party: str) -> dict[str, Any]:
        end = time.monotonic() + WITHIN_S
        while True:
            found = self.deployment.pods()[party]
            states = (found or {}).get("status", {}).get("containerStatuses", [])
            if found and states and "running" in states[0]["state"]:
                return found
            assert time.monotonic() < end, f"{party} does not run"
            time.sleep(1)

    def process(self, party: str) -> str:
        """The party's process as the node numbers it."""
        _, _, container = self._pod(party)["status"]["containerStatuses"][0][
            "containerID"
        ].partition("://")
        # Of the node's tools the one that every containerd has.
        tasks = self.on_node("ctr", "--namespace", "k8s.io", "tasks", "list").splitlines()
        (process,) = (words[1] for words in map(str.split, tasks) if words[0] == container)
        return process

    def _delete(self, party: str, *words: str) -> None:
        pod, namespace = self.deployment.pod(party), self.deployment.namespace(party)
        self.cluster.kubectl("delete", "pod", pod, "--namespace", namespace, *words)

    def delete(self, party: str, seconds: float) -> None:
        """As a drain or an upgrade ends a pod."""
        self._delete(party, "--wait=false")

    def kill_pod(self, party: str, seconds: float) -> None:
        """As the API server forgets a pod of a lost node."""
        self._delete(party, "--grace-period=0", "--force")

    def kill_process(self, party: str, seconds: float) -> None:
        """As the kernel ends a process for want of memory."""
        self.on_node("kill", "-9", self.process(party))

    def stop_process(self, party: str, seconds: float) -> None:
        """A process that does not get to run."""
        process = self.process(party)
        self.on_node("kill", "-STOP", process)
        time.sleep(seconds)
        self.on_node("sh", "-c", f"kill -CONT {process} || true")

    def cut_off(self, party: str, seconds: float) -> None:
        """A network that loses whatever a pod sends or is sent."""
        address = self._pod(party)["status"]["podIP"]
        ways = [(way, address) for way in ("--source", "--destination")]
        for way, of in ways:
            self.on_node("iptables", "--insert", "FORWARD", way, of, "--jump", "DROP")
        time.sleep(seconds)
        for way, of in ways:
            self.on_node("iptables", "--delete", "FORWARD", way, of, "--jump", "DROP")

    def lose_volume(self, party: str, seconds: float) -> None:
        """A disk that is gone, with the pod that it was of."""
        claim = f"state-{self.deployment.name}-{party}-0"
        namespace = self.deployment.namespace(party)
        self.cluster.kubectl("delete", "pvc", claim, "--namespace", namespace, "--wait=false")
        self._delete(party, "--wait=false")

    def pause_node(self, party: str, seconds: float) -> None:
        """A machine that stands still, with all three on it."""
        run("docker", "pause", self.node)
        time.sleep(seconds)
        run("docker", "unpause", self.node)

    def restart_node(self, party: str, seconds: float) -> None:
        """A machine that is switched off and on again, with all three on it."""
        run("docker", "restart", "--time", "1", self.node)
        end = time.monotonic() + WITHIN_S
        while self.cluster.kubectl("get", "nodes", check=False).returncode:
            assert time.monotonic() < end, "the API server does not come back"
            time.sleep(1)

    ALL = (
        *(delete, kill_pod, kill_process, kill_process, stop_process),
        *(cut_off, cut_off, lose_volume, pause_node, restart_node),
    )


def at_work(found: dict[str, dict[str, Any]]) -> bool:
    """Whether all train, or are beyond that."""
    return all(one["phase"] in ("running", "done") for one in found.values())


def faulty(cluster: Cluster, directory: Path, seed: int | None) -> tuple[dict[str, float], str]:
    """A run with the faults of a seed, or without any; its weights, and what happened."""
    directory.mkdir()
    happened = []
    with cluster.namespace() as namespace:
        values = plain_values(cluster, namespace, example_job() | {"training": TRAINING})
        deployment = Deployment(cluster, directory, values)
        deployment.put_keys()
        deployment.put_tables()
        deployment.deployer("apply", "--no-wait")
        if seed is not None:
            chance, faults = random.Random(seed), Faults(deployment)
            for _ in range(chance.randint(1, 3)):
                fault: Callable[[Faults, str, float], None] = chance.choice(Faults.ALL)
                party, seconds = chance.choice(PARTIES), chance.choice((1.0, 5.0, 15.0))
                pause = chance.uniform(0, 8)
                deployment.wait(at_work, WITHIN_S)
                time.sleep(pause)
                if any(one["phase"] == "done" for one in deployment.status().values()):
                    break  # what is lost now is a result, and no run brings it back
                fault(faults, party, seconds)
                happened.append(f"{fault.__name__} of {party}, {seconds:.0f} s")
        found = deployment.wait_until_done(WITHIN_S)
        steps = {one["own"]["step"] for one in found.values()}
        assert len(steps) == 1, f"steps: {steps}"
        return received(deployment.model()), "; ".join(happened)


def main() -> int:
    """Run; say what each came to; 1 where one did not end as it must."""
    words = argparse.ArgumentParser(description="Runs on Kubernetes with faults.")
    words.add_argument("--runs", type=int, default=30)
    words.add_argument("--first", type=int, default=1, help="the first seed")
    words.add_argument("--seed", type=int, help="this seed alone")
    said = words.parse_args()
    seeds = [said.seed] if said.seed else range(said.first, said.first + said.runs)
    failed = []
    run("docker", "build", "--tag", IMAGE, ROOT, timeout=1800)
    with tempfile.TemporaryDirectory() as made:
        room = Path(made)
        own: AbstractContextManager[Cluster] = kind_cluster(room / "kubeconfig", IMAGE)
        with own as cluster:
            undisturbed, _ = faulty(cluster, room / "undisturbed", None)
            for seed in seeds:
                begin = time.monotonic()
                try:
                    weights, happened = faulty(cluster, room / str(seed), seed)
                    off = distance(weights, undisturbed)
                    assert off < ROUNDING, f"weights off by {off:.1e}"
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    failed.append(seed)
                    print(f"seed {seed}: FAILED {type(error).__name__}: {error}", flush=True)
                    continue
                seconds = time.monotonic() - begin
                print(
                    f"seed {seed}: {seconds:.0f} s, weights within {off:.1e}: {happened}",
                    flush=True,
                )
    print(f"{len(seeds)} runs; failed: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
