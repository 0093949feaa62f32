"""Tables in Secrets: larger than one of them; missing, damaged, another party's; and mended. Tables
on volumes: larger than all of them."""

from __future__ import annotations

import base64
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from tests.kind.cluster import EXAMPLE, Deployment

pytestmark = pytest.mark.in_turn


def write_tables(directory: Path, rows: int, columns: int) -> None:
    """Tables of random numbers, with labels that follow the first column."""
    chance = random.Random(1)
    with (directory / "alice.csv").open("w") as alice, (directory / "bob.csv").open("w") as bob:
        for _ in range(rows):
            cells = [chance.gauss(0, 1) for _ in range(columns)]
            alice.write(",".join(f"{cell:.9f}" for cell in cells) + "\n")
            bob.write(f"{int(cells[0] + chance.gauss(0, 0.5) > 0)}\n")


def test_a_table_of_several_secrets(deployment: Deployment, tmp_path: Path) -> None:
    write_tables(tmp_path, rows=20_000, columns=40)
    deployment.document["job"] |= {
        "rows": 20_000,
        "features": [f"x{number}" for number in range(40)],
        "training": {"epochs": 1, "batch_size": 512, "learning_rate": 0.25},
    }
    deployment.put_keys()
    deployment.put_tables(tmp_path)
    secrets = [
        secret
        for secret in deployment.cluster.get("secrets", deployment.document["namespace"])
        if secret["metadata"]["name"].startswith("fraud-alice-table-")
    ]
    assert len(secrets) >= 3
    deployment.deployer("apply", "--timeout", "240")
    model = deployment.model()
    # The label follows the first feature and no other.
    first, *others = (abs(weight) for weight in model["weights"])
    assert first > 3 * max(others)


def test_a_table_that_no_secrets_hold(deployment: Deployment, tmp_path: Path) -> None:
    """The party waits for it, in a namespace that takes restricted pods alone. Of a million rows
    with ``TFE_KIT_ROWS=1000000``."""
    rows, columns = int(os.environ.get("TFE_KIT_ROWS", "200000")), 30
    draw = np.random.default_rng(1)
    features = np.round(draw.normal(size=(rows, columns)), 4)
    labels = features[:, 0] + draw.normal(0, 0.5, rows) > 0
    bare = csv.WriteOptions(include_header=False)
    names = [f"x{number}" for number in range(columns)]
    csv.write_csv(pa.table(list(features.T), names=names), tmp_path / "alice.csv", bare)
    csv.write_csv(pa.table([labels.astype(int)], names=["y"]), tmp_path / "bob.csv", bare)
    deployment.document["job"] |= {
        "rows": rows,
        "features": names,
        "training": {"epochs": 1, "batch_size": 4096, "learning_rate": 0.25},
    }
    deployment.put_keys()
    deployment.deployer("data put", "bob", tmp_path / "bob.csv")
    refused = deployment.deployer("data put", "alice", tmp_path / "alice.csv", check=False)
    assert refused.returncode == 2 and "alice.tableVolume.size" in refused.stderr
    deployment.document["alice"]["tableVolume"] = {"size": "256Mi"}
    deployment.deployer("apply", "--no-wait")
    deployment.wait(lambda found: "deployer data copy alice" in str(found["alice"]["do"]))

    said = deployment.deployer("data copy", "alice", tmp_path / "alice.csv").stdout
    assert "claim fraud-alice-table" in said and "copied" in said
    deployment.wait_until_done()
    first, *others = (abs(weight) for weight in deployment.model()["weights"])
    assert first > 3 * max(others)
    namespace = deployment.document["namespace"]
    assert deployment.cluster.get("pod", namespace, "fraud-alice-copy") is None
    touched = deployment.cluster.inside("fraud-alice-0", namespace, "touch", "/table/x")
    assert "Read-only file system" in touched.stderr
    again = deployment.deployer("data copy", "alice", tmp_path / "alice.csv").stdout
    assert "unchanged" in again
    deployment.deployer("delete", "--volumes", "--yes")
    # A claim goes when the last pod that has it has gone.
    claim = ("pvc/fraud-alice-table", "--namespace", namespace)
    deployment.cluster.kubectl("wait", *claim, "--for=delete", "--timeout=120s")


def table_secret(deployment: Deployment, party: str) -> dict[str, Any]:
    namespace = deployment.document["namespace"]
    found = deployment.cluster.get("secret", namespace, f"fraud-{party}-table-0")
    assert isinstance(found, dict)
    return found


def replace_data(deployment: Deployment, meta: dict[str, str], files: dict[str, bytes]) -> None:
    """Other contents of a Secret, behind the deployer's back."""
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    changed = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}
    deployment.cluster.kubectl("replace", "--filename", "-", input=json.dumps(changed))


def damaged(deployment: Deployment) -> dict[str, bytes]:
    """Alice's table, in parts, with one bit turned."""
    parts = deployment.room / "parts"
    job = EXAMPLE / "job.yaml"
    deployment.cluster.deployer(
        "data", "split", job, "alice", EXAMPLE / "alice.csv", "--output", parts
    )
    files = {file.name: file.read_bytes() for file in parts.iterdir()}
    content = bytearray(files["part-000"])
    content[len(content) // 2] ^= 1
    return files | {"part-000": bytes(content)}


def test_a_wrong_table_is_a_clear_state_and_is_mended_without_reinstalling(
    deployment: Deployment,
) -> None:
    def says(words: str) -> None:
        def found(status: dict[str, Any]) -> bool:
            return words in str(status["alice"]["says"])

        state = deployment.wait(found)["alice"]
        assert "deployer data put alice" in state["do"]
        log = deployment.deployer("logs", "--party", "alice").stdout
        assert words in log

    def look_at_once() -> None:
        pod, namespace = deployment.pod("alice"), deployment.document["namespace"]
        stamp = f"looked-at={time.time()}"
        deployment.cluster.kubectl(
            "annotate", "pod", pod, stamp, "--overwrite", "--namespace", namespace
        )

    deployment.put_keys()
    deployment.deployer("data put", "bob", EXAMPLE / "bob.csv")
    deployment.deployer("apply", "--no-wait")
    says("holds no table")
    uid = deployment.pods()["alice"]["metadata"]["uid"]

    theirs = table_secret(deployment, "bob")["data"]
    meta = {"name": "fraud-alice-table-0", "namespace": deployment.document["namespace"]}
    deployment.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    replace_data(deployment, meta, {name: base64.b64decode(text) for name, text in theirs.items()})
    look_at_once()
    says("another party's")
    found = json.loads(deployment.deployer("doctor", "--json", "--no-probes", check=False).stdout)
    [table] = [c for c in found if (c["about"], c["what"]) == ("alice", "table")]
    assert table["outcome"] == "wrong" and "bob's table" in table["says"]

    replace_data(deployment, meta, damaged(deployment))
    look_at_once()
    says("damaged")

    deployment.deployer("data put", "alice", EXAMPLE / "alice.csv", "--force")
    found_done = deployment.wait_until_done()
    assert found_done["alice"]["restarts"] == 0
    assert deployment.pods()["alice"]["metadata"]["uid"] == uid
