"""The doctor finds what is wrong and says what to do, before an installation and after it."""

from __future__ import annotations

import json
from collections.abc import Callable
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


def test_a_deployment_that_works_is_well(installed: Callable[[], Deployment]) -> None:
    deployment = installed()
    deployment.wait_until_done()
    found = checks(deployment)
    assert wrong(found) == {}
    ways = {(c["about"], c["what"]) for c in found if c["what"].startswith("way to")}
    assert ways == {("bob", "way to alice"), ("server", "way to alice"), ("server", "way to bob")}
    assert {c["about"] for c in found if c["what"] == "job" and c["outcome"] == "ok"} == set(
        PARTIES
    )


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
    assert "not that of its certificate" in wrong(checks(deployment, "--no-trials"))["keys"]


def test_jobs_that_differ_are_found(installed: Callable[[], Deployment]) -> None:
    deployment = installed()
    deployment.document["job"]["training"]["epochs"] = 3
    assert "not the one in the values" in wrong(checks(deployment, "--no-trials"))["job"]
