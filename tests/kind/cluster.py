"""A Kubernetes cluster for tests, and what is done with it: the words of the tests."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from deployer.cluster.installed import locate
from deployer.commands.status import check_there, observe_all

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
EXAMPLE = ROOT / "examples" / "fraud"
PARTIES = ("alice", "bob", "server")

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Labels of a namespace that takes no pod but a restricted one."""

Object = dict[str, Any]
Run = subprocess.CompletedProcess[str]


def require(*programs: str) -> None:
    """Skip where a program is missing; fail in CI, where all of them must be there."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        message = f"not on the path: {', '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def run(
    *command: str | Path,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float = 600,
) -> Run:
    """Run a command; show all that it said if it was to succeed and did not."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        input=input,
        env=os.environ | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
    )
    if check and done.returncode:
        said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}".strip()
        pytest.fail(f"{' '.join(words)}: exit code {done.returncode}\n{said}")
    return done


@dataclass(frozen=True)
class Cluster:
    """A cluster with the image in it, as an administrator and as others reach it.

    Attributes:
        kubeconfig: with the contexts of whoever the cluster is reached as.
        image: the kit's image, ``name:tag``, in every node.
        context: the context in use; None for the current one.
    """

    kubeconfig: Path
    image: str
    context: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For programs that are to reach this cluster."""
        return {"KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1", "COLUMNS": "100"}

    def kubectl(self, *words: str, check: bool = True, input: str | None = None) -> Run:
        """Run kubectl."""
        context = ["--context", self.context] if self.context else []
        return run("kubectl", *context, *words, env=self.environment, check=check, input=input)

    def helm(self, *words: str | Path, check: bool = True) -> Run:
        """Run helm."""
        context = ["--kube-context", self.context] if self.context else []
        return run("helm", *context, *words, env=self.environment, check=check)

    def deployer(self, *words: str | Path, check: bool = True, timeout: float = 1200) -> Run:
        """Run the kit's own command, as a user does."""
        program = "import sys; from deployer.cli import main; sys.argv[0] = 'deployer'; main()"
        python = [sys.executable, "-c", program]
        return run(*python, *words, env=self.environment, check=check, timeout=timeout)

    def node_address(self) -> str:
        """An address of its first node."""
        [node, *_] = json.loads(self.kubectl("get", "nodes", "--output=json").stdout)["items"]
        return next(
            str(one["address"])
            for one in node["status"]["addresses"]
            if one["type"] == "InternalIP"
        )

    def get(self, kind: str, namespace: str, name: str = "") -> Any:
        """An object, or all of a kind, as the API has them; None if there is none of the name."""
        words = ["get", kind, *([name] if name else []), "--namespace", namespace]
        done = self.kubectl(*words, "--output", "json", check=False)
        if done.returncode:
            assert "NotFound" in done.stderr, done.stderr
            return None
        found = json.loads(done.stdout)
        return found if name else found["items"]

    def apply(self, *objects: Object) -> None:
        """Put objects there."""
        self.kubectl("apply", "--filename", "-", input=yaml.safe_dump_all(objects))

    @contextmanager
    def namespace(self, labels: Mapping[str, str] = RESTRICTED) -> Iterator[str]:
        """A new namespace, which is removed with all that is in it."""
        name = f"kit-{secrets.token_hex(3)}"
        meta = {"name": name, "labels": dict(labels)}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def pod_runs(self, name: str, namespace: str, *command: str, **labels: str) -> None:
        """A pod that belongs to nobody, with a shell and a network, once it runs."""
        self.apply(bystander(name, namespace, self.image, list(command), labels))
        self.kubectl(
            "wait",
            f"pod/{name}",
            "--namespace",
            namespace,
            "--for=condition=Ready",
            "--timeout=60s",
        )

    def inside(self, pod: str, namespace: str, *command: str) -> Run:
        """Run a command in a pod."""
        return self.kubectl("exec", pod, "--namespace", namespace, "--", *command, check=False)


_ROUTER = ("--namespace", "kube-system", "daemonset/kube-router")


def _routes(cluster: Cluster, family: str) -> None:
    """Tell kube-router, where that is the cluster's network, its family of addresses: other than
    kind's own network it does not find out by itself."""
    if cluster.kubectl("get", *_ROUTER, check=False).returncode:
        return
    services = {"ipv6": "fd00:10:96::/112", "dual": "10.96.0.0/16,fd00:10:96::/112"}
    words = ["--enable-ipv6=true", f"--service-cluster-ip-range={services[family]}"]
    if family == "ipv6":
        words += ["--enable-ipv4=false", "--router-id=10.0.0.1"]
    path = "/spec/template/spec/containers/0/command/-"
    patch = [{"op": "add", "path": path, "value": word} for word in words]
    cluster.kubectl("patch", *_ROUTER, "--type=json", "--patch", json.dumps(patch))
    cluster.kubectl("rollout", "status", *_ROUTER, "--timeout=120s")


@contextmanager
def kind_cluster(kubeconfig: Path, image: str, family: str = "ipv4") -> Iterator[Cluster]:
    """A new kind cluster with an image in it, whose context is added to a kubeconfig and is its
    current one; it goes when the block is left. Its family of addresses: ipv4, ipv6 or dual."""
    name = f"tfe-kit-{secrets.token_hex(3)}"
    made = Cluster(kubeconfig, image, f"kind-{name}")
    node = ["--image", given] if (given := os.environ.get("KIND_NODE_IMAGE")) else []
    create = ("kind", "create", "cluster", "--name", name, "--wait", "180s", "--config", "-")
    config = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"ipFamily": family},
    }
    try:
        run(*create, *node, env=made.environment, input=yaml.safe_dump(config))
        if family != "ipv4":
            _routes(made, family)
        run("kind", "load", "docker-image", image, "--name", name)
        yield made
    finally:
        run("kind", "delete", "cluster", "--name", name, env=made.environment)


def bystander(
    name: str, namespace: str, image: str, command: list[str], labels: Mapping[str, str]
) -> Object:
    """A restricted pod of the kit's image that waits, or does what it is told."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "bystander",
                    "image": image,
                    "command": command or ["sleep", "3600"],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


@dataclass
class Deployment:
    """Three parties, or one, in a cluster: what an operator has in hand.

    Attributes:
        cluster: where it is, or is to be.
        room: a directory of its own, for values and keys.
        document: its values, as in a file.
        contexts: the context of each party, where there are several.
    """

    cluster: Cluster
    room: Path
    document: Object
    contexts: dict[str, str] = field(default_factory=dict)

    @property
    def values(self) -> Path:
        """The values file, as they stand."""
        file = self.room / "values.yaml"
        file.write_text(yaml.safe_dump(self.document, sort_keys=False))
        return file

    def namespace(self, party: str) -> str:
        """Where a party is."""
        return str(self.document.get(party, {}).get("namespace") or self.document["namespace"])

    def pod(self, party: str) -> str:
        """A party's pod."""
        return f"{self.name}-{party}-0"

    @property
    def name(self) -> str:
        """What the names of its objects begin with."""
        return str(self.document.get("name") or self.document["job"]["name"])

    def deployer(self, command: str, *words: str | Path, check: bool = True) -> Run:
        """One of the deployer's commands, on this deployment. ``command`` may be two words."""
        contexts = [f"--context={party}={name}" for party, name in self.contexts.items()]
        return self.cluster.deployer(
            *command.split(), *words, "--values", self.values, *contexts, check=check
        )

    def make_keys(self, days: str = "1") -> Path:
        """New keys of all parties."""
        job = self.room / "job.yaml"
        job.write_text(yaml.safe_dump(self.document["job"], sort_keys=False))
        keys = self.room / f"keys-{secrets.token_hex(3)}"
        self.cluster.deployer("certs", "new", "--job", job, "--output", keys, "--days", days)
        return keys

    def put_keys(self) -> None:
        """Keys into the Secrets of all parties."""
        keys = self.make_keys()
        for party in PARTIES:
            self.deployer("certs put", party, keys / party)

    def put_tables(self, directory: Path = EXAMPLE) -> None:
        """The tables into the Secrets of their parties."""
        for party in ("alice", "bob"):
            self.deployer("data put", party, directory / f"{party}.csv")

    def status(self) -> dict[str, Object]:
        """What each party does, as ``deployer status --json`` has it; without a process for each
        look."""
        contexts = [f"{party}={name}" for party, name in self.contexts.items()]
        with patch.dict(os.environ, self.cluster.environment):
            release = locate([self.values], contexts=contexts)
            check_there(release)
            return {one.party: one.document() for one in observe_all(release.places)}

    def wait(
        self, until: Callable[[dict[str, Object]], bool], timeout: float = 900
    ) -> dict[str, Object]:
        """Look at the parties until something is so; fail with what they say if it never is."""
        deadline = time.monotonic() + timeout
        while not until(found := self.status()):
            if time.monotonic() > deadline:
                said = "\n".join(f"{p}: {s['phase']}: {s['says']}" for p, s in found.items())
                logs = self.deployer("logs", "--tail", "15", check=False).stdout
                pytest.fail(f"still, after {timeout:.0f} seconds:\n{said}\n{logs}")
            time.sleep(2)
        return found

    def wait_until_done(self, timeout: float = 900) -> dict[str, Object]:
        """Until every party is done."""
        return self.wait(
            lambda found: all(one["phase"] == "done" for one in found.values()), timeout
        )

    def wait_for_phase(self, party: str, *phases: str, timeout: float = 600) -> Object:
        """Until a party is in one of these phases."""
        return self.wait(lambda found: found[party]["phase"] in phases, timeout)[party]

    def model(self) -> Object:
        """The model, from the party that it is for."""
        return dict(json.loads(self.deployer("result", "--json").stdout))

    def pods(self) -> dict[str, Object]:
        """The parties' pods."""
        return {
            party: self.cluster.get("pod", self.namespace(party), self.pod(party))
            for party in PARTIES
        }


def weights(model: Object) -> list[float]:
    """Weights and intercept."""
    return [*model["weights"], model["intercept"]]


def left_in(cluster: Cluster, namespace: str) -> set[str]:
    """The names of everything in a namespace, but what Kubernetes itself keeps in each."""
    kinds = cluster.kubectl(
        "api-resources", "--verbs=list", "--namespaced", "--output=name"
    ).stdout.split()
    kinds = [kind for kind in kinds if not kind.startswith(("events", "endpoints"))]
    found = cluster.kubectl(
        "get", ",".join(kinds), "--namespace", namespace, "--output=name", "--ignore-not-found"
    ).stdout.split()
    own = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    return set(found) - own
