"""``deployer delete``: says what goes, asks, and keeps what it was not told to take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release


@pytest.fixture
def kept(release: Release) -> Release:
    """The demo with a volume and Secrets."""
    for party in ("alice", "bob", "server"):
        place = release.place(party)
        for kind, name in (
            ("PersistentVolumeClaim", place.claim),
            ("Secret", place.keys_secret),
            *(("Secret", name) for name in place.table_secrets[:2]),
        ):
            meta = {"name": name, "namespace": place.namespace, "labels": place.labels}
            release.cluster.put({"apiVersion": "v1", "kind": kind, "metadata": meta})
    return release


def kinds(cluster: MemoryCluster) -> set[str]:
    return {kind for kind, _, _ in cluster.objects}


def test_without_a_terminal_it_wants_to_be_told(kept: Release, deployer: Deployer) -> None:
    before = dict(kept.cluster.objects)
    ran = deployer("delete")
    assert ran.code == 2 and "--yes" in ran.err
    assert "StatefulSet fraud-alice" in ran.out and "Secret" not in ran.out
    assert kept.cluster.objects == before


def test_volumes_tables_and_keys_are_kept(kept: Release, deployer: Deployer) -> None:
    ran = deployer("delete", "--yes")
    assert ran.code == 0 and "removed " in ran.out
    assert kinds(kept.cluster) == {"PersistentVolumeClaim", "Secret"}


def test_all_goes_if_it_is_said(kept: Release, deployer: Deployer) -> None:
    assert deployer("delete", "--yes", "--volumes", "--secrets").code == 0
    assert not kept.cluster.objects


def test_pods_owners_go_first(kept: Release, deployer: Deployer) -> None:
    found = deployer("delete", "--yes", "--party", "bob", "--json").document
    assert found[0]["kind"] == "StatefulSet" and {one["party"] for one in found} == {"bob"}
    assert "StatefulSet fraud-alice" in kept.cluster.names()


def test_it_needs_no_values_whatever_they_were(memory: MemoryCluster, deployer: Deployer) -> None:
    away = {"service": {"type": "LoadBalancer"}, "keysSecret": "issued", "namespace": "bank"}
    document = {"demo": {"enabled": False}, "alice": away, "namespace": "work"}
    Release(memory, document, name="scoring", managed_by="deployer")
    meta = {"name": "issued", "namespace": "bank"}
    memory.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    ran = deployer("delete", "--name", "scoring", "--namespace", "work", "--secrets", "--yes")
    assert ran.code == 0 and "helm" not in ran.out
    assert not memory.objects


def test_what_operators_of_the_cluster_look_for_goes_too(
    memory: MemoryCluster, deployer: Deployer, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "demo: {enabled: false}\nmetrics: {serviceMonitor: true, alerts: true, dashboard: true}\n"
        "certificates: {certManager: {issuerRef: {name: bank}}}\n"
    )
    assert deployer("apply", "-f", values, "--no-wait").code == 0
    there = {"ServiceMonitor", "PrometheusRule", "Certificate"}
    assert there <= kinds(memory)
    assert deployer("delete", "--yes").code == 0 and not memory.objects


def test_the_right_to_make_events_goes_too(memory: MemoryCluster, deployer: Deployer) -> None:
    events = {"apiServer": ["192.0.2.1/32"]}
    Release(memory, {"demo": {"enabled": False}, "events": events}, managed_by="deployer")
    assert {"Role", "RoleBinding"} <= kinds(memory)
    assert deployer("delete", "--yes").code == 0 and not memory.objects


def test_who_may_not_see_what_was_never_asked_for_deletes_the_rest(
    kept: Release, deployer: Deployer
) -> None:
    for resource in ("servicemonitors", "prometheusrules", "certificates"):
        kept.cluster.forbidden.add(("get", resource, "*"))
    assert deployer("delete", "--yes", "--volumes", "--secrets").code == 0
    assert not kept.cluster.objects


def test_a_claim_that_was_given_stays(memory: MemoryCluster, deployer: Deployer) -> None:
    document = {"demo": {"enabled": False}, "alice": {"state": {"existingClaim": "mine"}}}
    Release(memory, document)
    meta = {"name": "mine", "namespace": "default"}
    memory.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta})
    assert deployer("delete", "--yes", "--volumes").code == 0
    assert memory.names() == {"PersistentVolumeClaim mine"}


def test_keys_of_another_release_stay(memory: MemoryCluster, deployer: Deployer) -> None:
    document = {"demo": {"enabled": False}, "alice": {"keysSecret": "joint-alice-keys"}}
    Release(memory, document, name="scores")
    training = Release(MemoryCluster(), name="joint").place("alice")
    meta = {"name": training.keys_secret, "namespace": "default", "labels": training.labels}
    memory.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    assert deployer("delete", "--name", "scores", "--yes", "--secrets").code == 0
    assert memory.names() == {"Secret joint-alice-keys"}


def test_helm_is_to_forget_what_it_installed(kept: Release, deployer: Deployer) -> None:
    ran = deployer("delete", "--yes")
    assert "do: helm uninstall fraud --namespace default" in ran.out


def test_what_is_not_the_releases_stays(kept: Release, deployer: Deployer) -> None:
    key = "Service", "default", "fraud-alice-external"
    meta = {"name": key[2], "namespace": key[1]}
    kept.cluster.put({"apiVersion": "v1", "kind": "Service", "metadata": meta})
    deployer("delete", "--yes")
    assert key in kept.cluster.objects


def test_where_nothing_is_there_is_nothing_to_do(memory: MemoryCluster, deployer: Deployer) -> None:
    ran = deployer("delete", "--yes")
    assert ran.code == 0 and ran.out == "there is nothing to remove\n"


def test_a_right_that_is_missing_is_said(kept: Release, deployer: Deployer) -> None:
    kept.cluster.forbidden.add(("delete", "*", "*"))
    ran = deployer("delete", "--yes")
    assert ran.code == 2 and "not allowed to delete" in ran.err
