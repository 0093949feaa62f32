"""Three organisations in three namespaces, from nothing to a receipt: docs/organisations.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.kind.cluster import EXAMPLE, ROOT, Cluster, Run, run

pytestmark = pytest.mark.in_turn

PAGE = ROOT / "docs" / "organisations.md"
PLACES = {"alice": "bank", "bob": "police", "server": "helper"}
BLOCK = re.compile(r"^```(?:sh|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    """The commands under a heading."""
    text = PAGE.read_text(encoding="utf-8")
    [part] = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return "\n".join(BLOCK.findall(part))


@pytest.fixture
def namespaces(cluster: Cluster) -> Iterator[dict[str, str]]:
    """One for each, by the name of its folder."""
    with cluster.namespace() as bank, cluster.namespace() as police, cluster.namespace() as helper:
        yield {"bank": bank, "police": police, "helper": helper}


def read_out(folder: Path, cluster: Cluster, commands: str, check: bool = True) -> Run:
    """Run commands of the page in a reader's folder."""
    script = folder / "page.sh"
    script.write_text(f"set -euo pipefail\ncd {folder}\n{commands}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return run("bash", script, env=cluster.environment | {"PATH": path}, check=check)


def test_from_nothing_to_a_receipt_that_holds(
    cluster: Cluster, namespaces: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "fraud")
    meet = section("Meet")
    for number, name in enumerate(namespaces, 1):
        meet = meet.replace(f"--address 127.0.0.{number}:4550", f"--namespace {namespaces[name]}")
    assert "--address" not in meet
    read_out(tmp_path, cluster, meet + section("Approve"))

    # The image has another name and tag here, and the volumes are small.
    repository, _, tag = cluster.image.rpartition(":")
    more = {"image": {"repository": repository, "tag": tag}, "storage": {"size": "64Mi"}}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(more))
    install = section("Run on Kubernetes").replace("values.yaml", "values.yaml -f test.yaml")
    assert "feature_16" in read_out(tmp_path, cluster, install).stdout

    for party, name in PLACES.items():
        its = cluster.kubectl("get", "all,networkpolicy", "-n", namespaces[name], "-o", "name")
        assert f"networkpolicy.networking.k8s.io/fraud-{party}" in its.stdout
        assert not any(f"fraud-{other}" in its.stdout for other in set(PLACES) - {party})
        policy = cluster.get("networkpolicy", namespaces[name], f"fraud-{party}")
        peers = json.dumps(policy["spec"]["ingress"])
        assert all(namespaces[PLACES[other]] in peers for other in set(PLACES) - {party})

    verified = read_out(tmp_path, cluster, section("Keep the receipt")).stdout
    assert "receipt.json: holds" in verified and "by its approval" in verified
    receipt = tmp_path / "receipt.json"
    changed = bytearray(receipt.read_bytes())
    changed[len(changed) // 2] ^= 1
    receipt.write_bytes(changed)
    refused = read_out(
        tmp_path, cluster, "deployer verify receipt.json --job bank/agreed/job.yaml", check=False
    )
    assert refused.returncode == 2 and "was changed" in refused.stderr
