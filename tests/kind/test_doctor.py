"""The doctor finds what is wrong before an installation, and says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kind.cluster import PARTIES, Deployment


def checks(deployment: Deployment, *words: str) -> list[dict[str, Any]]:
    tried = deployment.deployer("doctor", "--json", *words, check=False)
    found: list[dict[str, Any]] = json.loads(tried.stdout)
    wrong = any(check["outcome"] == "wrong" for check in found)
    assert tried.returncode == int(wrong), tried.stderr
    return found


def wrong(found: list[dict[str, Any]]) -> dict[str, str]:
    """What is wrong, and what to do about it."""
    return {c["what"]: f"{c['says']} | {c['do']}" for c in found if c["outcome"] == "wrong"}


def test_before_an_installation_only_keys_and_tables_are_missing(deployment: Deployment) -> None:
    found = checks(deployment)
    assert set(wrong(found)) == {"keys", "table"}
    assert "deployer certs put" in wrong(found)["keys"]
    assert "deployer data put" in wrong(found)["table"]
    tried = {c["what"] for c in found if c["outcome"] == "ok"}
    assert {"version", "clock", "storage", "rights", "image", "names", "policies"} <= tried


@pytest.mark.parametrize(
    ("change", "what", "says"),
    [
        ({"image": {"repository": "no-such-image", "tag": "1"}}, "image", "no-such-image"),
        ({"storage": {"className": "no-such-class"}}, "storage", "no-such-class"),
        ({"clusterDomain": "no.such.domain"}, "names", "no.such.domain"),
    ],
)
def test_values_that_the_cluster_cannot_serve_are_found(
    deployment: Deployment, change: dict[str, Any], what: str, says: str
) -> None:
    deployment.document |= change
    assert says in wrong(checks(deployment))[what]


def test_keys_that_will_be_refused_are_found(deployment: Deployment) -> None:
    keys, others = deployment.make_keys(), deployment.make_keys()
    for party in PARTIES:
        deployment.deployer("certs put", party, keys / party)
    namespace = deployment.document["namespace"]
    secret = deployment.cluster.get("secret", namespace, "fraud-bob-keys")
    theirs = (others / "bob" / "tls.key").read_text()
    deployment.cluster.kubectl(
        *("patch", "secret", "fraud-bob-keys", "--namespace", namespace, "--type=merge"),
        *("--patch", json.dumps({"stringData": {"tls.key": theirs}})),
    )
    assert secret is not None
    assert "not that of the certificate" in wrong(checks(deployment, "--no-probes"))["keys"]
