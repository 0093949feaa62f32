"""``python -m tests.kind.faults``: runs on a cluster of their own, with faults drawn from seeds.

python -m tests.kind.faults --runs 30
python -m tests.kind.faults --seed 17
python -m tests.kind.faults --runs 5 --kinds drain upgrade fill_disk

The volumes of its cluster are on a small disk of their own, which can be filled; it is a file in
the node, so that it outlives a restart of it.
"""

from __future__ import annotations

import argparse
import random
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.runs import ROUNDING
from tests.harness.plaintext import distance, received
from tests.kind.cluster import CHART, PARTIES, ROOT, Cluster, Deployment, kind_cluster, run
from tests.kind.conftest import IMAGE, example_job, plain_values

TRAINING = {"epochs": 1_000, "batch_size": 128, "learning_rate": 0.01, "order_seed": 18}
"""Some tens of seconds of mini-batches: long enough for three faults."""

WITHIN_S = 600.0

VOLUMES = "/var/local-path-provisioner"
"""Where a kind node has the volumes of its pods."""

_SMALL_DISK = f"""
truncate -s 64M /kind/volumes.img
mkfs.ext4 -q /kind/volumes.img
mkdir -p {VOLUMES}
echo /kind/volumes.img {VOLUMES} ext4 loop 0 0 >> /etc/fstab
mount {VOLUMES}
"""


class Faults:
    """What can be done to a deployment at work. Each lasts ``seconds`` where it lasts at all, and
    may say what was seen of it."""

    def __init__(self, deployment: Deployment, by_helm: bool = False) -> None:
        self.deployment, self.cluster, self.by_helm = deployment, deployment.cluster, by_helm
        self.node = node_of(self.cluster)

    def on_node(self, *words: str, check: bool = True) -> str:
        return run("docker", "exec", self.node, *words, check=check).stdout.strip()

    def metrics(self, party: str) -> dict[str, float]:
        """What a party's probes say; nothing while they do not answer."""
        address = self._pod(party)["status"]["podIP"]
        url = f"http://{address}:8080/metrics"
        text = self.on_node("curl", "--silent", "--max-time", "5", url, check=False)
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def _comes(self, party: str, so: Callable[[dict[str, float]], bool]) -> bool:
        """Whether something is so by a party's probes before it trains no more."""
        looks_idle = 0
        while looks_idle < 20:
            found = self.metrics(party)
            if so(found):
                return True
            looks_idle = 0 if 'party_phase{phase="running"}' in found else looks_idle + 1
            time.sleep(0.5)
        return False

    def put(self) -> None:
        """Install the deployment, or change it to its values."""
        if self.by_helm:
            words = ("--values", self.deployment.values, "--namespace")
            namespace = self.deployment.document["namespace"]
            name = self.deployment.name
            self.cluster.helm("upgrade", "--install", name, CHART, *words, namespace)
        else:  # what no checkpoint is written of yet may begin again
            self.deployment.deployer("apply", "--no-wait", "--yes")

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

    def drain(self, party: str, seconds: float) -> None:
        """The node is drained by somebody who does not heed the budgets of those at work. All three
        go, and the cluster's own DNS and provisioner: there is no other node for them."""
        self.cluster.kubectl(
            *("drain", self.node, "--ignore-daemonsets", "--delete-emptydir-data"),
            *("--force", "--disable-eviction"),
        )
        time.sleep(seconds)
        self.cluster.kubectl("uncordon", self.node)

    def upgrade(self, party: str, seconds: float) -> str:
        """The same job with another label and other resources: all three pods are replaced."""
        labels = {"changed": f"at-{secrets.token_hex(3)}"}
        for one in PARTIES:
            settings = self.deployment.document[one]
            settings["labels"] = labels
            settings["resources"] = {"requests": {"cpu": "60m", "memory": "128Mi"}}
        self.put()
        end = time.monotonic() + WITHIN_S
        while not all(
            pod and labels.items() <= pod["metadata"]["labels"].items()
            for pod in self.deployment.pods().values()
        ):
            assert time.monotonic() < end, "the pods are not replaced"
            time.sleep(1)
        words: list[str] = []  # of the new process, and not the old one's status
        while not words and self.deployment.status()[party]["phase"] != "done":
            assert time.monotonic() < end, "the run does not go on"
            log = self.deployment.deployer("logs", "--party", party, check=False).stdout
            words = re.findall(r"go on at step \d+|all begin again", log)
        by = "helm" if self.by_helm else "deployer"
        return f"by {by}, {', '.join(words) or 'the run had ended'}"

    def fill_disk(self, party: str, seconds: float) -> str:
        """A disk that takes nothing more, with the volumes of all three on it."""
        full, seen = f"{VOLUMES}/full", {}
        self.on_node("sh", "-c", f"cat /dev/zero > {full} 2> /dev/null || true")
        try:
            seen["its metric"] = self._comes(party, lambda said: said.get("party_disk_full") == 1)
            seen["its status"] = self._comes(
                party, lambda _: "its volume is full" in self.deployment.status()[party]["says"]
            )
            before = self.metrics(party).get("party_step", 0)
            seen["steps meanwhile"] = self._comes(
                party, lambda said: said.get("party_step", 0) > before
            )
            time.sleep(seconds)
        finally:
            self.on_node("rm", full)
        room = datetime.now(UTC).timestamp()
        seen["checkpoints after"] = self._comes(
            party, lambda said: said.get("party_checkpoint_timestamp_seconds", 0) > room
        )
        return ", ".join(name if came else f"no {name}" for name, came in seen.items())

    ALL = (
        *(delete, kill_pod, kill_process, kill_process, stop_process),
        *(cut_off, cut_off, lose_volume, pause_node, restart_node),
        *(drain, upgrade, fill_disk),
    )


def node_of(cluster: Cluster) -> str:
    """The one node of a kind cluster."""
    return str(cluster.context).removeprefix("kind-") + "-control-plane"


def at_work(found: dict[str, dict[str, Any]]) -> bool:
    """Whether all train, or are beyond that."""
    return all(one["phase"] in ("running", "done") for one in found.values())


Fault = Callable[[Faults, str, float], str | None]


def faulty(
    cluster: Cluster, directory: Path, seed: int | None, kinds: Sequence[Fault] = Faults.ALL
) -> tuple[dict[str, float], str]:
    """A run with the faults of a seed, or without any; its weights, and what happened. One seed in
    two is installed by helm."""
    directory.mkdir()
    happened = []
    with cluster.namespace() as namespace:
        values = plain_values(cluster, namespace, example_job() | {"training": TRAINING})
        deployment = Deployment(cluster, directory, values)
        deployment.put_keys()
        deployment.put_tables()
        faults = Faults(deployment, by_helm=seed is not None and seed % 2 == 0)
        faults.put()
        if seed is not None:
            chance = random.Random(seed)
            for _ in range(chance.randint(1, 3)):
                fault = chance.choice(kinds)
                party, seconds = chance.choice(PARTIES), chance.choice((1.0, 5.0, 15.0))
                pause = chance.uniform(0, 8)
                deployment.wait(at_work, WITHIN_S)
                time.sleep(pause)
                if any(one["phase"] == "done" for one in deployment.status().values()):
                    break  # what is lost now is a result, and no run brings it back
                seen = fault(faults, party, seconds)
                told = f" ({seen})" if seen else ""
                happened.append(f"{fault.__name__} of {party}, {seconds:.0f} s{told}")
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
    names = list(dict.fromkeys(one.__name__ for one in Faults.ALL))
    words.add_argument("--kinds", nargs="+", choices=names, default=names, help="of faults")
    said = words.parse_args()
    kinds = [one for one in Faults.ALL if one.__name__ in said.kinds]
    seeds = [said.seed] if said.seed else range(said.first, said.first + said.runs)
    failed = []
    run("docker", "build", "--tag", IMAGE, ROOT, timeout=1800)
    with tempfile.TemporaryDirectory() as made:
        room = Path(made)
        own: AbstractContextManager[Cluster] = kind_cluster(room / "kubeconfig", IMAGE)
        with own as cluster:
            run("docker", "exec", node_of(cluster), "sh", "-ec", _SMALL_DISK)
            undisturbed, _ = faulty(cluster, room / "undisturbed", None)
            for seed in seeds:
                begin = time.monotonic()
                try:
                    weights, happened = faulty(cluster, room / str(seed), seed, kinds)
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
