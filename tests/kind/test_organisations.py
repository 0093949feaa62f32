"""Three organisations on one cluster, each in its own namespace, with rights over nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.kind.cluster import EXAMPLE, PARTIES, ROOT, Cluster, Deployment
from tests.kind.conftest import example_job, plain_values

pytestmark = pytest.mark.in_turn

ROLE = ROOT / "examples" / "kubernetes" / "operator-role.yaml"


@pytest.fixture
def organisations(cluster: Cluster, tmp_path: Path) -> Iterator[Deployment]:
    """The deployment, each party in its own namespace and reached as its own restricted user."""
    with (
        cluster.namespace() as alice,
        cluster.namespace() as bob,
        cluster.namespace() as server,
    ):
        namespaces = dict(zip(PARTIES, (alice, bob, server), strict=True))
        document = plain_values(cluster, alice, example_job())
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
        kubeconfig.chmod(0o600)
        restricted = Cluster(kubeconfig, cluster.image)
        for party, namespace in namespaces.items():
            document[party]["namespace"] = namespace
            user_of(cluster, namespace, restricted, party)
        contexts = {party: f"as-{party}" for party in PARTIES}
        yield Deployment(restricted, tmp_path, document, contexts)


def user_of(admin: Cluster, namespace: str, config: Cluster, party: str) -> None:
    """A user with the documented role in one namespace, and a context to be that user."""
    admin.kubectl("create", "serviceaccount", "operator", "--namespace", namespace)
    admin.kubectl("apply", "--namespace", namespace, "--filename", str(ROLE))
    admin.kubectl(
        *("create", "rolebinding", "operator", "--namespace", namespace),
        *("--role=tfe-kit-operator", f"--serviceaccount={namespace}:operator"),
    )
    token = admin.kubectl("create", "token", "operator", "--namespace", namespace).stdout.strip()
    current = yaml.safe_load(config.kubectl("config", "view", "--minify", "--output=yaml").stdout)
    where = current["contexts"][0]["context"]["cluster"]
    config.kubectl("config", "set-credentials", party, f"--token={token}")
    config.kubectl("config", "set-context", f"as-{party}", f"--cluster={where}", f"--user={party}")


def test_each_installs_its_own_and_reads_nothing_of_the_others(
    organisations: Deployment,
) -> None:
    keys = organisations.make_keys()
    for party in PARTIES:
        organisations.deployer("certs put", party, keys / party)
        if party != "server":
            organisations.deployer("data put", party, EXAMPLE / f"{party}.csv")
        organisations.deployer("apply", "--no-wait", "--party", party)
    organisations.wait_until_done()
    assert len(organisations.model()["weights"]) == 16

    for party in PARTIES:
        user = Cluster(organisations.cluster.kubeconfig, organisations.cluster.image, f"as-{party}")
        own = organisations.namespace(party)
        assert user.kubectl("get", "pods", "--namespace", own).returncode == 0
        for other in set(PARTIES) - {party}:
            their = organisations.namespace(other)
            pod = organisations.pod(other)
            for words in (
                ("get", "secrets"),
                ("get", "secret", f"fraud-{other}-keys"),
                ("get", "configmaps"),
                ("get", "pods"),
                ("logs", pod),
                ("exec", pod, "--", "cat", "/keys/tls.key"),
                ("exec", pod, "--", "cat", "/state/output/status.json"),
                ("port-forward", pod, "18080:8080"),
                ("delete", "pod", pod),
                ("debug", pod, "--image=busybox:1"),
                ("create", "configmap", "mine"),
            ):
                tried = user.kubectl(*words[:2], "--namespace", their, *words[2:], check=False)
                assert tried.returncode != 0, f"{party} could {' '.join(words)} of {other}"
                assert "forbidden" in tried.stderr.lower(), tried.stderr
        for kind in ("nodes", "persistentvolumes"):
            tried = user.kubectl("get", kind, check=False)
            assert "forbidden" in tried.stderr.lower()


def test_the_doctor_says_what_a_restricted_user_lacks(
    organisations: Deployment,
) -> None:
    restricted = Cluster(organisations.cluster.kubeconfig, organisations.cluster.image)
    swapped = {"alice": "as-bob", "bob": "as-bob", "server": "as-bob"}
    lost = Deployment(restricted, organisations.room, organisations.document, swapped)
    tried = lost.deployer("doctor", "--no-probes", check=False)
    assert tried.returncode == 1
    lines = [line for line in tried.stdout.splitlines() if "rights" in line]
    assert lines[0].startswith("wrong") and "alice" in lines[0]
    assert lines[1].startswith("ok") and "bob" in lines[1]
