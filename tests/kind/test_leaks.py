"""Planted values show nowhere in the cluster but in the Secrets of whom they belong to."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.attacks.canaries import Canary, of_features, of_key, of_labels, of_model, sightings
from tests.kind.cluster import PARTIES, Cluster, Deployment
from tests.kind.conftest import example_job, plain_values
from tests.runtime.scene import ROWS

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
    chance = random.Random(7)
    features = [[chance.uniform(1000, 9000) for _ in range(2)] for _ in range(ROWS)]
    labels = [chance.randrange(2) for _ in range(ROWS)]
    cells = "\n".join(",".join(f"{cell:.6f}" for cell in row) for row in features)
    (room / "alice.csv").write_text(f"age,amount\n{cells}\n")
    (room / "bob.csv").write_text("\n".join(["fraud", *map(str, labels)]) + "\n")
    deployment.document["job"] |= {
        "rows": ROWS,
        "features": ["age", "amount"],
        "label": "fraud",
        "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.125},
    }
    keys = deployment.make_keys()
    for party in PARTIES:
        deployment.deployer("certs put", party, keys / party)
    deployment.put_tables(room)
    return [
        *of_features(np.array(features)),
        *of_labels(labels),
        *(one for p in PARTIES for one in of_key(p, (keys / p / "tls.key").read_bytes())),
    ]


@dataclass(frozen=True)
class Planted:
    """A job that is done, and what was planted in it; its model apart from the rest."""

    deployment: Deployment
    canaries: list[Canary]
    weights: list[Canary]


@pytest.fixture(scope="module")
def planted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """All three parties in one namespace, done."""
    with cluster.namespace() as namespace:
        room = tmp_path_factory.mktemp("planted")
        deployment = Deployment(cluster, room, plain_values(cluster, namespace, example_job()))
        canaries = plant(deployment, room)
        deployment.deployer("apply", "--timeout", "240")
        yield Planted(deployment, canaries, list(of_model(deployment.model())))


def opened(text: str) -> bytes:
    """A Secret's value, unpacked where it is packed."""
    raw = base64.b64decode(text)
    return raw + (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else b"")


def test_planted_values_are_in_their_owners_secrets_and_in_no_other_object(
    planted: Planted,
) -> None:
    deployment, canaries = planted.deployment, planted.canaries + planted.weights
    cluster, namespace = deployment.cluster, deployment.document["namespace"]
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").stdout
    words = ["get", ",".join(kinds.split()), f"--namespace={namespace}", "--ignore-not-found"]
    objects = json.loads(cluster.kubectl(*words, "--output=json").stdout)["items"]
    assert {"Pod", "Secret", "ConfigMap", "Event"} <= {each["kind"] for each in objects}
    in_secrets = set()
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        data = each.pop("data", {}) if each["kind"] == "Secret" else {}
        assert sightings(name, json.dumps(each).encode(), canaries) == []
        for value in data.values():
            content = opened(value)
            for one in canaries:
                if one.pattern in content:
                    assert each["metadata"]["name"].startswith(f"{deployment.name}-{one.owner}-")
                    in_secrets.add(one.owner)
    assert in_secrets == set(PARTIES), "the search finds what is there"


def test_no_log_has_a_planted_value(planted: Planted) -> None:
    deployment = planted.deployment
    for party in PARTIES:
        words = ["logs", deployment.pod(party), "--all-containers"]
        words += [f"--namespace={deployment.namespace(party)}"]
        log = deployment.cluster.kubectl(*words).stdout
        assert log
        assert sightings(f"{party}'s log", log.encode(), planted.canaries + planted.weights) == []


def test_a_pods_files_hold_nothing_of_the_others(planted: Planted) -> None:
    """And what Alice's volume holds of her own is the model, with its moments."""
    deployment = planted.deployment
    for party in PARTIES:
        command = ["python", "-c", READ_ALL, "/state", "/tmp", "/job", "/dev/shm"]
        place = deployment.pod(party), deployment.namespace(party)
        lines = deployment.cluster.inside(*place, *command).stdout
        files = dict(line.split(" ", 1) for line in lines.splitlines())
        assert "/state/output/status.json" in files
        for name, content in files.items():
            model = party == "alice" and name == "/state/output/model.json"
            sought = [one for one in planted.canaries if not (model and "moment" in one.what)]
            sought += [] if model else planted.weights
            assert sightings(f"{party}: {name}", bytes.fromhex(content), sought) == []


def test_the_kernel_shows_nothing_of_a_party_to_its_own_user(planted: Planted) -> None:
    deployment = planted.deployment
    for party in PARTIES:
        place = deployment.pod(party), deployment.namespace(party)
        command = deployment.cluster.inside(*place, "cat", "/proc/1/cmdline").stdout
        assert "--output=/state/output" in command
        assert sightings("arguments", command.encode(), planted.canaries) == []
        for name in ("environ", "maps", "mem"):
            refused = deployment.cluster.inside(*place, "cat", f"/proc/1/{name}")
            assert refused.returncode != 0 and "Permission denied" in refused.stderr
