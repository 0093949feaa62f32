"""Who may reach a party, and whom it may reach, by its NetworkPolicy."""

from __future__ import annotations

import pytest
import yaml

from party.agreement.job import PARTIES
from tests.chart.rendering import CHART, OFF, Object, by_deployer, helm, is_test, the

DNS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def pod_of(component: str, namespace: str = "default") -> Object:
    """A component's pods, as a peer of a NetworkPolicy."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {
            "matchLabels": {
                "app.kubernetes.io/name": "tfe-kit",
                "app.kubernetes.io/instance": "fraud",
                "app.kubernetes.io/component": component,
            }
        },
    }


def tcp(port: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port}]


def policy(party: str, document: Object | None = None) -> Object:
    """A party's NetworkPolicy."""
    spec: Object = the("NetworkPolicy", party, by_deployer(document))["spec"]
    return spec


@pytest.mark.parametrize("party", PARTIES)
def test_it_is_for_the_partys_pod_and_for_both_ways(party: str) -> None:
    spec = policy(party)
    assert spec["podSelector"] == pod_of(party)["podSelector"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("party", PARTIES)
def test_only_the_other_parties_reach_the_party_port(party: str) -> None:
    rules = [rule for rule in policy(party)["ingress"] if rule["ports"] == tcp(7000)]
    others = [other for other in PARTIES if other != party]
    assert rules == [{"from": [pod_of(other)], "ports": tcp(7000)} for other in others]


@pytest.mark.parametrize("party", PARTIES)
def test_only_the_check_and_who_is_named_reach_the_status_port(party: str) -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "metrics"}}}
    for named in ([], [prometheus]):
        document = {"networkPolicy": {"statusFrom": named}}
        rules = [rule for rule in policy(party, document)["ingress"] if rule["ports"] == tcp(8080)]
        assert rules == [{"from": [pod_of("test"), *named], "ports": tcp(8080)}]


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_reaches_the_others_and_dns_and_nothing_else(party: str) -> None:
    others = [other for other in PARTIES if other != party]
    *peers, dns = policy(party)["egress"]
    assert peers == [{"to": [pod_of(other)], "ports": tcp(7000)} for other in others]
    assert dns["ports"] == DNS
    (where,) = dns["to"]
    assert where["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}


def test_parties_in_other_namespaces_are_named_by_them() -> None:
    document = OFF | {
        "alice": {"namespace": "bank"},
        "bob": {"enabled": False, "namespace": "police"},
    }
    first = policy("alice", document)["ingress"][0]
    assert first["from"] == [pod_of("bob", "police")]


def test_parties_in_other_clusters_are_named_by_their_networks() -> None:
    document = OFF | {
        "bob": {"enabled": False, "address": "b.example:7100", "networks": ["192.0.2.0/24"]}
    }
    spec = policy("alice", document)
    blocks = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    assert spec["ingress"][0] == {"from": blocks, "ports": tcp(7000)}
    assert spec["egress"][0] == {"to": blocks, "ports": tcp(7100)}


def test_without_networks_they_may_be_anywhere() -> None:
    spec = policy("alice", OFF | {"bob": {"enabled": False, "address": "b.example:7100"}})
    assert spec["ingress"][0] == {"from": [], "ports": tcp(7000)}
    assert spec["egress"][0] == {"to": [], "ports": tcp(7100)}


def test_on_openshift_dns_has_its_own_port() -> None:
    *_, dns = policy("alice", {"networkPolicy": {"dnsPort": 5353}})["egress"]
    assert [one["port"] for one in dns["ports"]] == [5353, 5353]


def test_the_pod_of_helm_test_reaches_the_status_ports_and_dns_and_is_reached_by_nobody() -> None:
    ran = helm("template", "fraud", str(CHART), "--show-only", "templates/networkpolicy.yaml")
    assert ran.returncode == 0, ran.stderr
    (made,) = (one for one in yaml.safe_load_all(ran.stdout) if one and is_test(one))
    *parties, dns = made["spec"]["egress"]
    assert parties == [{"to": [pod_of(party)], "ports": tcp(8080)} for party in PARTIES]
    assert dns["ports"] == DNS
    assert made["spec"]["podSelector"] == pod_of("test")["podSelector"]
    assert "Ingress" in made["spec"]["policyTypes"] and "ingress" not in made["spec"]


def test_the_demos_pod_is_let_out_and_reached_by_nobody() -> None:
    spec = policy("demo")
    assert spec["podSelector"] == pod_of("demo")["podSelector"]
    assert spec["egress"] == [{}] and "ingress" not in spec


def test_no_rule_lets_everything_through() -> None:
    for party in PARTIES:
        spec = policy(party)
        assert all(rule["from"] and rule["ports"] for rule in spec["ingress"])
        assert all(rule["to"] and rule["ports"] for rule in spec["egress"])
