"""Two jobs in one release, one after the other, with the same keys and tables."""

from __future__ import annotations

import json

from tests.kind.cluster import PARTIES, Deployment

SHORT = {"epochs": 1, "batch_size": 128, "learning_rate": 0.375, "order_seed": 18}


def test_a_release_does_its_jobs_in_order_and_keeps_each_result(deployment: Deployment) -> None:
    deployment.document["jobs"] = [
        {"name": "first", "training": SHORT},
        {"name": "second", "training": SHORT, "result": "bob"},
    ]
    deployment.put_keys()
    deployment.put_tables()
    deployment.deployer("apply", "--timeout", "900")
    found = deployment.wait_until_done()
    for party in PARTIES:
        assert [one["state"] for one in found[party]["own"]["queue"]] == ["done", "done"]
    for party in PARTIES:
        namespace = deployment.namespace(party)
        words = ("--for=condition=Ready", f"pod/{deployment.pod(party)}", "--timeout=60s")
        deployment.cluster.kubectl("wait", *words, "--namespace", namespace)
    models = {
        name: json.loads(deployment.deployer("result", "--job", name, "--json").stdout)
        for name in ("first", "second")
    }
    assert models["first"]["job"] != models["second"]["job"]

    # A pod that is started again does neither once more.
    namespace = deployment.namespace("bob")
    deployment.cluster.kubectl("delete", "pod", deployment.pod("bob"), "--namespace", namespace)
    deployment.wait_until_done()
    again = json.loads(deployment.deployer("result", "--job", "second", "--json").stdout)
    assert again == models["second"]
