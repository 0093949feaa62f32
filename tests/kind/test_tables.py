"""Tables in Secrets: larger than one of them; missing, damaged, another party's; and mended."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kind.cluster import EXAMPLE, Deployment

Breaker = Callable[[Deployment], None]


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


def nothing(deployment: Deployment) -> None:
    """No table at all."""


def damaged(deployment: Deployment) -> None:
    """The right table with a byte turned."""
    deployment.deployer("data put", "alice", EXAMPLE / "alice.csv")
    secret = table_secret(deployment, "alice")
    content = bytearray(base64.b64decode(secret["data"]["part-000"]))
    content[len(content) // 2] ^= 1
    whole = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    replace_data(deployment, secret, whole | {"part-000": bytes(content)})


def of_bob(deployment: Deployment) -> None:
    """Bob's table where Alice's should be."""
    deployment.deployer("data put", "alice", EXAMPLE / "alice.csv")
    theirs = table_secret(deployment, "bob")["data"]
    files = {name: base64.b64decode(text) for name, text in theirs.items()}
    replace_data(deployment, table_secret(deployment, "alice"), files)


def table_secret(deployment: Deployment, party: str) -> dict[str, Any]:
    namespace = deployment.document["namespace"]
    found = deployment.cluster.get("secret", namespace, f"fraud-{party}-table-0")
    assert isinstance(found, dict)
    return found


def replace_data(deployment: Deployment, secret: dict[str, Any], files: dict[str, bytes]) -> None:
    """Other contents behind the deployer's back."""
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    meta = {key: secret["metadata"][key] for key in ("name", "namespace")}
    changed = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}
    deployment.cluster.kubectl("replace", "--filename", "-", input=json.dumps(changed))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (nothing, ("table",)),
        (damaged, ("damaged",)),
        (of_bob, ("another party's",)),
    ],
)
def test_a_table_that_is_wrong_is_a_clear_state_and_mended_without_reinstalling(
    deployment: Deployment, broken: Breaker, words: tuple[str, ...]
) -> None:
    deployment.put_keys()
    deployment.deployer("data put", "bob", EXAMPLE / "bob.csv")
    broken(deployment)
    deployment.deployer("apply", "--no-wait")

    def said(found: dict[str, Any]) -> bool:
        return all(word in found["alice"]["says"] for word in words)

    state = deployment.wait(said)["alice"]
    assert "data put" in state["do"] or "table" in state["do"]
    assert any(word in deployment.deployer("logs", "--party", "alice").stdout for word in words)
    uid = deployment.pods()["alice"]["metadata"]["uid"]

    deployment.deployer("data put", "alice", EXAMPLE / "alice.csv", "--force")
    deployment.wait_until_done(timeout=400)
    assert deployment.pods()["alice"]["metadata"]["uid"] == uid
