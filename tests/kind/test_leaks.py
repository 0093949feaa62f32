"""Planted values show nowhere in the cluster but in the Secrets of whom they belong to."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from party.agreement.job import Job
from tests.attacks.canaries import (
    TRAINING,
    Canary,
    Search,
    of_features,
    of_key,
    of_labels,
    of_model,
    orders_of,
    plant_tables,
    sightings,
)
from tests.harness.processes import ROWS
from tests.kind.cluster import CHART, PARTIES, Cluster, Deployment
from tests.kind.conftest import example_job, plain_values

pytestmark = pytest.mark.drawn

WORD = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")
"""What may be base64."""

MOMENTS = ("/state/output/model.json", "/state/output/columns.json")
"""Alice's own files, which have the means and scales of her columns."""

READ_ALL = """
import os, sys
for top in sys.argv[1:]:
    for folder, _, files in os.walk(top):
        for name in files:
            try:
                content = open(os.path.join(folder, name), "rb").read()
            except OSError:
                continue
            print(os.path.join(folder, name), content.hex(), flush=True)
"""
"""Prints every file below some folders that the party's user can read."""


def plant(deployment: Deployment, room: Path) -> list[Canary]:
    """Tables and keys that are easily recognised, into the Secrets where they belong."""
    features, labels = plant_tables(room)
    deployment.document["job"] |= {
        "rows": ROWS,
        "features": ["age", "amount"],
        "label": "fraud",
        "training": TRAINING,
    }
    orders = orders_of(Job.model_validate_json(json.dumps(deployment.document["job"])))
    keys = deployment.make_keys()
    for party in PARTIES:
        deployment.deployer("certs put", party, keys / party)
    deployment.put_tables(room)
    return [
        *of_features(features, orders),
        *of_labels(labels, orders),
        *(one for p in PARTIES for one in of_key(p, (keys / p / "tls.key").read_bytes())),
    ]


@dataclass(frozen=True)
class Planted:
    """A job that is done, and what was planted in it; its model apart from the rest."""

    deployment: Deployment
    canaries: list[Canary]
    weights: list[Canary]

    @cached_property
    def sought(self) -> Search:
        """For all of it."""
        return Search(self.canaries + self.weights)


@pytest.fixture(scope="module", params=["deployer", "helm"])
def planted(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planted]:
    """All three parties in one namespace, done; by helm in two revisions."""
    with cluster.namespace() as namespace:
        room = tmp_path_factory.mktemp("planted")
        deployment = Deployment(cluster, room, plain_values(cluster, namespace, example_job()))
        canaries = plant(deployment, room)
        if request.param == "helm":
            helm(deployment, "install")
            deployment.document["terminationGracePeriodSeconds"] = 6
            helm(deployment, "upgrade")
            deployment.wait_until_done()
        else:
            deployment.deployer("apply", "--timeout", "240")
        yield Planted(deployment, canaries, list(of_model(deployment.model())))


def helm(deployment: Deployment, command: str) -> None:
    words: list[str | Path] = [command, deployment.name, CHART, "--values", deployment.values]
    deployment.cluster.helm(*words, "--namespace", deployment.document["namespace"])


def opened(content: bytes) -> Iterator[bytes]:
    """What is in it, and in whatever is packed in that, as base64 or by gzip, however often."""
    yield content
    if content[:2] == b"\x1f\x8b":
        with contextlib.suppress(zlib.error):  # it only looks like it
            yield from opened(zlib.decompressobj(wbits=31).decompress(content))
    for word in WORD.findall(content):
        yield from opened(base64.b64decode(word[: len(word) // 4 * 4]))


def test_what_is_packed_is_opened() -> None:
    """As helm keeps a release, within a Secret, and with a Secret of a table in the release."""
    table = base64.b64encode(gzip.compress(b"a planted value"))
    release = json.dumps({"manifest": f"kind: Secret\ndata:\n  part-000: {table.decode()}\n"})
    packed = base64.b64encode(base64.b64encode(gzip.compress(release.encode())))
    assert b"a planted value" in b"\n".join(opened(packed))


def test_planted_values_are_in_their_owners_secrets_and_in_no_other_object(
    planted: Planted,
) -> None:
    deployment = planted.deployment
    cluster, namespace = deployment.cluster, deployment.document["namespace"]
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").stdout
    words = ["get", ",".join(kinds.split()), f"--namespace={namespace}", "--ignore-not-found"]
    objects = json.loads(cluster.kubectl(*words, "--output=json").stdout)["items"]
    assert {"Pod", "Secret", "ConfigMap", "Event"} <= {each["kind"] for each in objects}
    in_secrets = set()
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        data = each.pop("data", {}) if each["kind"] == "Secret" else {}
        for content in opened(json.dumps(each).encode()):
            assert sightings(name, content, planted.sought) == []
        for content in opened("\n".join(data.values()).encode()):
            for one in planted.sought.found(content):
                assert each["metadata"]["name"].startswith(f"{deployment.name}-{one.owner}-")
                in_secrets.add(one.owner)
    assert in_secrets == set(PARTIES), "the search finds what is there"


@pytest.mark.parametrize("planted", ["helm"], indirect=True)
def test_what_helm_keeps_of_each_revision_was_read(planted: Planted) -> None:
    """So that it is known to hold nothing."""
    deployment = planted.deployment
    secrets = deployment.cluster.get("secrets", deployment.document["namespace"])
    kept = [one["data"] for one in secrets if one["type"] == "helm.sh/release.v1"]
    assert len(kept) == 2
    for data in kept:
        content = b"\n".join(opened(data["release"].encode()))
        assert b"kind: StatefulSet" in content
        assert sightings("a release", content, planted.sought) == []


def test_no_log_has_a_planted_value(planted: Planted) -> None:
    deployment = planted.deployment
    for party in PARTIES:
        words = ["logs", deployment.pod(party), "--all-containers"]
        words += [f"--namespace={deployment.namespace(party)}"]
        log = deployment.cluster.kubectl(*words).stdout
        assert log
        assert sightings(f"{party}'s log", log.encode(), planted.sought) == []


def test_a_pods_files_hold_nothing_of_the_others(planted: Planted) -> None:
    """And what Alice's volume holds of her own is the model, and the moments of her columns."""
    deployment = planted.deployment
    of_model_file = Search(one for one in planted.canaries if "moment" not in one.what)
    for party in PARTIES:
        command = ["python", "-c", READ_ALL, "/state", "/tmp", "/job", "/dev/shm"]
        place = deployment.pod(party), deployment.namespace(party)
        lines = deployment.cluster.inside(*place, *command).stdout
        files = dict(line.split(" ", 1) for line in lines.splitlines())
        assert "/state/output/status.json" in files
        for name, content in files.items():
            own = party == "alice" and name in MOMENTS
            sought = of_model_file if own else planted.sought
            assert sightings(f"{party}: {name}", bytes.fromhex(content), sought) == []


def test_the_kernel_shows_nothing_of_a_party_to_its_own_user(planted: Planted) -> None:
    deployment = planted.deployment
    for party in PARTIES:
        place = deployment.pod(party), deployment.namespace(party)
        command = deployment.cluster.inside(*place, "cat", "/proc/1/cmdline").stdout
        assert "--output=/state/output" in command
        assert sightings("arguments", command.encode(), planted.sought) == []
        for name in ("environ", "maps", "mem"):
            refused = deployment.cluster.inside(*place, "cat", f"/proc/1/{name}")
            assert refused.returncode != 0 and "Permission denied" in refused.stderr
