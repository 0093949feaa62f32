"""No party speaks to the cluster but where the values ask for events, and then with one right."""

from __future__ import annotations

from typing import Any

import pytest

from party.agreement.job import PARTIES
from party.process.errors import InputError
from party.reporting.events import EVENTS
from tests.chart.rendering import MATRIX, OFF, Object, by_deployer, the, values

ON = OFF | {"events": {"apiServer": ["192.0.2.1/32", "2001:db8::1/128"], "port": 443}}
QUIET = {name: document for name, document in MATRIX.items() if "events" not in document}


def is_of_demo(one: Object) -> bool:
    return bool(one["metadata"]["labels"]["app.kubernetes.io/component"] == "demo")


@pytest.mark.parametrize("document", QUIET.values(), ids=QUIET.keys())
def test_by_default_no_party_has_a_token_or_a_right(document: Object) -> None:
    for one in by_deployer(document):
        if is_of_demo(one):
            continue
        assert one["kind"] not in ("Role", "RoleBinding")
        text = str(one)
        assert "serviceAccountToken" not in text and EVENTS not in text
        assert "'automountServiceAccountToken': True" not in text


@pytest.mark.parametrize("party", PARTIES)
def test_exactly_this_comes_with_events(party: str) -> None:
    plain, many = by_deployer(OFF), by_deployer(ON)
    added = [one for one in many if one["kind"] not in {one["kind"] for one in plain}]
    assert [one["kind"] for one in added] == ["Role", "RoleBinding"] * len(PARTIES)
    assert the("Role", party, many)["rules"] == [
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}
    ]
    binding = the("RoleBinding", party, many)
    assert binding["roleRef"]["kind"] == "Role"
    assert binding["roleRef"]["name"] == f"fraud-{party}"
    account = {"kind": "ServiceAccount", "name": f"fraud-{party}", "namespace": "default"}
    assert binding["subjects"] == [account]
    assert the("ServiceAccount", party, many)["automountServiceAccountToken"] is False

    less, more = (the("NetworkPolicy", party, each)["spec"] for each in (plain, many))
    blocks = [{"ipBlock": {"cidr": cidr}} for cidr in ("192.0.2.1/32", "2001:db8::1/128")]
    rule = {"to": blocks, "ports": [{"protocol": "TCP", "port": 443}]}
    assert more == less | {"egress": [*less["egress"], rule]}

    before, after = (pod_of(party, each) for each in (plain, many))
    assert after["automountServiceAccountToken"] is False
    [volume] = [one for one in after["volumes"] if one not in before["volumes"]]
    [token, authority, pod] = volume["projected"]["sources"]
    assert token == {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
    assert authority["configMap"]["name"] == "kube-root-ca.crt"
    told = {one["path"]: one["fieldRef"]["fieldPath"] for one in pod["downwardAPI"]["items"]}
    assert told == {name: f"metadata.{name}" for name in ("name", "namespace", "uid")}
    was, now = (each["containers"][0] for each in (before, after))
    mount = {"name": "events", "mountPath": "/events", "readOnly": True}
    assert without(now, "env", {"name": EVENTS, "value": "/events"}) == without(was, "env", None)
    assert [one for one in now["volumeMounts"] if one not in was["volumeMounts"]] == [mount]


def pod_of(party: str, many: list[Object]) -> Any:
    return the("StatefulSet", party, many)["spec"]["template"]["spec"]


def without(container: Object, key: str, one: Object | None) -> Object:
    """The container but for its mounts, and one of the things of a key."""
    rest = {name: value for name, value in container.items() if name != "volumeMounts"}
    return rest | {key: [each for each in container[key] if each != one]}


def test_where_policies_are_off_there_is_none_to_add_to() -> None:
    many = by_deployer(ON | {"networkPolicy": {"enabled": False}})
    assert not [one for one in many if one["kind"] == "NetworkPolicy"]
    assert len([one for one in many if one["kind"] == "Role"]) == len(PARTIES)


def test_an_address_is_a_network() -> None:
    with pytest.raises(InputError, match="is not a network"):
        values({"events": {"apiServer": ["192.0.2.1"]}})
