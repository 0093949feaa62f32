"""What each party gets in a cluster, and what it does not get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from deployer.manifests.render import Facts, objects
from party.agreement.hosts import parse_hosts
from party.agreement.job import PARTIES, parse_job
from party.process.errors import InputError
from party.reporting import probes
from tests.chart.rendering import (
    CHART,
    MATRIX,
    OFF,
    Object,
    by_deployer,
    helm,
    pods,
    the,
    values,
)

EVERY = pytest.mark.parametrize("document", MATRIX.values(), ids=MATRIX.keys())


@EVERY
def test_the_api_knows_every_field(document: Object) -> None:
    """The client's models drop what the API does not know: nothing is dropped."""
    api = client.ApiClient()
    for one in by_deployer(document):
        if one["apiVersion"].startswith(("monitoring.coreos.com/", "cert-manager.io/")):
            continue  # an operator's own, which the client has no models of
        for pod in pods([one]):  # a quantity may be a number, which the models do not know
            for amounts in pod["containers"][0]["resources"].values():
                amounts |= {name: str(amount) for name, amount in amounts.items()}
        model = one["apiVersion"].rpartition("/")[2].capitalize() + one["kind"]
        read = api.deserialize(json.dumps(one), model, "application/json")
        assert api.sanitize_for_serialization(read) == one


@EVERY
def test_pods_meet_the_restricted_level_of_pod_security(document: Object) -> None:
    for pod in pods(by_deployer(document)):
        restricted(pod, values(document).security.user)


def test_on_openshift_the_cluster_gives_out_the_user() -> None:
    for pod in pods(by_deployer(MATRIX["OpenShift"])):
        assert pod["securityContext"].keys() == {"runAsNonRoot", "seccompProfile"}


def test_what_is_not_a_party_takes_part_in_a_quota() -> None:
    """A quota on limits refuses pods that have none."""
    (demo,) = (pod for pod in pods(by_deployer()) if pod["containers"][0]["name"] == "demo")
    ran = helm("template", "fraud", str(CHART), "--show-only", "templates/tests/check.yaml")
    (test,) = pods(list(yaml.safe_load_all(ran.stdout)))
    for pod in (demo, test):
        assert pod["containers"][0]["resources"]["limits"].keys() == {"cpu", "memory"}


def test_so_does_the_pod_of_helm_test() -> None:
    ran = helm("template", "fraud", str(CHART), "--show-only", "templates/tests/check.yaml")
    (pod,) = pods(list(yaml.safe_load_all(ran.stdout)))
    restricted(pod)


def restricted(pod: Object, user: int = 10001) -> None:
    """Beyond what the level asks for: a fixed user, no way to write to the image, no token."""
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        assert context.get(name, 0) == user
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim"}
    for volume in pod["volumes"]:
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"]
            assert volume["name"] == "state" or volume["emptyDir"]["medium"] == "Memory"
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] and container["resources"]["requests"]


@pytest.mark.parametrize("party", PARTIES)
def test_a_partys_pod_has_no_token(party: str) -> None:
    many = by_deployer()
    assert the("ServiceAccount", party, many)["automountServiceAccountToken"] is False
    pod = the("StatefulSet", party, many)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == f"fraud-{party}"


@EVERY
def test_keys_and_tables_are_never_among_the_objects(document: Object) -> None:
    assert not [one for one in by_deployer(document) if one["kind"] == "Secret"]


@pytest.mark.parametrize("party", PARTIES)
def test_secrets_are_mounted_to_be_read_by_the_pods_group_alone(party: str) -> None:
    pod = the("StatefulSet", party, by_deployer())["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert volumes["keys"]["secret"] == {
        "secretName": f"fraud-{party}-keys",
        "optional": True,
        "defaultMode": 0o440,
    }
    assert mounts["/keys"]["readOnly"] is True
    assert ("/table" in mounts) == ("table" in volumes) == (party != "server")
    if party != "server":
        assert volumes["table"]["projected"]["defaultMode"] == 0o440
        assert mounts["/table"]["readOnly"] is True


ISSUED = MATRIX["certificates from cert-manager"]


def test_cert_manager_is_asked_for_what_the_party_takes() -> None:
    from jsonschema import Draft202012Validator  # here, since it takes a second

    schema = json.loads((Path(__file__).parent / "cert_manager_certificate.json").read_text())
    many = by_deployer(ISSUED)
    alice, bob = (the("Certificate", party, many)["spec"] for party in ("alice", "bob"))
    for spec in (alice, bob):
        Draft202012Validator(schema).validate(spec)
    assert alice["secretName"] == "issued" and alice["uris"] == ["spiffe://fraud/alice"]
    assert alice["privateKey"]["rotationPolicy"] == "Never", "the job pins this key"
    assert bob["privateKey"]["rotationPolicy"] == "Always"
    assert not [one for one in by_deployer(OFF) if one["kind"] == "Certificate"]
    with pytest.raises(InputError, match="the demo makes its keys itself"):
        by_deployer({"certificates": ISSUED["certificates"]})


def test_keys_of_cert_manager_stand_beside_that_of_the_checkpoints() -> None:
    pod = the("StatefulSet", "alice", by_deployer(ISSUED))["spec"]["template"]["spec"]
    (keys,) = (volume["projected"] for volume in pod["volumes"] if volume["name"] == "keys")
    assert keys == {
        "defaultMode": 0o440,
        "sources": [
            {"secret": {"name": "issued", "optional": True}},
            {"secret": {"name": "fraud-alice-checkpoint", "optional": True}},
        ],
    }


def test_a_longer_table_needs_no_upgrade() -> None:
    pod = the("StatefulSet", "alice", by_deployer({"alice": {"tableParts": 3}}))
    (table,) = (
        volume["projected"]["sources"]
        for volume in pod["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "table"
    )
    assert table == [
        {"secret": {"name": f"fraud-alice-table-{part}", "optional": True}} for part in range(3)
    ]


def test_a_table_on_a_volume_is_only_read_and_in_no_secret() -> None:
    many = by_deployer(MATRIX["tables on volumes"])
    claims = {"alice": ("fraud-alice-table", "a/b"), "bob": ("12345", "table")}
    for party, (claim, path) in claims.items():
        pod = the("StatefulSet", party, many)["spec"]["template"]["spec"]
        [volume] = [volume for volume in pod["volumes"] if volume["name"] == "table"]
        assert volume == {"name": "table", "persistentVolumeClaim": {"claimName": claim}}
        [container] = pod["containers"]
        [mount] = [one for one in container["volumeMounts"] if one["name"] == "table"]
        assert mount == {"name": "table", "mountPath": "/table", "readOnly": True}
        assert f"--table=/table/{path}" in container["command"]
    [made] = [one for one in many if one["kind"] == "PersistentVolumeClaim"]
    assert made["metadata"]["name"] == "fraud-alice-table"
    assert made["spec"]["storageClassName"] == "fast"


def test_the_job_in_the_cluster_is_the_job_in_the_values() -> None:
    chosen = values(MATRIX["a job of one's own"])
    facts = Facts(chosen)
    for party in PARTIES:
        name = f"{facts.name}-{party}"
        (config,) = (
            one
            for one in objects(chosen)[party]
            if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name
        )
        assert parse_job(config["data"]["job.yaml"], "").digest == chosen.job.digest


def test_the_hosts_map_has_names_here_and_addresses_elsewhere() -> None:
    many = by_deployer(
        OFF
        | {
            "clusterDomain": "k8s.example",
            "ports": {"party": 7500},
            "alice": {"namespace": "bank"},
            "bob": {"enabled": False, "namespace": "police"},
            "server": {"enabled": False, "address": "[2001:db8::3]:7200"},
        }
    )
    text = the("ConfigMap", "alice", many)["data"]["config.json"]
    assert [str(address) for address in parse_hosts(text, "")] == [
        "fraud-alice-0.fraud-alice.bank.svc.k8s.example:7500",
        "fraud-bob-0.fraud-bob.police.svc.k8s.example:7500",
        "[2001:db8::3]:7200",
    ]


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_can_be_installed_alone(party: str) -> None:
    others = {other: {"enabled": False} for other in PARTIES if other != party}
    chosen = values(OFF | others | {party: {"namespace": "own"}})
    assert objects(chosen).keys() == {party}
    for one in objects(chosen)[party]:
        assert one["metadata"]["namespace"] == "own"
        assert one["metadata"]["labels"]["app.kubernetes.io/component"] == party
        # Nothing that needs rights beyond those over a namespace's own work.
        assert one["kind"] in (
            "ConfigMap",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "Service",
            "ServiceAccount",
            "StatefulSet",
        )


JOB = {"job": {"training": {"epochs": 11}}}
MOVED = OFF | {"server": {"enabled": False, "address": "elsewhere.example:7000"}}


@pytest.mark.parametrize("document", [OFF | JOB, MOVED], ids=["another job", "another address"])
def test_what_the_parties_agreed_on_starts_the_pod_anew(document: Object) -> None:
    assert template(document) != template(OFF)
    assert checksum(document) != checksum(OFF)


@pytest.mark.parametrize(
    "document",
    [
        {"networkPolicy": {"statusFrom": [{}]}},
        {"podDisruptionBudget": {"enabled": False}},
        {"storage": {"keep": False}},
        {"alice": {"service": {"type": "LoadBalancer"}}},
        {"bob": {"labels": {"a": "b"}}},
        # The same job, said otherwise.
        {"job": {"training": {"learning_rate": 0.3750, "epochs": 10}}},
    ],
)
def test_nothing_else_does(document: dict[str, Any]) -> None:
    assert template(OFF | document) == template(OFF)


def template(document: Object) -> Object:
    """Alice's pod, as her StatefulSet has it: any change of it restarts the pod."""
    spec: Object = the("StatefulSet", "alice", by_deployer(document))["spec"]
    return dict(spec["template"])


def checksum(document: Object) -> str:
    return str(template(document)["metadata"]["annotations"]["checksum/job"])


def test_volume_claims_stay_as_they_are_whatever_is_labelled() -> None:
    """The API refuses to change them."""
    labelled = by_deployer(OFF | {"alice": {"labels": {"a": "b"}, "annotations": {"c": "d"}}})
    plain = by_deployer(OFF)
    claims = [
        the("StatefulSet", "alice", many)["spec"]["volumeClaimTemplates"]
        for many in (labelled, plain)
    ]
    assert claims[0] == claims[1]


@pytest.mark.parametrize(
    "document, policy",
    [({}, "Delete"), (OFF, "Retain"), (OFF | {"storage": {"keep": False}}, "Delete")],
    ids=["the demo", "by default", "not kept"],
)
def test_volumes_outlive_the_release_as_the_values_say(document: Object, policy: str) -> None:
    spec = the("StatefulSet", "alice", by_deployer(document))["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == policy


@pytest.mark.parametrize(
    ("phase", "goes"), [("table", False), ("joining", False), ("running", False), ("done", True)]
)
def test_a_node_is_let_go_when_its_party_is_done(phase: str, goes: bool) -> None:
    """By the API server's own rule for the eviction of one running pod (KEP-3017)."""
    budget = the("PodDisruptionBudget", "alice", by_deployer())["spec"]
    ready = phase in probes._READY
    desired, healthy = 1 - budget["maxUnavailable"], int(ready)
    unhealthy_may_go = (
        budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow" or healthy >= desired > 0
    )
    assert (healthy > desired or (not ready and unhealthy_may_go)) is goes


def state_of(party: str, document: Object) -> Object:
    """What stands behind /state: the one volume or claim of that name."""
    spec = the("StatefulSet", party, by_deployer(OFF | document))["spec"]
    volumes = spec["template"]["spec"]["volumes"] + spec.get("volumeClaimTemplates", [])
    (found,) = [
        one for one in volumes if one.get("name", one.get("metadata", {}).get("name")) == "state"
    ]
    return dict(found)


def test_a_partys_state_is_a_claim_of_its_own_size_and_class() -> None:
    document = {"alice": {"state": {"size": "5Gi", "storageClass": "fast"}}}
    alice, bob = (state_of(party, document)["spec"] for party in ("alice", "bob"))
    assert alice["storageClassName"] == "fast" and "storageClassName" not in bob
    assert alice["resources"]["requests"]["storage"] == "5Gi"
    assert bob["resources"]["requests"]["storage"] == "1Gi"


def test_a_claim_that_is_there_is_taken_whether_there_are_others_or_not() -> None:
    given = {"alice": {"state": {"existingClaim": "mine"}}, "storage": {"enabled": False}}
    assert state_of("alice", given)["persistentVolumeClaim"] == {"claimName": "mine"}
    assert state_of("bob", given)["emptyDir"] == {"sizeLimit": "1Gi"}


def test_addresses_are_published_before_the_pod_is_ready() -> None:
    spec = the("Service", "bob", by_deployer())["spec"]
    assert spec["clusterIP"] == "None" and spec["publishNotReadyAddresses"] is True


def test_the_way_in_from_outside_has_the_party_port_alone() -> None:
    many = by_deployer(OFF | {"alice": {"service": {"type": "LoadBalancer"}}})
    (port,) = the("Service", "alice-external", many)["spec"]["ports"]
    assert port["name"] == "party"
    assert not [one for one in many if one["metadata"]["name"] == "fraud-bob-external"]


def test_names_that_dns_cannot_have_are_refused() -> None:
    with pytest.raises(InputError):
        by_deployer(OFF | {"job": {"name": "1st"}})
    assert helm("template", "1st", str(CHART), document=OFF).returncode != 0


def test_lint_finds_nothing() -> None:
    ran = helm("lint", "--strict", str(CHART))
    assert ran.returncode == 0, ran.stdout
